"""The agent's audio, one frame each 20 ms by the clock, whatever bursts it comes in.

What has been paced out is known to the sample, and what has not can be taken back at once: that is how a barge-in
stops the agent, and how the call knows what was heard. Pure; times are seconds, audio is ms.
"""

from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass, field

FRAME_MS = 20
BEHIND_S = 0.2
"""Further behind than this (the process stood still), the clock starts anew instead of catching up in a burst."""

MOST_MS = 300_000.0
"""The audio that may wait: five minutes."""


@dataclass(slots=True)
class _Piece:
    item: Hashable
    pcm: bytes
    at: int = 0


@dataclass(frozen=True, slots=True)
class AudioFrame:
    """A frame that is due. ``parts`` says what is in it: items, and how many ms of each. ``first``: the one before
    was not right before it."""

    pcm: bytes
    parts: tuple[tuple[Hashable, float], ...]
    first: bool


@dataclass(slots=True)
class _Progress:
    queued: int = 0
    paced: int = 0
    ended: bool = False


@dataclass(slots=True)
class Pacer:
    """One call's audio, mono PCM16. An item is anything hashable: a reply, a response."""

    bytes_per_ms: int
    frame_ms: int = FRAME_MS
    most_ms: float = MOST_MS
    _pieces: deque[_Piece] = field(default_factory=deque)
    _progress: dict[Hashable, _Progress] = field(default_factory=dict)
    _due: float | None = None
    _last_at: float | None = None
    _waiting: int = 0

    @property
    def due(self) -> float | None:
        """When the next frame is to be sent; None while there is none."""
        return self._due

    @property
    def waiting_ms(self) -> float:
        """Audio that has not been paced out."""
        return self._waiting / self.bytes_per_ms

    @property
    def items(self) -> list[Hashable]:
        """Those that have not been paced out to their end, and not been forgotten."""
        return list(self._progress)

    def paced_ms(self, item: Hashable) -> float:
        """How much of an item has been paced out."""
        progress = self._progress.get(item)
        return progress.paced / self.bytes_per_ms if progress else 0.0

    def is_through(self, item: Hashable) -> bool:
        """The item has ended, and all of it has been paced out."""
        progress = self._progress.get(item)
        return progress is None or (progress.ended and progress.paced >= progress.queued)

    def put(self, item: Hashable, pcm: bytes, now: float) -> bool:
        """More of an item. False: too much waits already, and this was not taken."""
        if self.waiting_ms + len(pcm) / self.bytes_per_ms > self.most_ms:
            return False
        if pcm:
            self._pieces.append(_Piece(item, pcm))
            self._waiting += len(pcm)
            self._progress.setdefault(item, _Progress()).queued += len(pcm)
            self._wake(now)
        return True

    def end(self, item: Hashable, now: float) -> None:
        """Nothing more comes of this item: what is left of it goes out, though it is no whole frame."""
        if item in self._progress:
            self._progress[item].ended = True
            self._wake(now)

    def clear(self, item: Hashable) -> float:
        """Take back what has not been paced out of an item; how much that was."""
        kept = [piece for piece in self._pieces if piece.item != item]
        dropped = sum(len(piece.pcm) - piece.at for piece in self._pieces if piece.item == item)
        self._pieces = deque(kept)
        self._waiting -= dropped
        if item in self._progress:
            progress = self._progress[item]
            progress.queued, progress.ended = progress.paced, True
        if not self._has_frame():
            self._due = None
        return dropped / self.bytes_per_ms

    def forget(self, item: Hashable) -> None:
        """Nothing will be asked about this item again."""
        self._progress.pop(item, None)

    def take(self, now: float) -> AudioFrame | None:
        """The frame that is due; None if none is."""
        if self._due is None or now < self._due:
            return None
        size = self.frame_ms * self.bytes_per_ms
        parts: list[tuple[Hashable, float]] = []
        frame = b""
        while len(frame) < size and self._pieces:
            piece = self._pieces[0]
            taken = piece.pcm[piece.at : piece.at + size - len(frame)]
            piece.at += len(taken)
            frame += taken
            self._waiting -= len(taken)
            self._progress[piece.item].paced += len(taken)
            parts.append((piece.item, len(taken) / self.bytes_per_ms))
            if piece.at >= len(piece.pcm):
                self._pieces.popleft()
        first = self._last_at is None or self._due - self._last_at > 1.5 * self.frame_ms / 1000
        self._last_at = self._due
        late = now - self._due > BEHIND_S
        following = (now if late else self._due) + self.frame_ms / 1000
        self._due = following if self._has_frame() else None
        return AudioFrame(frame + bytes(size - len(frame)), tuple(parts), first)

    def _wake(self, now: float) -> None:
        if self._due is None and self._has_frame():
            self._due = now if self._last_at is None else max(now, self._last_at + self.frame_ms / 1000)

    def _has_frame(self) -> bool:
        """Whether what waits makes a frame, or is the last of something that has ended."""
        if not self._pieces:
            return False
        if self._waiting >= self.frame_ms * self.bytes_per_ms:
            return True
        return self._progress[self._pieces[-1].item].ended
