"""Packets in the order in which they were sent, without a playout buffer.

What comes in order goes on at once. Only a gap waits: for two packets after it, or for a while; then it is missing.
Recognition does not care about smoothness, so nothing else is held back. Pure; times are seconds.
"""

from dataclasses import dataclass

WINDOW = 2
"""So many packets may overtake one; when one more comes, it counts as lost."""

HOLD_S = 0.06
"""The longest that a packet waits for one before it."""

MOST_MISSING = 50
"""A gap of more packets is not filled: the sender has jumped, or was away."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """A packet's payload, in its place."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Gap:
    """A packet that did not come. ``following`` is the payload right after it, if that is there: it may hold a poor
    copy of what is missing."""

    following: bytes | None


class ReorderBuffer:
    """One stream's packets."""

    def __init__(self, window: int = WINDOW, hold_s: float = HOLD_S) -> None:
        self._window = window
        self._hold_s = hold_s
        self._next: int | None = None
        self._held: dict[int, bytes] = {}
        self.deadline: float | None = None
        """When :meth:`flush` is due."""
        self.late = 0
        self.missing = 0

    def __repr__(self) -> str:
        return f"<ReorderBuffer: {len(self._held)} held, {self.missing} missing, {self.late} late>"

    def feed(
        self, sequence: int, payload: bytes, now: float, earlier: bytes | None = None
    ) -> list[Arrived | Gap]:
        """A packet; what can go on now. ``earlier``: the packet before it, which it brings along (RED)."""
        if self._next is None:
            self._next = sequence
        ahead = sequence - self._next & 0xFFFF
        if ahead >= 0x8000:
            self.late += 1
            return []
        if ahead > MOST_MISSING:
            self._held.clear()
            self._next = sequence
        if earlier is not None and 0 < ahead <= MOST_MISSING:
            self._held.setdefault(sequence - 1 & 0xFFFF, earlier)
        self._held[sequence] = payload
        ready = self._in_order()
        while len(self._held) > self._window:
            ready += self._skip()
        self._set_deadline(now)
        return ready

    def flush(self, now: float) -> list[Arrived | Gap]:
        """The wait is over: what is missing is missing."""
        ready: list[Arrived | Gap] = []
        while self._held:
            ready += self._skip()
        self._set_deadline(now)
        return ready

    def _in_order(self) -> list[Arrived | Gap]:
        ready: list[Arrived | Gap] = []
        assert self._next is not None
        while (payload := self._held.pop(self._next, None)) is not None:
            ready.append(Arrived(payload))
            self._next = self._next + 1 & 0xFFFF
        return ready

    def _skip(self) -> list[Arrived | Gap]:
        """Give up the packet that is next, and go on after it."""
        assert self._next is not None
        self.missing += 1
        self._next = self._next + 1 & 0xFFFF
        return [Gap(self._held.get(self._next)), *self._in_order()]

    def _set_deadline(self, now: float) -> None:
        if not self._held:
            self.deadline = None
        elif self.deadline is None:
            self.deadline = now + self._hold_s
