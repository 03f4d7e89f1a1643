"""Attempts at the ranked regions: who is tried when, for how long, and when to give up.

Pure: ``due`` and ``failed`` decide, the shell dials. Time is an argument, in seconds on one clock. At most two
attempts run side by side: a second starts when the first has been slow for longer than its round trip explains.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from repartee_edge.placement import Ranked


@dataclass(frozen=True, slots=True)
class FailoverPolicy:
    """Limits in milliseconds. A connection takes three round trips (TCP, TLS, upgrade) and the region's own time."""

    attempt_ms: float = 800.0
    attempt_longest_ms: float = 2000.0
    region_ms: float = 500.0
    round_trips: float = 3.0
    hedge_ms: float = 250.0
    total_ms: float = 6000.0

    def deadline_ms(self, rtt_ms: float) -> float:
        """How long one attempt may take, by the predicted round trip."""
        wanted = max(self.attempt_ms, self.region_ms + self.round_trips * rtt_ms)
        return min(self.attempt_longest_ms, wanted)

    def patience_ms(self, rtt_ms: float) -> float:
        """After how long a second attempt starts beside one that is still open."""
        return min(self.deadline_ms(rtt_ms), self.hedge_ms + self.round_trips * rtt_ms)


# A region that answers one of these is alive but takes no call now.
FULL_STATUSES = frozenset((503,))
# The client errors in which a client has no part, for the edge alone chooses what they are about: the ticket (401),
# path and method (404, 405, 410), proxies on the way (407), the pace (408, 425) and the host (421).
REGION_STATUSES = frozenset((401, 404, 405, 407, 408, 410, 421, 425))
FAULT_WORDS = {
    "timeout": "did not answer in time",
    "slow": "was slower than the next region",
    "unreachable": "can't be reached",
    "full": "is full",
    "draining": "takes no new calls",
}

DEFAULT_POLICY = FailoverPolicy()


def is_callers(status: int) -> bool:
    """Whether an answer is about the request or its sender: no region is at fault, and no other is asked."""
    return 400 <= status < 500 and status not in REGION_STATUSES


@dataclass(frozen=True, slots=True)
class Attempt:
    """Dial ``ranked.region`` now; give up after ``timeout_s``. ``number`` counts a caller's attempts from 1."""

    ranked: Ranked
    timeout_s: float
    number: int


@dataclass(frozen=True, slots=True)
class RegionFault:
    """Why a region did not take the session: a kind of FAULT_WORDS, or the HTTP ``status`` it answered."""

    region: str
    kind: str
    status: int | None = None
    retry_after_s: float | None = None

    @property
    def is_doubtful(self) -> bool:
        """A server error: the region fails or is full, or the request asks for what no region can give."""
        return self.status is not None and self.status >= 500

    def words(self) -> str:
        if self.kind == "status":
            return f"{self.region} answered {self.status}"
        return f"{self.region} {FAULT_WORDS[self.kind]}"


class Attempts:
    """One caller's attempts, from first to last."""

    def __init__(self, ranked: Sequence[Ranked], now: float, policy: FailoverPolicy = DEFAULT_POLICY) -> None:
        self._waiting = list(ranked)
        self._policy = policy
        self._ends_at = now + policy.total_ms / 1000
        self._hedge_at = now
        self._running: set[str] = set()
        self._started = 0
        self.faults: list[RegionFault] = []

    def due(self, now: float) -> Attempt | None:
        """The attempt to start now, if any."""
        if not self._waiting or len(self._running) >= 2 or now >= self._ends_at:
            return None
        if self._running and now < self._hedge_at:
            return None
        ranked = self._waiting.pop(0)
        self._running.add(ranked.region.name)
        self._hedge_at = now + self._policy.patience_ms(ranked.rtt_ms) / 1000
        timeout_s = min(self._policy.deadline_ms(ranked.rtt_ms) / 1000, self._ends_at - now)
        self._started += 1
        return Attempt(ranked, timeout_s, self._started)

    def failed(self, fault: RegionFault) -> None:
        """A running attempt came to nothing; the next is due at once. Raises KeyError if it was not running."""
        self._running.remove(fault.region)
        self.faults.append(fault)
        self._hedge_at = 0.0

    def wake_at(self) -> float | None:
        """When to ask ``due`` again although nothing happened; None if only an answer can change anything."""
        return self._hedge_at if self._waiting and len(self._running) == 1 else None

    @property
    def running(self) -> int:
        return len(self._running)
