"""When a request that is late is worth asking a second time: the policy of hedged requests.

Pure: it is told what requests took and says how long to wait for the next. Hedging cuts the tail of a distribution;
its price is extra requests, so there is a budget that holds on average and allows short bursts.
"""

from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HedgeSettings:
    """Durations are ms."""

    enabled: bool = True

    quantile: float = 0.90
    """Of recent requests; a tail of one in twenty lies beyond it, where the P95 itself may lie in the tail."""

    margin: float = 1.2
    """Times that quantile, plus ``margin_ms``, is late."""

    margin_ms: float = 15.0
    window: int = 200
    """Requests that count as recent."""

    needed: int = 20
    """With fewer than this known, ``first_deadline_ms`` is late."""

    first_deadline_ms: float = 800.0
    least_deadline_ms: float = 50.0
    budget: float = 0.055
    """Extra requests for each request, on average."""

    burst: float = 8.0
    """Extra requests that may be made at once after a quiet time."""


class HedgePolicy:
    """What is late, and whether another request may be made for it."""

    def __init__(self, settings: HedgeSettings | None = None) -> None:
        self._settings = settings or HedgeSettings()
        self._recent_ms: deque[float] = deque(maxlen=self._settings.window)
        self._deadline_ms = self._settings.first_deadline_ms
        self._allowance = self._settings.burst / 2
        self.requests = 0
        self.hedged = 0
        self.won = 0

    def __repr__(self) -> str:
        return (
            f"<HedgePolicy: late after {self._deadline_ms:.0f} ms, {self.hedged} of {self.requests} hedged>"
        )

    @property
    def deadline_ms(self) -> float:
        """How long the first answer to a request is waited for before it is late."""
        return self._deadline_ms

    def begin(self) -> None:
        """A request is made."""
        settings = self._settings
        self.requests += 1
        self._allowance = min(self._allowance + settings.budget, settings.burst)

    def may_hedge(self) -> bool:
        """Whether a late request is asked again; counts as done if so."""
        if not self._settings.enabled or self._allowance < 1:
            return False
        self._allowance -= 1
        self.hedged += 1
        return True

    def answered(self, took_ms: float, *, by_hedge: bool = False) -> None:
        """The request's first token came after so long, from the second request if ``by_hedge``."""
        settings = self._settings
        if by_hedge:
            self.won += 1
        self._recent_ms.append(took_ms)
        # The quantile moves slowly: it is taken anew every tenth request, not for each.
        if len(self._recent_ms) >= settings.needed and self.requests % 10 == 0:
            ordered = sorted(self._recent_ms)
            late = ordered[int(len(ordered) * settings.quantile)] * settings.margin + settings.margin_ms
            self._deadline_ms = max(late, settings.least_deadline_ms)
