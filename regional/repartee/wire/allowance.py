"""How often something may be done: a token bucket. Pure; times are seconds and come in as ``now``."""


class Allowance:
    """``per_s`` times a second in the long run; what was not used in the last ``burst_s`` seconds, at once."""

    def __init__(self, per_s: float, burst_s: float) -> None:
        self._per_s = per_s
        self._most = per_s * burst_s
        self._left = self._most
        self._at: float | None = None

    def __repr__(self) -> str:
        return f"<Allowance: {self._left:.1f} of {self._most:g} left>"

    def take(self, now: float, times: int = 1) -> bool:
        """Whether it may be done so many times more, now; if so, it counts as done."""
        if self._at is not None:
            self._left = min(self._left + (now - self._at) * self._per_s, self._most)
        self._at = now
        if self._left < times:
            return False
        self._left -= times
        return True
