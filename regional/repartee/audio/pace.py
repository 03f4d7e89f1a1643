"""How fast audio that has waited is sent on: at a multiple of real time, after a first burst. Pure."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PaceSettings:
    """Raises ValueError for a pace at which what waits would never be gone."""

    times_real_time: float = 10.0
    """Audio that waits is sent this many times as fast as it was spoken."""

    burst_ms: float = 2_000.0
    """So much goes at once: 96 kB at 24 kHz, well under what a socket may hold unsent."""

    def __post_init__(self) -> None:
        if self.times_real_time <= 1 or self.burst_ms < 0:
            raise ValueError("times_real_time must be above 1, and burst_ms must not be negative")


class Pace:
    """One stream's allowance. Times are seconds on one clock; ``free_at`` is when the next piece may go."""

    __slots__ = ("_burst_s", "_s_per_ms", "free_at")

    def __init__(self, settings: PaceSettings) -> None:
        self._s_per_ms = 1 / 1000 / settings.times_real_time
        self._burst_s = settings.burst_ms * self._s_per_ms
        self.free_at = -math.inf

    def spend(self, ms: float, now: float) -> None:
        """A piece of this length has gone. It may take more than is left: the next one waits for that."""
        self.free_at = max(self.free_at, now - self._burst_s) + ms * self._s_per_ms
