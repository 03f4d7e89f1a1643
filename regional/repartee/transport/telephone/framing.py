"""What a carrier's stream says, and how to speak to it: the vocabulary that all carriers' framings share. Pure.

A framing knows one carrier's messages. It must not know what becomes of them. Pacing, marks, endings and watching
the line are the same for all carriers, and live elsewhere.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import msgspec

from repartee.errors import VoiceError
from repartee.wire import outside_json
from repartee.wire.audio_format import PCM_RATES_HZ, Encoding, WireFormat

MAX_MESSAGE_BYTES: Final = 64 * 1024
"""A carrier's message. None states a limit; a second of PCM16 at 24 kHz in base64 fills all of this."""


MOST_WHOLE: Final = 2**53
"""No number of a carrier's is greater; beyond this a float is not exact."""


class BadFrame(VoiceError):
    """A carrier's message that cannot be read."""


@dataclass(frozen=True, slots=True)
class StreamStarted:
    """The stream begins. ``format`` is None for an encoding that we do not speak; ``encoding`` names it.

    ``stream_id`` and ``call_id`` are empty where the carrier gives none.
    """

    stream_id: str
    call_id: str
    format: WireFormat | None
    encoding: str
    parameters: Mapping[str, str] = field(default_factory=dict)


class AudioReceived(msgspec.Struct, frozen=True, gc=False):
    """The caller's audio. ``at_ms`` is its place in the stream, ``chunk`` its number, where there are any."""

    audio: bytes
    at_ms: int | None = None
    chunk: int | None = None


@dataclass(frozen=True, slots=True)
class DigitReceived:
    """The caller has pressed a key: 0 to 9, ``*``, ``#`` or A to D."""

    digit: str


@dataclass(frozen=True, slots=True)
class MarkPlayed:
    """The carrier has played, or cleared, all that was sent before this mark."""

    name: str


@dataclass(frozen=True, slots=True)
class StreamEnded:
    """The carrier streams no more."""

    reason: str = ""


StreamEvent = StreamStarted | AudioReceived | DigitReceived | MarkPlayed | StreamEnded


class Framing(Protocol):
    """One carrier's messages, for one stream."""

    carrier: str
    """Its name in paths and settings."""

    least_ms: int
    """A message of audio must be so long (the last of an utterance too) ..."""

    most_ms: int
    """... and no longer than this."""

    sorts: bool
    """The carrier's messages may come in another order than that of their audio."""

    resumes: bool
    """The carrier asks what follows a stream, so that closing one may lead to another."""

    def parse(self, message: str | bytes) -> StreamEvent | None:
        """What a message says; None: nothing that matters here. Raises BadFrame."""

    def audio(self, audio: bytes) -> str | bytes:
        """The message that plays this, in the stream's format."""

    def mark(self, name: str) -> str:
        """The message that asks for word when everything before it has been played."""

    def clear(self) -> str:
        """The message that drops what has not been played."""


def usual_event(
    said: Mapping[str, Any], *, tracks: tuple[str, ...] = ("inbound",), timed: bool = True
) -> StreamEvent | None:
    """What most carriers say alike: ``media``, ``dtmf``, ``mark`` and ``stop``; None for all else. ``tracks`` are the
    caller's, if a message names one; ``timed``: its timestamps are the audio's. Raises BadFrame."""
    match said.get("event"):
        case "media":
            media = part(said, "media")
            if text(media, "track") not in ("", *tracks):
                return None
            at_ms = whole(media.get("timestamp")) if timed else None
            return AudioReceived(decoded(media.get("payload")), at_ms, whole(media.get("chunk")))
        case "dtmf":
            return DigitReceived(text(part(said, "dtmf"), "digit"))
        case "mark":
            return MarkPlayed(text(part(said, "mark"), "name"))
        case "stop":
            return StreamEnded(text(part(said, "stop"), "reason"))
    return None


ENCODINGS: Final[Mapping[str, Encoding]] = {
    **dict.fromkeys(("audio/x-mulaw", "audio/mulaw", "mulaw", "ulaw", "pcmu", "audio/pcmu"), "audio/pcmu"),
    **dict.fromkeys(("audio/x-alaw", "audio/alaw", "alaw", "pcma", "audio/pcma"), "audio/pcma"),
    **dict.fromkeys(("audio/x-l16", "audio/l16", "l16", "linear16"), "audio/pcm"),
    **dict.fromkeys(("audio/x-raw", "raw/slin", "slin", "base64"), "audio/pcm"),
}
"""What carriers call the three encodings; PCM16 is little endian with all of them."""

_RATE = re.compile(r"rate\s*=\s*(\d+)")


def format_of(encoding: str, rate: object = None) -> WireFormat | None:
    """The format that a carrier names; None for one that is not spoken here. A rate may stand in the encoding, as in
    ``audio/l16;rate=16000``; 8,000 Hz where none is given."""
    kind = ENCODINGS.get(encoding.partition(";")[0].strip().lower())
    found = _RATE.search(encoding)
    hz = whole(rate) or (int(found[1]) if found else 0) or 8_000
    if kind is None or hz not in PCM_RATES_HZ or (kind != "audio/pcm" and hz != 8_000):
        return None
    return WireFormat(kind, hz)


def read_object(message: str | bytes) -> Mapping[str, Any]:
    """A message that is a JSON object. Raises BadFrame."""
    if len(message) > MAX_MESSAGE_BYTES:
        raise BadFrame(f"A message of {len(message)} bytes came: {MAX_MESSAGE_BYTES} are the most.")
    try:
        found = outside_json.decode(message)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise BadFrame(f"A message is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise BadFrame("A message is no JSON object.")
    return found


def part(message: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """An object in a message; empty if it is missing or something else."""
    found = message.get(name)
    return found if isinstance(found, dict) else {}


def text(message: Mapping[str, Any], *names: str) -> str:
    """The first of these fields that is there, as text; empty if none is."""
    for name in names:
        found = message.get(name)
        if isinstance(found, str | int | float) and not isinstance(found, bool):
            return str(found)
    return ""


def texts(message: Mapping[str, Any]) -> dict[str, str]:
    """All fields that are texts or numbers, as text."""
    return {name: text(message, name) for name in message if text(message, name)}


def whole(value: object) -> int | None:
    """A number that carriers write as text, too; None for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    try:
        found = int(value)
    except ValueError:
        return None
    return found if abs(found) <= MOST_WHOLE else None


def decoded(payload: object) -> bytes:
    """Audio in base64. Raises BadFrame."""
    try:
        # Fifty times a second; base64.b64decode looks through it with a regular expression first.
        return binascii.a2b_base64(payload if isinstance(payload, str) else "", strict_mode=True)
    except (binascii.Error, ValueError):
        raise BadFrame("A message's audio is no base64.") from None


def encoded(audio: bytes) -> str:
    """Audio as base64."""
    return base64.b64encode(audio).decode()


def written(**fields: Any) -> str:
    """A message to a carrier."""
    return msgspec.json.encode(fields).decode()
