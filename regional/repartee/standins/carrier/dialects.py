"""What the two carriers say on a stream, and what they take: Twilio's camelCase, Telnyx's snake_case. Pure.

Written from the carriers' documents; as strict as they are: what they do not know ends the stream or is an error.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

MOST_AUDIO_MS: Final = 30_000
"""Telnyx takes 20 ms to 30 s of audio in a message."""


class StreamViolation(Exception):
    """A message that the carrier does not take. ``code`` is its own number for the error."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(f"{code}: {why}")
        self.code = code


@dataclass(frozen=True, slots=True)
class PlayAudio:
    """Play this (mu-law, 8 kHz)."""

    audio: bytes


@dataclass(frozen=True, slots=True)
class SetMark:
    """Say when all before this has been played."""

    name: str


@dataclass(frozen=True, slots=True)
class DropAudio:
    """Drop what has not been played."""


Wish = PlayAudio | SetMark | DropAudio


@dataclass(frozen=True, slots=True)
class StreamIdentity:
    """Whose stream it is."""

    stream_id: str
    call_id: str
    account_id: str
    caller: str
    called: str


class TwilioDialect:
    """Twilio Media Streams. Each message is given its running number, from 1."""

    def __init__(self, identity: StreamIdentity) -> None:
        self._who = identity

    def connected(self) -> dict[str, Any]:
        """``connected``"""
        return {"event": "connected", "protocol": "Call", "version": "1.0.0"}

    def start(self, number: int, parameters: Mapping[str, str]) -> dict[str, Any]:
        """``start``"""
        who = self._who
        said = {
            "accountSid": who.account_id,
            "streamSid": who.stream_id,
            "callSid": who.call_id,
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": dict(parameters),
        }
        return self._said("start", number, start=said)

    def media(self, number: int, chunk: int, at_ms: int, frame: bytes) -> dict[str, Any]:
        """``media``; its numbers are texts."""
        payload = base64.b64encode(frame).decode()
        said = {"track": "inbound", "chunk": str(chunk), "timestamp": str(at_ms), "payload": payload}
        return self._said("media", number, media=said)

    def digit(self, number: int, digit: str) -> dict[str, Any]:
        """``dtmf``"""
        return self._said("dtmf", number, dtmf={"track": "inbound_track", "digit": digit})

    def mark(self, number: int, name: str) -> dict[str, Any]:
        """``mark``"""
        return self._said("mark", number, mark={"name": name})

    def stop(self, number: int) -> dict[str, Any]:
        """``stop``"""
        said = {"accountSid": self._who.account_id, "callSid": self._who.call_id}
        return self._said("stop", number, stop=said)

    def read(self, message: str | bytes) -> Wish:
        """``media``, ``mark`` and ``clear`` of this stream; anything else is 31924."""
        said = read_text(message, 31924)
        if said.get("streamSid") != self._who.stream_id:
            raise StreamViolation(31924, "the message names no streamSid, or another stream's")
        only_known(said, "streamSid", 31924)
        match said.get("event"):
            case "media":
                return PlayAudio(audio_in(said, 31924))
            case "mark":
                return SetMark(mark_in(said, 31924))
            case "clear":
                return DropAudio()
        raise StreamViolation(31924, f"there is no event {said.get('event')!r}")

    def _said(self, event: str, number: int, **fields: Any) -> dict[str, Any]:
        return {"event": event, "sequenceNumber": str(number), "streamSid": self._who.stream_id, **fields}


class TelnyxDialect(TwilioDialect):
    """Telnyx media streaming: much the same, with names in snake_case."""

    def connected(self) -> dict[str, Any]:
        """``connected``"""
        return {"event": "connected", "version": "1.0.0"}

    def start(self, number: int, parameters: Mapping[str, str]) -> dict[str, Any]:
        """``start``"""
        who = self._who
        said = {
            "user_id": who.account_id,
            "call_control_id": who.call_id,
            "call_session_id": f"session-{who.call_id}",
            "from": who.caller,
            "to": who.called,
            "custom_parameters": dict(parameters),
            "media_format": {"encoding": "PCMU", "sample_rate": 8000, "channels": 1},
        }
        return self._said("start", number, start=said)

    def digit(self, number: int, digit: str) -> dict[str, Any]:
        """``dtmf``"""
        return self._said("dtmf", number, dtmf={"digit": digit})

    def stop(self, number: int) -> dict[str, Any]:
        """``stop``"""
        said = {"user_id": self._who.account_id, "call_control_id": self._who.call_id}
        return self._said("stop", number, stop=said)

    def read(self, message: str | bytes) -> Wish:
        """``media``, ``mark`` and ``clear``; anything else is an ``error`` frame, and the end."""
        said = read_text(message, 100003)
        only_known(said, "stream_id", 100003)
        match said.get("event"):
            case "media":
                audio = audio_in(said, 100004)
                if not 20 <= len(audio) / 8 <= MOST_AUDIO_MS:
                    raise StreamViolation(100005, "a message has 20 ms to 30 s of audio")
                return PlayAudio(audio)
            case "mark":
                return SetMark(mark_in(said, 100003))
            case "clear":
                return DropAudio()
        raise StreamViolation(100002, f"there is no event {said.get('event')!r}")

    def _said(self, event: str, number: int, **fields: Any) -> dict[str, Any]:
        return {"event": event, "sequence_number": str(number), "stream_id": self._who.stream_id, **fields}


DIALECTS: Final[Mapping[str, type[TwilioDialect]]] = {"twilio": TwilioDialect, "telnyx": TelnyxDialect}
"""By the carrier's name."""


def read_text(message: str | bytes, code: int) -> Mapping[str, Any]:
    """A message that is a JSON object in a text frame. Raises StreamViolation."""
    if isinstance(message, bytes):
        raise StreamViolation(code, "messages are text, not binary")
    try:
        said = json.loads(message)
    except ValueError:
        raise StreamViolation(code, "the message is no JSON") from None
    if not isinstance(said, dict):
        raise StreamViolation(code, "the message is no object")
    return said


def only_known(said: Mapping[str, Any], stream: str, code: int) -> None:
    """No fields but a message's own; ``stream`` is what its stream's id is called. Raises StreamViolation."""
    strange = said.keys() - {"event", stream, "media", "mark"}
    for part, known in (("media", {"payload"}), ("mark", {"name"})):
        inner = said.get(part)
        strange |= {f"{part}.{name}" for name in inner.keys() - known} if isinstance(inner, dict) else set()
    if strange:
        raise StreamViolation(code, f"there is no field {min(strange)}")


def audio_in(said: Mapping[str, Any], code: int) -> bytes:
    """A message's audio. Raises StreamViolation."""
    media = said.get("media")
    payload = media.get("payload") if isinstance(media, dict) else None
    if not isinstance(payload, str) or not payload:
        raise StreamViolation(code, "media has no payload")
    try:
        return base64.b64decode(payload, validate=True)
    except (binascii.Error, ValueError):
        raise StreamViolation(code, "the payload is no base64") from None


def mark_in(said: Mapping[str, Any], code: int) -> str:
    """A mark's name. Raises StreamViolation."""
    mark = said.get("mark")
    name = mark.get("name") if isinstance(mark, dict) else None
    if not isinstance(name, str) or not name:
        raise StreamViolation(code, "a mark has no name")
    return name
