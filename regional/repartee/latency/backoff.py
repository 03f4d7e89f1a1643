"""How long to wait before the next attempt at something that keeps failing: one rule for everything that tries
again."""

_MOST_DOUBLINGS = 16
"""The exponent is bounded: 2.0 ** 2000 does not fit a float."""


def backoff_s(failures: int, *, first_s: float, most_s: float) -> float:
    """``first_s`` after the first failure, doubled for each that follows, up to ``most_s``."""
    return min(most_s, first_s * 2.0 ** min(max(failures - 1, 0), _MOST_DOUBLINGS))
