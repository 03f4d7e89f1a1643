"""When to ask a late request a second time: the policy of hedged requests.

Pure: it hears how long requests took and says how long to wait for the next. Hedging cuts the tail of a
distribution; its price is extra requests, so there is a budget: a token bucket that each request fills a little,
which holds on average and allows short bursts.
"""

import statistics
from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HedgeSettings:
    """Durations are ms."""

    enabled: bool = True

    quantile: float = 0.90
    """Of recent requests; a tail of one in twenty lies beyond it, where the P95 itself may lie in the tail."""

    margin: float = 1.4
    """Times that quantile, plus ``margin_ms``, is late. Nearer to it, so many requests are late that are in no tail
    that the budget is gone when one is."""

    margin_ms: float = 15.0
    window: int = 200
    """Requests that count as recent."""

    needed: int = 5
    """With fewer than this known, ``first_deadline_ms`` is late. The median of five lies in a tail of one in twenty
    once in a thousand times."""

    sure: int = 100
    """With fewer than this known, the quantile may lie in the tail too (of 20, every fourth time; of 100, once in
    35): what is longer than ``spread`` times their median, or than ``first_deadline_ms``, is late in any case."""

    spread: float = 2.0
    """Twice the median is beyond 94 to 99 in 100 of what is spread like a lognormal distribution with a sigma of 0.45
    to 0.3, as the times to models' first tokens are on a good day."""

    first_deadline_ms: float = 800.0
    least_deadline_ms: float = 50.0
    budget: float = 0.055
    """Extra requests for each request, on average."""

    first_credit: float = 3.0
    """Extra requests that a worker may make before it has earned any, so that its first late answers are not lost to
    the caller. From 600 requests on, it and ``budget`` are 6 % together."""

    burst: float = 8.0
    """Extra requests that may be made at once after a quiet time."""


class HedgePolicy:
    """What is late, and whether another request may be made for it."""

    def __init__(self, settings: HedgeSettings | None = None) -> None:
        self.settings = self._settings = settings or HedgeSettings()
        self._recent_ms: deque[float] = deque(maxlen=self._settings.window)
        self._deadline_ms = self._settings.first_deadline_ms
        self._credit = self._settings.first_credit
        self.requests = 0
        self.hedged = 0
        self.won = 0

    def __repr__(self) -> str:
        return (
            f"<HedgePolicy: late after {self._deadline_ms:.0f} ms, {self.hedged} of {self.requests} hedged>"
        )

    @property
    def deadline_ms(self) -> float:
        """How long the first answer to a request is waited for before it is late. Every answer may change it."""
        return self._deadline_ms

    @property
    def learning(self) -> bool:
        """So little is known that the deadline may soon be a much shorter one, for requests in progress too."""
        return len(self._recent_ms) < self._settings.needed

    def begin(self) -> None:
        """A request is made."""
        settings = self._settings
        self.requests += 1
        self._credit = min(self._credit + settings.budget, settings.burst)

    def may_hedge(self) -> bool:
        """Whether a late request is asked again; counts as done if so."""
        if not self._settings.enabled or self._credit < 1:
            return False
        self._credit -= 1
        self.hedged += 1
        return True

    def answered(self, took_ms: float, *, by_hedge: bool = False) -> None:
        """The request's first token came after so long, from the second request if ``by_hedge``."""
        if by_hedge:
            self.won += 1
        self._recent_ms.append(took_ms)
        if not self.learning:
            self._deadline_ms = self._late_ms()

    def _late_ms(self) -> float:
        settings, known = self._settings, len(self._recent_ms)
        ordered = sorted(self._recent_ms)
        late_ms = ordered[int(known * settings.quantile)] * settings.margin
        if known < settings.sure:
            most_ms = settings.first_deadline_ms - settings.margin_ms
            late_ms = min(late_ms, statistics.median_low(ordered) * settings.spread, most_ms)
        return max(late_ms + settings.margin_ms, settings.least_deadline_ms)
