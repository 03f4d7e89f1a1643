"""How many calls a worker holds: in strides until it no longer does, then by halving. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

LIMIT_MS = 500.0
"""The budget: nine answers in ten begin sooner than this."""


@dataclass(slots=True)
class Search:
    """The next number of calls to try; ``resolution`` is how exactly the answer is wanted."""

    start: int = 20
    stride: int = 20
    resolution: int = 5
    most: int = 400
    holds: int = field(default=0, init=False)
    fails: int | None = field(default=None, init=False)
    stopped: str | None = field(default=None, init=False)
    """Why no more could be tried, in a sentence; what is held counts as *at least*."""

    def __post_init__(self) -> None:
        if min(self.start, self.stride, self.resolution) < 1 or self.most < self.start:
            raise ValueError("start, stride and resolution are 1 or more, and most is not below start")

    def next(self) -> int | None:
        """How many calls to try next; None when the answer is known."""
        if self.stopped:
            return None
        if self.fails is None:
            if self.holds == 0:
                return self.start
            wanted = min((self.holds // self.stride + 1) * self.stride, self.most)
            return wanted if wanted > self.holds else None
        if self.fails - self.holds <= self.resolution:
            return None
        return (self.holds + self.fails) // 2

    def tell(self, calls: int, held: bool) -> None:
        """What came of trying so many."""
        if held:
            self.holds = max(self.holds, calls)
        else:
            self.fails = min(self.fails or calls, calls)

    def stop(self, why: str) -> None:
        """A step could not be measured, so what lies beyond those before it stays unknown."""
        self.stopped = why


def held(told: Mapping[str, Any], limit_ms: float = LIMIT_MS) -> bool:
    """Whether a step's figures are within the limit: P90 below it, all turns answered, none early, no fault."""
    p90 = told["v2v_ms"]["p90"]
    wrong = told["unanswered"] or told["early"] or told["faults"]
    return p90 is not None and p90 < limit_ms and not wrong
