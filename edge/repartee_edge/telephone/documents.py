"""What tells a carrier what to do with a call: TwiML, TeXML, cXML, Plivo's XML, Vonage's NCCO, an address. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from repartee_edge.replies import EdgeReply

XML: Final = "text/xml"
JSON: Final = "application/json"


@dataclass(frozen=True, slots=True)
class StreamPlace:
    """Where a call's stream goes, and what follows it. ``token`` is what a carrier that signs nothing is to send;
    ``call_id`` the carrier's own; ``credentials`` are Exotel's ``user:password``."""

    url: str
    next_url: str
    status_url: str
    call_id: str = ""
    token: str = ""
    credentials: str = ""


def connect(carrier: str, place: StreamPlace) -> EdgeReply:
    """Stream the call there, both ways; then ask what follows."""
    match carrier:
        case "vonage":
            endpoint = {
                "type": "websocket",
                "uri": place.url,
                "content-type": "audio/l16;rate=16000",
                "headers": {"call_id": place.call_id},
                "authorization": {"type": "custom", "value": f"Bearer {place.token}"},
            }
            return _json([{"action": "connect", "endpoint": [endpoint]}])
        case "exotel":
            return _json({"url": place.url.replace("://", f"://{place.credentials}@", 1)})
        case "plivo":
            attributes = {
                "bidirectional": "true",
                "keepCallAlive": "true",
                "contentType": "audio/x-mulaw;rate=8000",
                "statusCallbackUrl": place.status_url,
            }
            stream = f"<Stream{_attributes(attributes)}>{escape(place.url)}</Stream>"
            return _xml(f'{stream}<Redirect method="POST">{escape(place.next_url)}</Redirect>')
    attributes = {"url": place.url, "statusCallback": place.status_url, **_AUDIO.get(carrier, {})}
    if carrier == "signalwire":
        attributes["authBearerToken"] = place.token
    return _xml(
        f"<Connect><Stream{_attributes(attributes)}/></Connect>"
        f'<Redirect method="POST">{escape(place.next_url)}</Redirect>'
    )


_AUDIO: Final[Mapping[str, Mapping[str, str]]] = {
    # Without this Telnyx streams one way only, and takes MP3.
    "telnyx": {
        "track": "inbound_track",
        "codec": "PCMU",
        "bidirectionalMode": "rtp",
        "bidirectionalCodec": "PCMU",
        "bidirectionalSamplingRate": "8000",
    },
}


def hang_up(carrier: str) -> EdgeReply:
    """End the call."""
    return _json([]) if carrier in ("vonage", "exotel") else _xml("<Hangup/>")


def reject(carrier: str) -> EdgeReply:
    """Do not take the call."""
    if carrier in ("twilio", "telnyx", "signalwire"):
        return _xml("<Reject/>")
    return _xml('<Hangup reason="rejected"/>') if carrier == "plivo" else hang_up(carrier)


def say_and_hang_up(carrier: str, words: str) -> EdgeReply:
    """Say why there is nobody to talk to, and end the call."""
    match carrier:
        case "vonage":
            return _json([{"action": "talk", "text": words}])
        case "exotel":
            return hang_up(carrier)
        case "plivo":
            return _xml(f"<Speak>{escape(words)}</Speak><Hangup/>")
    return _xml(f"<Say>{escape(words)}</Say><Hangup/>")


def dial(carrier: str, number: str) -> EdgeReply:
    """Connect the caller to this number, or SIP address; the agent is out of it."""
    by_sip = number.lower().startswith(("sip:", "sips:"))
    match carrier:
        case "vonage":
            phone = {"type": "phone", "number": number.lstrip("+")}
            endpoint = {"type": "sip", "uri": number} if by_sip else phone
            return _json([{"action": "connect", "endpoint": [endpoint]}])
        case "exotel":
            return hang_up(carrier)
        case "plivo":
            noun = "User" if by_sip else "Number"
            return _xml(f"<Dial><{noun}>{escape(number)}</{noun}></Dial>")
    dialled = f"<Sip>{escape(number)}</Sip>" if by_sip else escape(number)
    return _xml(f"<Dial>{dialled}</Dial>")


def conference(carrier: str, room: str, say: str = "") -> EdgeReply:
    """Say this, and put the call into a conference, which ends when either of its two leaves."""
    match carrier:
        case "vonage":
            talk = [{"action": "talk", "text": say}] if say else []
            return _json([*talk, {"action": "conversation", "name": room, "endOnExit": True}])
        case "exotel":
            return hang_up(carrier)
        case "plivo":
            spoken = f"<Speak>{escape(say)}</Speak>" if say else ""
            return _xml(f'{spoken}<Conference endConferenceOnExit="true">{escape(room)}</Conference>')
    spoken = f"<Say>{escape(say)}</Say>" if say else ""
    rooms = f'<Conference beep="false" endConferenceOnExit="true">{escape(room)}</Conference>'
    return _xml(f"{spoken}<Dial>{rooms}</Dial>")


def escape(text: str) -> str:
    """Text as XML has it, also in an attribute. (The library for it takes long to import, at each cold start.)"""
    for character, written in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;")):
        text = text.replace(character, written)
    return text


def _attributes(named: Mapping[str, str]) -> str:
    return "".join(f' {name}="{escape(value)}"' for name, value in named.items())


def _xml(verbs: str) -> EdgeReply:
    text = f'<?xml version="1.0" encoding="UTF-8"?><Response>{verbs}</Response>'
    return EdgeReply(200, headers={"content-type": XML}, text=text)


def _json(document: Any) -> EdgeReply:
    return EdgeReply(200, headers={"content-type": JSON}, text=json.dumps(document, separators=(",", ":")))
