"""Twilio Media Streams: JSON with names in camelCase, numbers as text. Pure.

https://www.twilio.com/docs/voice/media-streams/websocket-messages
"""

from collections.abc import Mapping
from typing import Any

from repartee.transport.telephone import framing as f


class TwilioFraming:
    """Implements :class:`~repartee.transport.telephone.framing.Framing`."""

    carrier = "twilio"
    least_ms, most_ms = 20, 1_000
    sorts = False
    resumes = True

    def __init__(self) -> None:
        self._stream_id = ""

    def parse(self, message: str | bytes) -> f.StreamEvent | None:
        """``connected`` and what is unknown say nothing. Ids and the ``start`` object may be missing."""
        said = f.read_object(message)
        if said.get("event") == "start":
            return self._started(said, f.part(said, "start"))
        return f.usual_event(said)

    def _started(self, said: Mapping[str, Any], start: Mapping[str, Any]) -> f.StreamStarted:
        self._stream_id = self._stream_id or f.text(said, "streamSid") or f.text(start, "streamSid")
        media = f.part(start, "mediaFormat")
        encoding = f.text(media, "encoding") or "audio/x-mulaw"
        return f.StreamStarted(
            self._stream_id,
            f.text(start, "callSid"),
            f.format_of(encoding, media.get("sampleRate")),
            encoding,
            f.texts(f.part(start, "customParameters")),
        )

    def audio(self, audio: bytes) -> str:
        """``media``: any number of frames."""
        return f.written(event="media", streamSid=self._stream_id, media={"payload": f.encoded(audio)})

    def mark(self, name: str) -> str:
        """``mark``"""
        return f.written(event="mark", streamSid=self._stream_id, mark={"name": name})

    def clear(self) -> str:
        """``clear``"""
        return f.written(event="clear", streamSid=self._stream_id)
