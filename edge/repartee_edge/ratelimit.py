"""A rate limit for a self-hosted edge: one token bucket a name, refilled evenly over a minute. Pure.

A Worker uses the runtime's own binding instead.
"""

from collections import OrderedDict

MAX_NAMES = 20_000


class RateLimiter:
    """``allow`` takes one token of a name; names longest unused are forgotten past MAX_NAMES."""

    def __init__(self, limits_per_minute: dict[str, int]) -> None:
        """``limits_per_minute`` maps a kind (what stands before the colon of a name) to its limit."""
        self._limits = limits_per_minute
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def allow(self, name: str, now: float) -> float:
        """0.0 if the request may pass, else the seconds until the next one may."""
        limit = self._limits.get(name.partition(":")[0])
        if limit is None:
            return 0.0
        per_second = limit / 60
        tokens, filled_at = self._buckets.pop(name, (float(limit), now))
        tokens = min(float(limit), tokens + max(0.0, now - filled_at) * per_second)
        passes = tokens >= 1.0
        self._buckets[name] = (tokens - 1.0 if passes else tokens, now)
        while len(self._buckets) > MAX_NAMES:
            self._buckets.popitem(last=False)
        return 0.0 if passes else (1.0 - tokens) / per_second
