"""The documents that steer a telephone call: TwiML, and Telnyx's TeXML, which has the same verbs. Pure.

As strict as the carriers: what they refuse is refused here, under Twilio's error numbers.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit
from xml.etree import ElementTree

UNREADABLE: Final = 12100
INVALID: Final = 12200
BAD_STREAM: Final = 31920
LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")

MAX_PARAMETER_CHARS: Final = 500
"""Of a ``<Parameter>``'s name and value together."""

# fmt: off
ATTRIBUTES: Final[Mapping[str, frozenset[str]]] = {
    "Response": frozenset(),
    "Connect": frozenset(("action", "method")),
    "Stream": frozenset((
        "url", "name", "track", "statusCallback", "statusCallbackMethod", "codec", "bidirectionalMode",
        "bidirectionalCodec", "bidirectionalSamplingRate", "bidirectionalTargetLegs",
    )),
    "Parameter": frozenset(("name", "value")),
    "Redirect": frozenset(("method",)),
    "Hangup": frozenset(),
    "Reject": frozenset(("reason",)),
    "Pause": frozenset(("length",)),
    "Say": frozenset(("voice", "language", "loop")),
    "Dial": frozenset((
        "action", "method", "timeout", "timeLimit", "callerId", "hangupOnStar", "answerOnBridge", "ringTone",
        "record", "recordingStatusCallback", "recordingStatusCallbackMethod", "trim", "sequential",
    )),
    "Number": frozenset((
        "url", "method", "sendDigits", "statusCallback", "statusCallbackEvent", "statusCallbackMethod",
    )),
    "Sip": frozenset((
        "username", "password", "url", "method", "statusCallback", "statusCallbackEvent", "statusCallbackMethod",
    )),
    "Conference": frozenset((
        "waitUrl", "waitMethod", "startConferenceOnEnter", "endConferenceOnExit", "beep", "muted",
        "maxParticipants", "statusCallback", "statusCallbackEvent", "statusCallbackMethod", "record", "region",
    )),
}
# fmt: on
"""What an element may carry, by its tag. Twilio only warns of others (12200) and goes on without them."""


class DocumentRefused(Exception):
    """A document that the carrier does not carry out. ``code`` is Twilio's number for the error."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(f"{code}: {why}")
        self.code = code


@dataclass(frozen=True, slots=True)
class StreamVerb:
    """Stream the call to a server, both ways, until it closes the stream. ``both_ways``: it may play audio, too."""

    url: str
    status_callback: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    both_ways: bool = True


@dataclass(frozen=True, slots=True)
class RedirectVerb:
    """Go on with another document."""

    url: str


@dataclass(frozen=True, slots=True)
class HangupVerb:
    """End the call."""


@dataclass(frozen=True, slots=True)
class RejectVerb:
    """Do not take the call; good only as a document's first verb."""


@dataclass(frozen=True, slots=True)
class PauseVerb:
    """Silence."""

    length_s: float


@dataclass(frozen=True, slots=True)
class SayVerb:
    """Speak these words."""

    words: str


@dataclass(frozen=True, slots=True)
class DialVerb:
    """Connect the call to a number, or have it join a conference (``wait_url``: what is heard alone in it;
    empty: silence)."""

    number: str = ""
    conference: str = ""
    wait_url: str | None = None
    ends_on_exit: bool = False
    timeout_s: float = 30.0


Verb = StreamVerb | RedirectVerb | HangupVerb | RejectVerb | PauseVerb | SayVerb | DialVerb


def read_document(text: str, carrier: str) -> list[Verb]:
    """The verbs of a document. Raises DocumentRefused."""
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise DocumentRefused(UNREADABLE, f"the document is no XML: {error}") from None
    if root.tag != "Response":
        raise DocumentRefused(INVALID, f"the document's root is <{root.tag}>, not <Response>")
    for element in root.iter():
        if strange := element.attrib.keys() - ATTRIBUTES.get(element.tag, element.attrib.keys()):
            raise DocumentRefused(INVALID, f"<{element.tag}> has no attribute {min(strange)}")
    return [_verb(element, carrier) for element in root]


