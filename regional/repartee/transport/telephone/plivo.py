"""Plivo's audio streaming: ``playAudio`` says its format each time, checkpoints come back as ``playedStream``. Pure.

https://www.plivo.com/docs/voice/xml/audio-stream/concepts/stream-events
"""

from collections.abc import Mapping
from typing import Any

from repartee.transport.telephone import framing as f


class PlivoFraming:
    """Implements :class:`~repartee.transport.telephone.framing.Framing`."""

    carrier = "plivo"
    least_ms, most_ms = 20, 1_000
    sorts = False
    resumes = True

    def __init__(self) -> None:
        self._stream_id = ""
        self._sends = {"contentType": "audio/x-l16", "sampleRate": "8000"}

    def parse(self, message: str | bytes) -> f.StreamEvent | None:
        """Its timestamps are a clock's, not the audio's: only ``chunk`` says where audio belongs."""
        said = f.read_object(message)
        match said.get("event"):
            case "start":
                return self._started(said, f.part(said, "start"))
            case "playedStream":
                return f.MarkPlayed(f.text(said, "name"))
        return f.usual_event(said, timed=False)

    def _started(self, said: Mapping[str, Any], start: Mapping[str, Any]) -> f.StreamStarted:
        first = not self._stream_id
        self._stream_id = self._stream_id or f.text(start, "streamId") or f.text(said, "streamId")
        media = f.part(start, "mediaFormat")
        encoding = f.text(media, "encoding") or self._sends["contentType"]
        format_ = f.format_of(encoding, media.get("sampleRate"))
        if format_ and first:
            kind = encoding.partition(";")[0]
            self._sends = {"contentType": kind, "sampleRate": str(format_.hz)}
        return f.StreamStarted(self._stream_id, f.text(start, "callId"), format_, encoding)

    def audio(self, audio: bytes) -> str:
        """``playAudio``"""
        return f.written(event="playAudio", media={**self._sends, "payload": f.encoded(audio)})

    def mark(self, name: str) -> str:
        """``checkpoint``"""
        return f.written(event="checkpoint", streamId=self._stream_id, name=name)

    def clear(self) -> str:
        """``clearAudio``"""
        return f.written(event="clearAudio", streamId=self._stream_id)
