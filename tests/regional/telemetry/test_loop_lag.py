"""How late the event loop is, measured."""

import asyncio
import time

import pytest
from tests.promptness import DEADLINE_S, measured
from tests.regional.session.virtual_time import now, run

from repartee.agent.prefetch import PrefetchFigures
from repartee.telemetry.events import CallBegan, CallEnded
from repartee.telemetry.loop_lag import EVERY_S, IDLE_EVERY_S, LoopLag

BEGAN = CallBegan(call_id="call_1", at_s=0.0, region="here", agent="agent", providers={})
ENDED = CallEnded(
    call_id="call_1",
    at_s=9.0,
    region="here",
    agent="agent",
    outcome="ended",
    length_s=9.0,
    prefetched=PrefetchFigures(),
)


async def test_a_loop_that_is_held_up_for_50_ms_is_seen_to_be_late() -> None:
    lag, machine = LoopLag(), measured()
    lag.export(BEGAN)
    began = time.time()
    task = asyncio.create_task(lag.run())
    await asyncio.sleep(3 * EVERY_S)
    time.sleep(0.05)  # noqa: ASYNC251 - that is what is measured
    async with asyncio.timeout(DEADLINE_S):
        while lag.between(began, time.time()) < 50 - EVERY_S * 1000:  # noqa: ASYNC110
            await asyncio.sleep(EVERY_S)
    task.cancel()
    machine.promise(lag.most_ms <= 60, f"a lag of 50 ms is told as {lag.most_ms:.0f} ms")


def test_lags_are_found_by_when_they_were() -> None:
    at = 100.0
    told: list[float] = []
    lag = LoopLag(lambda: at, told.append)
    lag.note(30.0)
    at = 200.0
    lag.note(80.0)
    lag.note(1.0)
    assert [lag.between(90, 110), lag.between(190, 210), lag.between(300, 400)] == [30.0, 80.0, 0.0]
    assert told == [0.03, 0.08, 0.001]
    assert repr(lag) == "<LoopLag: 1.0 ms now, 80.0 at most>"


@pytest.mark.parametrize(("over", "every_s"), [(False, EVERY_S), (True, IDLE_EVERY_S)])
def test_a_loop_without_a_call_is_looked_at_less_often(over: bool, every_s: float) -> None:
    told: list[float] = []

    async def watched() -> None:
        lag = LoopLag(now, told.append)
        lag.export(BEGAN)
        if over:
            lag.export(ENDED)
        task = asyncio.create_task(lag.run())
        await asyncio.sleep(10)
        task.cancel()

    run(watched())
    assert len(told) == pytest.approx(10 / every_s, abs=2)
