"""Vonage's WebSockets: audio is raw PCM16 in binary messages, all else JSON. Pure.

https://developer.vonage.com/en/voice/voice-api/concepts/websockets
"""

from collections.abc import Mapping
from typing import Any

from repartee.transport.telephone import framing as f

_KNOWN = ("event", "content-type")


class VonageFraming:
    """Implements :class:`~repartee.transport.telephone.framing.Framing`."""

    carrier = "vonage"
    least_ms, most_ms = 20, 20
    sorts = False
    resumes = False

    def parse(self, message: str | bytes) -> f.StreamEvent | None:
        """The headers of the call's document stand in ``websocket:connected``, beside its own fields."""
        if isinstance(message, bytes):
            if len(message) > f.MAX_MESSAGE_BYTES:
                raise f.BadFrame(f"{len(message)} bytes of audio came at once.")
            return f.AudioReceived(message)
        said = f.read_object(message)
        match said.get("event"):
            case "websocket:connected":
                return self._started(said)
            case "websocket:dtmf":
                return f.DigitReceived(f.text(said, "digit") or f.text(f.part(said, "dtmf"), "digit"))
            case "websocket:notify":
                return f.MarkPlayed(f.text(f.part(said, "payload"), "mark"))
            case "websocket:disconnected":
                return f.StreamEnded()
        return None

    def _started(self, said: Mapping[str, Any]) -> f.StreamStarted:
        encoding = f.text(said, "content-type") or "audio/l16;rate=16000"
        others = {name: value for name, value in said.items() if name not in _KNOWN}
        parameters = {**f.texts(others), **f.texts(f.part(said, "headers"))}
        return f.StreamStarted("", parameters.get("call_id", ""), f.format_of(encoding), encoding, parameters)

    def audio(self, audio: bytes) -> bytes:
        """One frame of 20 ms, as it is."""
        return audio

    def mark(self, name: str) -> str:
        """``notify``"""
        return f.written(action="notify", payload={"mark": name})

    def clear(self) -> str:
        """``clear``"""
        return f.written(action="clear")
