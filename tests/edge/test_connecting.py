"""The connector with dials under the test's hand: what is won, cancelled, closed and remembered."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from tests.edge.test_failover import ranked

from repartee_edge.connecting import DialFailed, NoRegion, RegionConnector
from repartee_edge.failover import Attempt, FailoverPolicy, RegionFault
from repartee_edge.health import Breaker

QUICK = FailoverPolicy(attempt_ms=80, attempt_longest_ms=80, region_ms=10, hedge_ms=20, total_ms=400)
Dial = Callable[[Attempt], Coroutine[Any, Any, str]]


class Dials:
    """Regions' behaviours by name; what was cancelled and what was discarded."""

    def __init__(self, **behaviours: str) -> None:
        self.behaviours = behaviours
        self.cancelled: list[str] = []
        self.discarded: list[str] = []
        self.breaker = Breaker()
        self.gate = asyncio.Event()

    async def __call__(self, attempt: Attempt) -> str:
        name = attempt.ranked.region.name
        behaviour = self.behaviours[name]
        try:
            if behaviour == "hang":
                await asyncio.Event().wait()
            if behaviour == "stubborn":
                await self._stubborn()
        except asyncio.CancelledError:
            self.cancelled.append(name)
            raise
        if behaviour.isdigit():
            raise DialFailed(RegionFault(name, "status", int(behaviour), 2.0 if behaviour == "503" else None))
        return name

    async def _stubborn(self) -> None:
        """A dial that succeeds although it is being cancelled."""
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            return

    def connector(self, policy: FailoverPolicy = QUICK) -> RegionConnector[str]:
        return RegionConnector(self, self.discarded.append, self.breaker, policy)


async def cancellations() -> None:
    """Let tasks that were cancelled run to their ends."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_the_hedge_wins_over_a_hang_which_is_cancelled_and_remembered() -> None:
    dials = Dials(r0="hang", r1="ok")
    found, connection, faults = await dials.connector().connect(ranked(1, 1))
    assert (found.region.name, connection) == ("r1", "r1")
    assert [(fault.region, fault.kind) for fault in faults] == [("r0", "slow")]
    await cancellations()
    assert dials.cancelled == ["r0"]
    assert "r0: 1 failed" in repr(dials.breaker)


async def test_a_connection_that_comes_too_late_is_closed() -> None:
    dials = Dials(r0="stubborn", r1="ok")
    found, *_ = await dials.connector().connect(ranked(1, 1))
    assert found.region.name == "r1"
    await cancellations()
    assert dials.discarded == ["r0"]


async def test_nothing_acceptable_names_every_fault_and_when_to_come_back() -> None:
    dials = Dials(r0="503", r1="401", r2="hang")
    with pytest.raises(NoRegion) as refused:
        await dials.connector().connect(ranked(1, 1, 1))
    why = [(fault.region, fault.status or fault.kind) for fault in refused.value.faults]
    assert why == [("r0", 503), ("r1", 401), ("r2", "timeout")]
    assert refused.value.retry_after_s == 2
    assert repr(dials.breaker) == "<Breaker r1: 1 failed, r2: 1 failed>"


async def test_no_regions_at_all_is_an_answer_too() -> None:
    with pytest.raises(NoRegion) as refused:
        await Dials().connector().connect([])
    assert str(refused.value) == "no region may take this call" and refused.value.retry_after_s == 3


async def test_a_caller_who_leaves_cancels_the_dials() -> None:
    dials = Dials(r0="hang", r1="hang")
    search = asyncio.create_task(dials.connector().connect(ranked(1, 1)))
    await asyncio.wait([search], timeout=0.04)
    search.cancel()
    with pytest.raises(asyncio.CancelledError):
        await search
    await cancellations()
    assert sorted(dials.cancelled) == ["r0", "r1"]


async def test_a_server_error_counts_against_a_region_once_another_takes_the_same_request() -> None:
    dials = Dials(r0="500", r1="503", r2="502")
    with pytest.raises(NoRegion):
        await dials.connector().connect(ranked(1, 1, 1))
    assert repr(dials.breaker) == "<Breaker closed>"
    dials.behaviours["r2"] = "ok"
    await dials.connector().connect(ranked(1, 1, 1))
    assert repr(dials.breaker) == "<Breaker r0: 1 failed, r1: 0 failed>"
    assert dials.breaker.says_full("r1") and not dials.breaker.says_full("r0")


async def test_a_region_that_failed_before_may_be_tried_by_the_next_after_a_server_error() -> None:
    dials = Dials(r0="500")
    dials.breaker.failed("r0", -60.0)
    with pytest.raises(NoRegion):
        await dials.connector().connect(ranked(1))
    assert dials.breaker.allows("r0", 0.0)
