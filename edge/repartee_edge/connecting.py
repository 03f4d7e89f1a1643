"""Carries out the attempts of ``failover``: the one place at the edge that runs dials side by side.

Works on any asyncio loop, that of a Worker included. What a dial is, and what it yields, is the caller's matter.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Generic, TypeVar

from repartee_edge.failover import (
    DEFAULT_POLICY,
    FULL_STATUSES,
    Attempt,
    Attempts,
    FailoverPolicy,
    RegionFault,
)
from repartee_edge.health import Breaker
from repartee_edge.placement import Ranked

Connection = TypeVar("Connection")
Clock = Callable[[], float]


class DialFailed(Exception):
    """What a dial raises when a region did not take the session."""

    def __init__(self, fault: RegionFault) -> None:
        super().__init__(fault.words())
        self.fault = fault


class CallerAtFault(Exception):
    """What a dial raises when a region refused the request itself, as any other would: ``answer`` is for the caller.

    Without it, one client's broken handshakes would make every region look dead to all others.
    """

    def __init__(self, region: str, answer: Any) -> None:
        super().__init__(f"{region} refused the request")
        self.answer = answer


class NoRegion(Exception):
    """No region took the session; ``faults`` says why, in the order they happened."""

    def __init__(self, faults: Sequence[RegionFault]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(fault.words() for fault in faults) or "no region may take this call")

    @property
    def retry_after_s(self) -> int:
        """When to come back: the shortest time a region asked for, a few seconds at least and a minute at most."""
        asked = [fault.retry_after_s for fault in self.faults if fault.retry_after_s is not None]
        return int(min(60.0, max(1.0, min(asked, default=3.0))))


class RegionConnector(Generic[Connection]):
    """Connects a caller to the first of its regions that answers.

    A region that answers with a server error is left alone afterwards only if another one takes the same request:
    what brings an error everywhere may be the request's doing, and must not cost anybody else their regions.

    ``dial(attempt)`` opens a connection or raises DialFailed or CallerAtFault; cancelled, also by its deadline, it
    closes what it opened. ``discard`` closes a connection that came too late, because another region was quicker.
    """

    def __init__(
        self,
        dial: Callable[[Attempt], Awaitable[Connection]],
        discard: Callable[[Connection], None],
        breaker: Breaker,
        policy: FailoverPolicy = DEFAULT_POLICY,
        clock: Clock = time.monotonic,
    ) -> None:
        self._dial = dial
        self._discard = discard
        self._breaker = breaker
        self._policy = policy
        self._clock = clock

    async def connect(self, ranked: Sequence[Ranked]) -> tuple[Ranked, Connection, tuple[RegionFault, ...]]:
        """The region, the connection to it, and what failed before. Raises NoRegion, CallerAtFault."""
        attempts = Attempts(ranked, self._clock(), self._policy)
        tasks: dict[asyncio.Task[Connection], Attempt] = {}
        try:
            while True:
                now = self._clock()
                attempt = attempts.due(now)
                if attempt is not None:
                    self._breaker.started(attempt.ranked.region.name, now, attempt.timeout_s)
                    tasks[asyncio.ensure_future(self._in_time(attempt))] = attempt
                    continue
                if not tasks:
                    raise NoRegion(attempts.faults)
                wake_at = attempts.wake_at()
                timeout = None if wake_at is None else max(0.0, wake_at - now)
                done, _ = await asyncio.wait(tasks, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    attempt = tasks.pop(task)
                    name = attempt.ranked.region.name
                    try:
                        connection = task.result()
                    except DialFailed as failure:
                        attempts.failed(failure.fault)
                        if failure.fault.is_doubtful:
                            self._breaker.abandoned(name)
                        else:
                            self._record(failure.fault)
                        continue
                    except CallerAtFault:
                        self._breaker.succeeded(name)
                        raise
                    self._breaker.succeeded(name)
                    slower = self._outrun(attempt, tasks.values())
                    for fault in attempts.faults:
                        if fault.is_doubtful:
                            self._record(fault)
                    return attempt.ranked, connection, (*attempts.faults, *slower)
        finally:
            for task in tasks:
                task.cancel()
                task.add_done_callback(self._settle)

    async def _in_time(self, attempt: Attempt) -> Connection:
        try:
            async with asyncio.timeout(attempt.timeout_s):
                return await self._dial(attempt)
        except TimeoutError:
            raise DialFailed(RegionFault(attempt.ranked.region.name, "timeout")) from None

    def _outrun(self, winner: Attempt, others: Iterable[Attempt]) -> list[RegionFault]:
        """The attempts that began before the winner and are still open: their regions are slow, maybe hanging.

        They count as failed, so that the next caller does not wait for them again.
        """
        faults = []
        for other in others:
            name = other.ranked.region.name
            if other.number < winner.number:
                faults.append(RegionFault(name, "slow"))
                self._breaker.failed(name, self._clock())
            else:
                self._breaker.abandoned(name)
        return faults

    def _record(self, fault: RegionFault) -> None:
        if fault.status in FULL_STATUSES:
            self._breaker.full(fault.region, self._clock(), fault.retry_after_s)
        else:
            self._breaker.failed(fault.region, self._clock())

    def _settle(self, task: asyncio.Task[Connection]) -> None:
        """Close what a dial opened after all, and look at its exception so that nothing is logged as unhandled."""
        if not task.cancelled() and task.exception() is None:
            self._discard(task.result())
