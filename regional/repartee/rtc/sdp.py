"""Session descriptions (RFC 8866, RFC 8829) of a call with one audio line and, mostly, one for data channels.

Reads offers of browsers, aiortc and Pion, and writes the answer that a worker on one port gives; the calling side
writes offers and reads answers. The lite side ignores candidates: it learns addresses from checks. Pure.
"""

import re
from dataclasses import dataclass, field
from typing import Final

from repartee.rtc.ice import IceCredentials

MAX_CHARS: Final = 65_536
MOST_LINES: Final = 2_000
MOST_SECTIONS: Final = 32
SCTP_PORT: Final = 5_000
MAX_MESSAGE_BYTES: Final = 262_144

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+\-.^_`{|}~]{1,64}")
_ICE_WORD = re.compile(r"[A-Za-z0-9+/=_-]{4,256}")
_UDP_PRIORITY = 2_130_706_431
_TCP_PRIORITY = 1_671_430_143


class OfferRefused(Exception):
    """The description is none, or asks for what cannot be given; says what to do."""


@dataclass(frozen=True, slots=True)
class IceCandidate:
    """Where a side can be reached. ``protocol`` is ``udp``, or ``tcp`` for a passive ICE-TCP candidate."""

    host: str
    port: int
    protocol: str = "udp"


@dataclass(frozen=True, slots=True)
class MediaSection:
    """One m-line and what belongs to it."""

    kind: str
    protocol: str
    formats: tuple[str, ...]
    attributes: tuple[tuple[str, str], ...]

    def values(self, name: str) -> list[str]:
        """The values of an attribute."""
        return [value for key, value in self.attributes if key == name]

    def value(self, name: str) -> str | None:
        """The first of them."""
        return next(iter(self.values(name)), None)

    @property
    def mid(self) -> str:
        """Its name within the description."""
        mid = self.value("mid") or "0"
        if not _TOKEN.fullmatch(mid):
            raise OfferRefused("a=mid must be a short token")
        return mid

    @property
    def direction(self) -> str:
        """``sendrecv``, ``sendonly``, ``recvonly`` or ``inactive``."""
        named = ("sendrecv", "sendonly", "recvonly", "inactive")
        return next((key for key, _ in self.attributes if key in named), "sendrecv")

    def payload_type(self, encoding: str) -> int | None:
        """Of the first format with this encoding, as in ``opus/48000/2``."""
        for value in self.values("rtpmap"):
            number, _, name = value.partition(" ")
            if name.strip().lower() == encoding and number in self.formats and number.isdigit():
                return int(number) if int(number) < 128 else None
        return None

    def parameters(self, payload_type: int) -> str:
        """The fmtp of a format."""
        for value in self.values("fmtp"):
            number, _, parameters = value.partition(" ")
            if number == str(payload_type):
                return parameters
        return ""


@dataclass(frozen=True, slots=True)
class Description:
    """A description, as far as this side needs it. ``session_id`` tells one peer connection from another."""

    ice: IceCredentials
    fingerprints: tuple[tuple[str, str], ...]
    setup: str
    sections: tuple[MediaSection, ...]
    audio: MediaSection
    opus: int
    red: int | None
    data: MediaSection | None
    session_id: str = ""
    candidates: tuple[IceCandidate, ...] = field(default_factory=tuple)
    keys: tuple[int, int] | None = None
    """Of ``telephone-event``: the payload type, and its clock in Hz."""


def parse(text: str) -> Description:
    """Read a description. Raises OfferRefused, which says what is missing."""
    sections = _sections(text)
    session, media = sections[0], sections[1:]
    audio = next((each for each in media if each.kind == "audio" and "RTP/SAVPF" in each.protocol), None)
    if audio is None:
        raise OfferRefused("The description has no audio line (m=audio … UDP/TLS/RTP/SAVPF).")
    opus = audio.payload_type("opus/48000/2")
    if opus is None:
        raise OfferRefused("The audio line must offer Opus (a=rtpmap:… opus/48000/2).")
    if audio.value("rtcp-mux") is None:
        raise OfferRefused("The audio line must allow a=rtcp-mux: there is one port for everything.")
    red = audio.payload_type("red/48000/2")
    if red is not None and audio.parameters(red).split("/")[0] != str(opus):
        red = None
    data = next(
        (each for each in media if each.kind == "application" and each.value("sctp-port") is not None), None
    )
    return Description(
        _ice(session, audio),
        _fingerprints(session, audio),
        audio.value("setup") or session.value("setup") or "actpass",
        tuple(media),
        audio,
        opus,
        red,
        data,
        session.value("o=") or "",
        tuple(candidate for value in audio.values("candidate") if (candidate := _candidate(value))),
        _keys(audio),
    )


def _keys(audio: MediaSection) -> tuple[int, int] | None:
    """Keys by RTP, at Opus's clock if that is offered."""
    for hz in (48_000, 8_000):
        if (payload_type := audio.payload_type(f"telephone-event/{hz}")) is not None:
            return payload_type, hz
    return None


def _sections(text: str) -> list[MediaSection]:
    """The session's part, then each m-line's."""
    lines = text.replace("\r\n", "\n").split("\n")
    if len(text) > MAX_CHARS or len(lines) > MOST_LINES:
        raise OfferRefused(f"The description is too long: {MAX_CHARS} characters are the most.")
    if lines[0].strip() != "v=0":
        raise OfferRefused("This is no session description: it begins with v=0.")
    found: list[MediaSection] = []
    head: tuple[str, str, tuple[str, ...]] = ("", "", ())
    attributes: list[tuple[str, str]] = []
    for line in [*lines[1:], "m="]:
        if line.startswith("m="):
            found.append(MediaSection(*head, tuple(attributes)))
            words = line[2:].split()
            head = (words[0], words[2], tuple(words[3:])) if len(words) > 3 else ("", "", ())
            attributes = []
        elif line.startswith("a="):
            name, _, value = line[2:].strip().partition(":")
            attributes.append((name, value))
        elif line.startswith("o="):
            attributes.append(("o=", " ".join(line[2:].split()[:2])))
    if len(found) > MOST_SECTIONS:
        raise OfferRefused(f"The description has {len(found)} parts: {MOST_SECTIONS} are the most.")
    return found


def _ice(session: MediaSection, audio: MediaSection) -> IceCredentials:
    ufrag = audio.value("ice-ufrag") or session.value("ice-ufrag") or ""
    password = audio.value("ice-pwd") or session.value("ice-pwd") or ""
    if not _ICE_WORD.fullmatch(ufrag) or not _ICE_WORD.fullmatch(password):
        raise OfferRefused("The description has no a=ice-ufrag and a=ice-pwd.")
    return IceCredentials(ufrag, password)


def _fingerprints(session: MediaSection, audio: MediaSection) -> tuple[tuple[str, str], ...]:
    found = []
    for value in audio.values("fingerprint") or session.values("fingerprint"):
        name, _, digest = value.partition(" ")
        found.append((name.lower(), digest.strip().upper()))
    if not found:
        raise OfferRefused("The description has no a=fingerprint: DTLS needs it.")
    return tuple(found)


def _candidate(value: str) -> IceCandidate | None:
    words = value.split()
    if len(words) < 8 or not words[5].isdigit() or words[1] != "1":
        return None
    protocol = words[2].lower()
    if protocol == "tcp" and "passive" not in words:
        return None
    return IceCandidate(words[4], int(words[5]), protocol)


@dataclass(frozen=True, slots=True)
class AnswerParts:
    """What this side puts into its answer. ``low_delay``: 10 ms frames are wished for."""

    ice: IceCredentials
    fingerprint: str
    candidates: tuple[IceCandidate, ...]
    ssrc: int
    session_id: int
    version: int = 1
    frame_ms: int = 20


_MIRRORED = {"sendrecv": "sendrecv", "sendonly": "recvonly", "recvonly": "sendonly", "inactive": "inactive"}


def answer(offer: Description, parts: AnswerParts) -> str:
    """The answer to an offer: its lines in its order, the audio and the data channel taken, all else refused."""
    taken = [offer.audio, *([offer.data] if offer.data else [])]
    lines = [
        "v=0",
        f"o=- {parts.session_id} {parts.version} IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        "a=ice-lite",
        f"a=group:BUNDLE {' '.join(each.mid for each in taken)}",
        "a=msid-semantic: WMS agent",
    ]
    # An offer that is active already leaves the passive part to us, and `actpass` lets us choose it.
    setup = "active" if offer.setup == "passive" else "passive"
    for section in offer.sections:
        if section is offer.audio:
            lines += _audio_answer(offer, parts)
        elif section is offer.data:
            lines += [
                "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
                "c=IN IP4 0.0.0.0",
                f"a=mid:{section.mid}",
                f"a=sctp-port:{SCTP_PORT}",
                f"a=max-message-size:{MAX_MESSAGE_BYTES}",
            ]
        else:
            lines += _refused(section)
            continue
        lines += _transport(parts, setup)
    return "\r\n".join(lines) + "\r\n"


def _audio_answer(offer: Description, parts: AnswerParts) -> list[str]:
    opus, red, keys = offer.opus, offer.red, offer.keys
    formats = [*([red] if red is not None else []), opus, *([keys[0]] if keys else [])]
    lines = [
        f"m=audio 9 UDP/TLS/RTP/SAVPF {' '.join(map(str, formats))}",
        "c=IN IP4 0.0.0.0",
        f"a=mid:{offer.audio.mid}",
        f"a={_MIRRORED[offer.audio.direction]}",
        "a=rtcp-mux",
    ]
    if red is not None:
        lines += [f"a=rtpmap:{red} red/48000/2", f"a=fmtp:{red} {opus}/{opus}"]
    if keys is not None:
        lines += [f"a=rtpmap:{keys[0]} telephone-event/{keys[1]}", f"a=fmtp:{keys[0]} 0-15"]
    return [
        *lines,
        f"a=rtpmap:{opus} opus/48000/2",
        f"a=fmtp:{opus} minptime=10;useinbandfec=1;stereo=0",
        f"a=ptime:{parts.frame_ms}",
        "a=msid:agent agent0",
        f"a=ssrc:{parts.ssrc} cname:agent",
    ]


def _transport(parts: AnswerParts, setup: str) -> list[str]:
    lines = [
        f"a=ice-ufrag:{parts.ice.ufrag}",
        f"a=ice-pwd:{parts.ice.password}",
        f"a=fingerprint:{parts.fingerprint}",
        f"a=setup:{setup}",
    ]
    for number, candidate in enumerate(parts.candidates, 1):
        lines.append(_candidate_line(number, candidate))
    return [*lines, "a=end-of-candidates"]


def _candidate_line(number: int, candidate: IceCandidate) -> str:
    priority = (_UDP_PRIORITY if candidate.protocol == "udp" else _TCP_PRIORITY) - 256 * (number - 1)
    kind = " tcptype passive" if candidate.protocol == "tcp" else ""
    return f"a=candidate:{number} 1 {candidate.protocol} {priority} {candidate.host} {candidate.port} typ host{kind}"


def _refused(section: MediaSection) -> list[str]:
    kind = section.kind if _TOKEN.fullmatch(section.kind) else "application"
    known = all(_TOKEN.fullmatch(word) for word in section.formats)
    formats = " ".join(section.formats) if known and section.formats else "0"
    protocol = section.protocol if re.fullmatch(r"[A-Z/]{3,32}", section.protocol) else "UDP/TLS/RTP/SAVPF"
    return [f"m={kind} 0 {protocol} {formats}", "c=IN IP4 0.0.0.0", f"a=mid:{section.mid}", "a=inactive"]


@dataclass(frozen=True, slots=True)
class OfferParts:
    """What the calling side puts into its offer."""

    ice: IceCredentials
    fingerprint: str
    ssrc: int
    session_id: int
    red: bool = True
    channel: bool = True


OPUS_PAYLOAD: Final = 111
RED_PAYLOAD: Final = 63


def offer(parts: OfferParts) -> str:
    """An offer of Opus (and RED), and of a data channel. It needs no candidates: the other side is lite."""
    mids = ["0", *(["1"] if parts.channel else [])]
    transport = [
        f"a=ice-ufrag:{parts.ice.ufrag}",
        f"a=ice-pwd:{parts.ice.password}",
        f"a=fingerprint:{parts.fingerprint}",
        "a=setup:actpass",
    ]
    formats = f"{OPUS_PAYLOAD} {RED_PAYLOAD}" if parts.red else f"{OPUS_PAYLOAD}"
    lines = [
        "v=0",
        f"o=- {parts.session_id} 1 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        f"a=group:BUNDLE {' '.join(mids)}",
        f"m=audio 9 UDP/TLS/RTP/SAVPF {formats}",
        "c=IN IP4 0.0.0.0",
        "a=mid:0",
        "a=sendrecv",
        "a=rtcp-mux",
        f"a=rtpmap:{OPUS_PAYLOAD} opus/48000/2",
        f"a=fmtp:{OPUS_PAYLOAD} minptime=10;useinbandfec=1",
    ]
    if parts.red:
        lines += [
            f"a=rtpmap:{RED_PAYLOAD} red/48000/2",
            f"a=fmtp:{RED_PAYLOAD} {OPUS_PAYLOAD}/{OPUS_PAYLOAD}",
        ]
    lines += [f"a=ssrc:{parts.ssrc} cname:caller", *transport]
    if parts.channel:
        lines += [
            "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
            "c=IN IP4 0.0.0.0",
            "a=mid:1",
            f"a=sctp-port:{SCTP_PORT}",
            *transport,
        ]
    return "\r\n".join(lines) + "\r\n"
