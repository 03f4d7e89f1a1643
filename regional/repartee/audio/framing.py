"""Turns a stream of audio that comes in pieces of any length into frames of equal length.

Owns the remainder between pieces; knows nothing of what the frames are for.
"""

from repartee.audio.pcm import bytes_for_ms


class Framer:
    """Aggregates PCM into frames of ``frame_ms``; a piece that already is one frame passes through uncopied."""

    __slots__ = ("_frame_bytes", "_rest")

    def __init__(self, frame_ms: float, hz: int) -> None:
        self._frame_bytes = bytes_for_ms(frame_ms, hz)
        if self._frame_bytes <= 0:
            raise ValueError(f"a frame of {frame_ms} ms at {hz} Hz holds no sample")
        self._rest = b""

    @property
    def frame_bytes(self) -> int:
        return self._frame_bytes

    @property
    def pending_bytes(self) -> int:
        """Bytes held back, waiting for a frame to be full; always less than one frame."""
        return len(self._rest)

    def feed(self, pcm: bytes) -> list[bytes]:
        """The frames that this piece completes, oldest first."""
        size = self._frame_bytes
        if not self._rest and len(pcm) == size:
            return [pcm]
        data = self._rest + pcm if self._rest else pcm
        whole = len(data) - len(data) % size
        self._rest = data[whole:]
        if whole == len(data) == size:
            return [data]
        return [data[at : at + size] for at in range(0, whole, size)]

    def flush(self) -> bytes:
        """What is held back, less than a frame; empty if nothing is."""
        rest, self._rest = self._rest, b""
        return rest
