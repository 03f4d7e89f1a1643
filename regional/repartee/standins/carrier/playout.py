"""What a carrier still has to play of a stream: frames of 20 ms, and the marks between them. Pure."""

from collections import deque

FRAME_BYTES = 160
"""20 ms of mu-law at 8 kHz."""

SILENCE = b"\xff" * FRAME_BYTES
BUFFER_MS = 600_000
"""What is more than ten minutes is thrown away (Twilio's 31931)."""


class CarrierPlayout:
    """Plays one stream."""

    def __init__(self, buffer_ms: int = BUFFER_MS) -> None:
        self._limit = buffer_ms * FRAME_BYTES // 20
        self._audio = bytearray()
        self._put = 0
        self._played = 0
        self._marks: deque[tuple[str, int]] = deque()
        self.thrown_away_ms = 0.0

    @property
    def waiting_ms(self) -> float:
        """What is still to be played."""
        return len(self._audio) * 20 / FRAME_BYTES

    def put(self, audio: bytes) -> None:
        """Audio of any length."""
        fits = audio[: self._limit - len(self._audio)]
        self.thrown_away_ms += (len(audio) - len(fits)) * 20 / FRAME_BYTES
        self._audio += fits
        self._put += len(fits)

    def mark(self, name: str) -> None:
        """To come back when all before it has been played."""
        self._marks.append((name, self._put))

    def clear(self) -> list[str]:
        """Drop what has not been played; the marks that come back because of that."""
        self._audio.clear()
        self._played = self._put
        return self._reached()

    def play(self) -> tuple[bytes, list[str]]:
        """The next 20 ms (less is filled up: it crackles), and the marks that have been reached with them."""
        frame = bytes(self._audio[:FRAME_BYTES])
        del self._audio[:FRAME_BYTES]
        self._played += len(frame)
        return frame + SILENCE[len(frame) :], self._reached()

    def _reached(self) -> list[str]:
        names = []
        while self._marks and self._marks[0][1] <= self._played:
            names.append(self._marks.popleft()[0])
        return names
