"""Exotel's Voicebot applet: Twilio's events with names in snake_case, PCM16 in pieces of 100 ms. Pure.

https://developer.exotel.com/docs/agentstream/websocket-protocol
"""

from collections.abc import Mapping
from typing import Any

from repartee.transport.telephone import framing as f


class ExotelFraming:
    """Implements :class:`~repartee.transport.telephone.framing.Framing`."""

    carrier = "exotel"
    least_ms, most_ms = 100, 1_000
    sorts = False
    resumes = False

    def __init__(self) -> None:
        self._stream_id = ""

    def parse(self, message: str | bytes) -> f.StreamEvent | None:
        """The caller and the called number come as parameters."""
        said = f.read_object(message)
        if said.get("event") == "start":
            return self._started(said, f.part(said, "start"))
        return f.usual_event(said)

    def _started(self, said: Mapping[str, Any], start: Mapping[str, Any]) -> f.StreamStarted:
        self._stream_id = self._stream_id or f.text(said, "stream_sid") or f.text(start, "stream_sid")
        media = f.part(start, "media_format")
        encoding = f.text(media, "encoding") or "raw/slin"
        numbers = f.texts({name: start.get(name) for name in ("from", "to")})
        return f.StreamStarted(
            self._stream_id,
            f.text(start, "call_sid"),
            f.format_of(encoding, media.get("sample_rate")),
            encoding,
            {**f.texts(f.part(start, "custom_parameters")), **numbers},
        )

    def audio(self, audio: bytes) -> str:
        """``media``: 100 ms at least, a multiple of 320 bytes."""
        return f.written(event="media", stream_sid=self._stream_id, media={"payload": f.encoded(audio)})

    def mark(self, name: str) -> str:
        """``mark``"""
        return f.written(event="mark", stream_sid=self._stream_id, mark={"name": name})

    def clear(self) -> str:
        """``clear``"""
        return f.written(event="clear", stream_sid=self._stream_id)
