"""The latest of a caller's audio, kept in case it must be sent again."""

from collections import deque


class RecentAudio:
    """Pieces of audio, the oldest let go beyond a limit in bytes. Whole pieces only."""

    __slots__ = ("_bytes", "_pieces")

    def __init__(self) -> None:
        self._pieces: deque[bytes] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        return self._bytes

    def append(self, piece: bytes, limit_bytes: int) -> None:
        """Remember a piece."""
        self._pieces.append(piece)
        self._bytes += len(piece)
        while self._bytes > limit_bytes:
            self._bytes -= len(self._pieces.popleft())

    def pieces(self) -> tuple[bytes, ...]:
        """What is remembered, in order."""
        return tuple(self._pieces)

    def clear(self) -> None:
        """Forget everything."""
        self._pieces.clear()
        self._bytes = 0
