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
        match said.get("event"):
            case "start":
                return self._started(said, f.part(said, "start"))
            case "media":
                media = f.part(said, "media")
                if f.text(media, "track") not in ("", "inbound", "inbound_track"):
                    return None
                at_ms, chunk = f.whole(media.get("timestamp")), f.whole(media.get("chunk"))
                return f.AudioReceived(f.decoded(media.get("payload")), at_ms, chunk)
            case "dtmf":
                return f.DigitReceived(f.text(f.part(said, "dtmf"), "digit"))
            case "mark":
                return f.MarkPlayed(f.text(f.part(said, "mark"), "name"))
            case "stop":
                return f.StreamEnded()
        return None

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