def _verb(element: ElementTree.Element, carrier: str) -> Verb:
    read = _READERS.get(element.tag)
    if read is None:
        raise DocumentRefused(INVALID, f"there is no verb <{element.tag}>")
    return read(element, carrier)


def _connect(element: ElementTree.Element, carrier: str) -> Verb:
    children = list(element)
    if len(children) != 1 or children[0].tag != "Stream":
        raise DocumentRefused(INVALID, "<Connect> takes one <Stream>")
    stream = children[0]
    url = stream.get("url", "")
    parts = urlsplit(url)
    if parts.scheme != "wss" and not (parts.scheme == "ws" and parts.hostname in LOOPBACK):
        raise DocumentRefused(BAD_STREAM, f"a stream's address begins with wss://, not as {url[:40]!r}")
    if parts.query or parts.fragment:
        raise DocumentRefused(BAD_STREAM, "a stream's address has no query: use <Parameter>")
    parameters = {}
    for child in stream:
        name, value = child.get("name", ""), child.get("value", "")
        if child.tag != "Parameter" or not name or len(name + value) > MAX_PARAMETER_CHARS:
            raise DocumentRefused(INVALID, "<Stream> takes <Parameter name value>, of 500 characters at most")
        parameters[name] = value
    if stream.get("track", "inbound_track") != "inbound_track":
        raise DocumentRefused(INVALID, "a stream both ways has the track inbound_track")
    # Without this Telnyx plays MP3s, one a second.
    both_ways = carrier != "telnyx" or stream.get("bidirectionalMode") == "rtp"
    return StreamVerb(url, stream.get("statusCallback", ""), parameters, both_ways)


def _redirect(element: ElementTree.Element, carrier: str) -> Verb:
    url = (element.text or "").strip()
    if urlsplit(url).scheme not in ("http", "https"):
        raise DocumentRefused(INVALID, f"<Redirect> needs an address, not {url[:40]!r}")
    if element.get("method", "POST") != "POST":
        raise DocumentRefused(INVALID, "this stand-in redirects by POST")
    return RedirectVerb(url)


def _pause(element: ElementTree.Element, carrier: str) -> Verb:
    length = element.get("length", "1")
    if not length.isdigit():
        raise DocumentRefused(INVALID, f"<Pause> takes whole seconds, not {length!r}")
    return PauseVerb(float(length))


def _say(element: ElementTree.Element, carrier: str) -> Verb:
    words = (element.text or "").strip()
    if not words or len(words) > 4096:
        raise DocumentRefused(INVALID, "<Say> takes 1 to 4,096 characters")
    return SayVerb(words)


def _dial(element: ElementTree.Element, carrier: str) -> Verb:
    timeout = element.get("timeout", "30")
    if not timeout.isdigit():
        raise DocumentRefused(INVALID, f"<Dial> takes a timeout in whole seconds, not {timeout!r}")
    children = list(element)
    if not children:
        number = (element.text or "").strip()
        if number.lower().startswith("sip"):
            raise DocumentRefused(13223, "<Dial> takes a SIP address in a <Sip>")
    elif len(children) == 1 and children[0].tag in ("Number", "Sip"):
        number = (children[0].text or "").strip()
    elif len(children) == 1 and children[0].tag == "Conference":
        room = children[0]
        name = (room.text or "").strip()
        if not name:
            raise DocumentRefused(INVALID, "<Conference> needs a name")
        return DialVerb(
            conference=name,
            wait_url=room.get("waitUrl"),
            ends_on_exit=room.get("endConferenceOnExit") == "true",
        )
    else:
        raise DocumentRefused(INVALID, "<Dial> takes a number or one <Number>, <Sip> or <Conference>")
    if not number:
        raise DocumentRefused(13214, "<Dial> needs a number")
    return DialVerb(number, timeout_s=float(timeout))


_READERS: Final[Mapping[str, Callable[[ElementTree.Element, str], Verb]]] = {
    "Connect": _connect,
    "Redirect": _redirect,
    "Hangup": lambda element, carrier: HangupVerb(),
    "Reject": lambda element, carrier: RejectVerb(),
    "Pause": _pause,
    "Say": _say,
    "Dial": _dial,
}
