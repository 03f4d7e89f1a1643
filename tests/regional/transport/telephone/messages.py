"""What carriers' documents show of their messages, one set a carrier, with values of our own.

Twilio: https://www.twilio.com/docs/voice/media-streams/websocket-messages · Telnyx:
https://developers.telnyx.com/api-reference/websockets/stream-call-media-over-websocket · SignalWire:
https://developer.signalwire.com/compatibility-api/cxml/voice/stream/ · Plivo:
https://www.plivo.com/docs/voice/xml/audio-stream/concepts/stream-events · Vonage:
https://developer.vonage.com/en/voice/voice-api/concepts/websockets · Exotel:
https://developer.exotel.com/docs/agentstream/websocket-protocol
"""

import base64
import json
from dataclasses import dataclass
from typing import Any

from repartee.wire.audio_format import WireFormat

ULAW, ALAW = WireFormat("audio/pcmu", 8_000), WireFormat("audio/pcma", 8_000)
PIECE = bytes(range(160))
B64 = base64.b64encode(PIECE).decode()


def said(**message: Any) -> str:
    return json.dumps(message)


@dataclass(frozen=True)
class Documented:
    """One carrier's: what it sends (a message of ``media`` has PIECE), what ``start`` says, what it is to be sent."""

    start: str
    media: str | bytes
    dtmf: str
    mark: str
    stop: str
    noise: tuple[str, ...]
    stream_id: str
    call_id: str
    format: WireFormat
    parameters: dict[str, str]
    place: tuple[int | None, int | None]
    digit: str
    plays: Any
    marks: Any
    clears: Any


MZ, CA = "MZ18ad3ab5a668481ce02b83e7395059f0", "CA7a9e4a8a2c5e2f1c3b0d9e8f7a6b5c4d"

TWILIO = Documented(
    start=said(
        event="start",
        sequenceNumber="1",
        start={
            "accountSid": "AC0123",
            "streamSid": MZ,
            "callSid": CA,
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": {"FirstName": "Jane", "RemoteParty": "Bob"},
        },
        streamSid=MZ,
    ),
    media=said(
        event="media",
        sequenceNumber="3",
        media={"track": "inbound", "chunk": "1", "timestamp": "5", "payload": B64},
        streamSid=MZ,
    ),
    dtmf=said(event="dtmf", streamSid=MZ, sequenceNumber="5", dtmf={"track": "inbound_track", "digit": "1"}),
    mark=said(event="mark", sequenceNumber="4", streamSid=MZ, mark={"name": "0.1"}),
    stop=said(event="stop", sequenceNumber="5", stop={"accountSid": "AC0123", "callSid": CA}, streamSid=MZ),
    noise=(
        said(event="connected", protocol="Call", version="1.0.0"),
        said(event="user_speech_start", at=1.5),
        said(event="media", media={"track": "outbound", "payload": B64}),
    ),
    stream_id=MZ,
    call_id=CA,
    format=ULAW,
    parameters={"FirstName": "Jane", "RemoteParty": "Bob"},
    place=(5, 1),
    digit="1",
    plays={"event": "media", "streamSid": MZ, "media": {"payload": B64}},
    marks={"event": "mark", "streamSid": MZ, "mark": {"name": "0.1"}},
    clears={"event": "clear", "streamSid": MZ},
)

SIGNALWIRE = Documented(
    **{
        **{name: getattr(TWILIO, name) for name in TWILIO.__dataclass_fields__},
        "start": TWILIO.start.replace("audio/x-mulaw", "audio/x-l16").replace("8000", "16000"),
        "format": WireFormat("audio/pcm", 16_000),
    }
)

STREAM, CONTROL = "32DE0DEA-53CB-4B21-89A4-9E1819C043BC", "v2:T02llQxIyaRkhfRKxgAP8nY511EhFLizdvdUKJiSw8d6A9"

TELNYX = Documented(
    start=said(
        event="start",
        sequence_number="1",
        stream_id=STREAM,
        start={
            "user_id": "3E6F995F",
            "call_control_id": CONTROL,
            "call_session_id": "ff55a038",
            "from": "+13122010094",
            "to": "+13122123456",
            "tags": ["TAG1"],
            "client_state": "aGF2ZSBhIG5pY2UgZGF5",
            "custom_parameters": {"customer_id": "customer_123"},
            "media_format": {"encoding": "L16", "sample_rate": 16000, "channels": 1},
        },
    ),
    media=said(
        event="media",
        sequence_number="4",
        stream_id=STREAM,
        media={"track": "inbound", "chunk": "2", "timestamp": "5", "payload": B64},
    ),
    dtmf=said(
        event="dtmf",
        stream_id=STREAM,
        occurred_at="2026-07-06T21:09:25.482507Z",
        sequence_number="5",
        dtmf={"digit": "#"},
    ),
    mark=said(event="mark", stream_id=STREAM, sequence_number="4", mark={"name": "0.1"}),
    stop=said(
        event="stop",
        sequence_number="5",
        stream_id=STREAM,
        stop={"user_id": "3E", "call_control_id": CONTROL},
    ),
    noise=(
        said(event="connected", version="1.0.0"),
        said(event="error", stream_id=STREAM, payload={"code": 100003, "title": "malformed_frame"}),
    ),
    stream_id=STREAM,
    call_id=CONTROL,
    format=WireFormat("audio/pcm", 16_000),
    parameters={"customer_id": "customer_123"},
    place=(5, 2),
    digit="#",
    plays={"event": "media", "media": {"payload": B64}},
    marks={"event": "mark", "mark": {"name": "0.1"}},
    clears={"event": "clear"},
)

