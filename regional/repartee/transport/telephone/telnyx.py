"""Telnyx media streaming: JSON with names in snake_case, in any order. Pure.

https://developers.telnyx.com/api-reference/websockets/stream-call-media-over-websocket
"""

from collections.abc import Mapping
from typing import Any

from repartee.transport.telephone import framing as f


class TelnyxFraming:
    """Implements :class:`~repartee.transport.telephone.framing.Framing`."""

    carrier = "telnyx"
    least_ms, most_ms = 20, 1_000
    sorts = True
    resumes = True

    def parse(self, message: str | bytes) -> f.StreamEvent | None:
        """``connected``, ``error`` and what is unknown say nothing."""
        said = f.read_object(message)
        if said.get("event") == "start":
            return self._started(said, f.part(said, "start"))
        return f.usual_event(said, tracks=("inbound", "inbound_track"))

    def _started(self, said: Mapping[str, Any], start: Mapping[str, Any]) -> f.StreamStarted:
        media = f.part(start, "media_format")
        encoding = f.text(media, "encoding") or "PCMU"
        return f.StreamStarted(
            f.text(said, "stream_id") or f.text(start, "stream_id"),
            f.text(start, "call_control_id"),
            f.format_of(encoding, media.get("sample_rate")),
            encoding,
            f.texts(f.part(start, "custom_parameters")),
        )

    def audio(self, audio: bytes) -> str:
        """``media``: 20 ms to 30 s, without an id."""
        return f.written(event="media", media={"payload": f.encoded(audio)})

    def mark(self, name: str) -> str:
        """``mark``"""
        return f.written(event="mark", mark={"name": name})

    def clear(self) -> str:
        """``clear``"""
        return f.written(event="clear")
