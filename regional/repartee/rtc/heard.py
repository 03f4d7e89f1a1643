"""What the caller has heard: what was sent, once it is through the line and a jitter buffer. Pure.

Times are seconds, audio is ms.
"""

from collections import deque
from collections.abc import Hashable


class HeardClock:
    """One call's audio between being sent and being heard."""

    def __init__(self) -> None:
        self._on_the_way: deque[tuple[float, Hashable, float]] = deque()

    def __repr__(self) -> str:
        return f"<HeardClock: {len(self._on_the_way)} frames on the way>"

    @property
    def pending(self) -> bool:
        """Something was sent that has not been heard yet."""
        return bool(self._on_the_way)

    def sent(self, item: Hashable, total_ms: float, now: float) -> None:
        """So much of an item has been sent in all."""
        self._on_the_way.append((now, item, total_ms))

    def heard(self, delay_ms: float, now: float) -> dict[Hashable, float]:
        """How much of which items has been heard since the last time, counted from each one's start."""
        news: dict[Hashable, float] = {}
        while self._on_the_way and self._on_the_way[0][0] + delay_ms / 1000 <= now:
            _, item, total_ms = self._on_the_way.popleft()
            news[item] = total_ms
        return news
