"""Which vendor to leave alone for a while because it keeps failing: a breaker for each vendor. Pure.

Closed, a vendor is asked as usual. It opens after so many failures in a row, or at once for a fault that lasts or a
vendor that asks to be left alone. Once its time is over it is half open: one request tries it, and decides.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from repartee.latency.backoff import backoff_s


class BreakerState(Enum):
    """The value is that of the metric."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


@dataclass(frozen=True, slots=True)
class BreakerSettings:
    """Durations are seconds."""

    failures: int = 3
    """So many in a row open it."""

    open_s: float = 5.0
    """How long it stays open the first time; doubled each time that the one request which tries it fails."""

    open_most_s: float = 60.0
    trial_s: float = 5.0
    """If nothing is known of the request that tries it after so long, another one does."""


class VendorBreaker:
    """One vendor's, for all calls of a worker, and so of its region. Times are seconds on any monotonic clock."""

    def __init__(self, settings: BreakerSettings | None = None) -> None:
        self._settings = settings or BreakerSettings()
        self._failures = 0
        self._times_opened = 0
        self._opens_until: float | None = None
        self._trial_until = 0.0

    def __repr__(self) -> str:
        return f"<VendorBreaker: {self._failures} failures, opened {self._times_opened} times>"

    def state(self, now: float) -> BreakerState:
        """As it stands."""
        if self._opens_until is None:
            return BreakerState.CLOSED
        return BreakerState.OPEN if now < self._opens_until else BreakerState.HALF_OPEN

    def allows(self, now: float) -> bool:
        """Whether the vendor may be asked."""
        state = self.state(now)
        return state is BreakerState.CLOSED or (state is BreakerState.HALF_OPEN and now >= self._trial_until)

    def asked(self, now: float) -> None:
        """The vendor is asked; half open, this is the request that decides."""
        if self.state(now) is BreakerState.HALF_OPEN:
            self._trial_until = now + self._settings.trial_s

    def served(self) -> None:
        """The vendor has done what it was asked for."""
        self._failures = self._times_opened = 0
        self._opens_until = None

    def failed(self, now: float, *, lasting: bool = False, retry_after_s: float = 0.0) -> None:
        """It has not. ``lasting``: no second try would mend it; ``retry_after_s``: it asks to be left alone."""
        self._failures += 1
        settings, state = self._settings, self.state(now)
        if state is BreakerState.OPEN and not retry_after_s:
            return  # it was asked for want of another
        if state is BreakerState.CLOSED and not (
            lasting or retry_after_s or self._failures >= settings.failures
        ):
            return
        self._times_opened += 1
        open_s = backoff_s(self._times_opened, first_s=settings.open_s, most_s=settings.open_most_s)
        self._opens_until = now + max(open_s, retry_after_s)
        self._trial_until = 0.0


def ranked(breakers: Sequence[VendorBreaker], now: float) -> list[int]:
    """The places of those that may be asked, in their order; after them those that are left alone, in their order
    too: one that fails is better than nobody."""
    places = range(len(breakers))
    return sorted(places, key=lambda place: (not breakers[place].allows(now), place))