PLIVO = Documented(
    start=said(
        sequenceNumber=0,
        event="start",
        start={
            "callId": "0b1f",
            "streamId": "b77e",
            "accountId": "1",
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-l16", "sampleRate": 16000},
        },
        extra_headers="{}",
    ),
    media=said(
        sequenceNumber=2,
        streamId="b77e",
        event="media",
        media={"track": "inbound", "timestamp": "1767225600000", "chunk": 1, "payload": B64},
        extra_headers="{}",
    ),
    dtmf=said(event="dtmf", sequenceNumber=4, streamId="b77e", dtmf={"track": "inbound", "digit": "2"}),
    mark=said(sequenceNumber="3", event="playedStream", name="0.1", streamId="b77e"),
    stop=said(sequenceNumber=9, event="stop", streamId="b77e"),
    noise=(said(sequenceNumber="4", event="clearedAudio", streamId="b77e"),),
    stream_id="b77e",
    call_id="0b1f",
    format=WireFormat("audio/pcm", 16_000),
    parameters={},
    place=(None, 1),
    digit="2",
    plays={
        "event": "playAudio",
        "media": {"contentType": "audio/x-l16", "sampleRate": "16000", "payload": B64},
    },
    marks={"event": "checkpoint", "streamId": "b77e", "name": "0.1"},
    clears={"event": "clearAudio", "streamId": "b77e"},
)

VONAGE = Documented(
    start=said(**{"event": "websocket:connected", "content-type": "audio/l16;rate=16000", "call_id": "7aa1"}),
    media=PIECE,
    dtmf=said(event="websocket:dtmf", digit="5", duration=260),
    mark=said(event="websocket:notify", payload={"mark": "0.1"}),
    stop=said(event="websocket:disconnected"),
    noise=(said(event="websocket:cleared"), said(event="websocket:media:update", active=True)),
    stream_id="",
    call_id="7aa1",
    format=WireFormat("audio/pcm", 16_000),
    parameters={"call_id": "7aa1"},
    place=(None, None),
    digit="5",
    plays=PIECE,
    marks={"action": "notify", "payload": {"mark": "0.1"}},
    clears={"action": "clear"},
)

EXOTEL = Documented(
    start=said(
        event="start",
        sequence_number="1",
        stream_sid="MZx",
        start={
            "stream_sid": "MZx",
            "call_sid": "CAx",
            "account_sid": "ACx",
            "from": "+919876543210",
            "to": "+918047491899",
            "custom_parameters": {"key1": "value1"},
            "media_format": {"encoding": "audio/x-raw", "sample_rate": "8000", "bit_rate": "16"},
        },
    ),
    media=said(
        event="media",
        sequence_number="3",
        stream_sid="MZx",
        media={"chunk": "2", "timestamp": "200", "payload": B64},
    ),
    dtmf=said(event="dtmf", sequence_number="7", stream_sid="MZx", dtmf={"digit": "5", "duration": "100"}),
    mark=said(event="mark", sequence_number="15", stream_sid="MZx", mark={"name": "0.1"}),
    stop=said(event="stop", sequence_number="20", stream_sid="MZx", stop={"reason": "callended"}),
    noise=(said(event="connected"),),
    stream_id="MZx",
    call_id="CAx",
    format=WireFormat("audio/pcm", 8_000),
    parameters={"key1": "value1", "from": "+919876543210", "to": "+918047491899"},
    place=(200, 2),
    digit="5",
    plays={"event": "media", "stream_sid": "MZx", "media": {"payload": B64}},
    marks={"event": "mark", "stream_sid": "MZx", "mark": {"name": "0.1"}},
    clears={"event": "clear", "stream_sid": "MZx"},
)

DOCUMENTED = {
    "twilio": TWILIO,
    "telnyx": TELNYX,
    "signalwire": SIGNALWIRE,
    "plivo": PLIVO,
    "vonage": VONAGE,
    "exotel": EXOTEL,
}
