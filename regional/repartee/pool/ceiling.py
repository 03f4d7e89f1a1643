"""How many dials a second are allowed, whatever asks for them.

Back-off answers one cause of dials at a time; this bounds them all. Pure: time comes in as ``now``.
"""

from collections import deque

WINDOW_S = 1.0


class DialCeiling:
    """Counts dials over the last second. ``idle_per_s`` while no call is in progress, ``busy_per_s`` otherwise."""

    __slots__ = ("_busy_per_s", "_idle_per_s", "_times")

    def __init__(self, idle_per_s: int, busy_per_s: int) -> None:
        self._idle_per_s = idle_per_s
        self._busy_per_s = busy_per_s
        self._times: deque[float] = deque()

    def left(self, now: float, *, busy: bool) -> int:
        """How many dials may start now."""
        while self._times and now - self._times[0] >= WINDOW_S:
            self._times.popleft()
        return max(0, self._limit(busy) - len(self._times))

    def count(self, now: float, dials: int = 1) -> None:
        """So many dials start now. No more are remembered than either limit needs."""
        self._times.extend([now] * dials)
        while len(self._times) > max(self._busy_per_s, self._idle_per_s):
            self._times.popleft()

    def free_at(self, now: float, *, busy: bool) -> float:
        """When the next dial may start: ``now``, or later."""
        if self.left(now, busy=busy):
            return now
        return self._times[-self._limit(busy)] + WINDOW_S

    def _limit(self, busy: bool) -> int:
        return self._busy_per_s if busy else self._idle_per_s
