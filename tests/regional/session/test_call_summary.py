"""What an author has summed up of a long call, and an author whose function fails."""

import asyncio
import logging

import pytest
from tests.regional.session.actors import LooseTasks

from repartee.agent.agent import Agent, worker_side
from repartee.agent.context import CallContext
from repartee.session.call_summary import CallSummary
from repartee.turn.events import Event, Summarised

TALK = [{"role": "user", "content": "Hello."}, {"role": "assistant", "content": "Good day."}]


class Summing:
    """A call's summary, made by a function that does as the test says."""

    def __init__(self) -> None:
        self.given: list[str] = []
        self.delivered: list[Event] = []
        self.fault = ""
        agent = Agent("Hi.")
        agent.summary(self._sum_up)
        side = worker_side(agent)
        self.running: list[asyncio.Task[None]] = []
        tasks = LooseTasks()

        def start(work):  # type: ignore[no-untyped-def]
            self.running.append(tasks.start(work))
            return self.running[-1]

        self.summary = CallSummary(
            side.summary_function, side.new_call("c7"), start=start, deliver=self.delivered.append
        )

    async def _sum_up(self, ctx: CallContext, words: str) -> str:
        self.given.append(words)
        waiting = asyncio.ensure_future(asyncio.sleep(0))
        if self.fault == "awaits what it cancelled":
            waiting.cancel()
        await waiting
        if self.fault == "raises":
            raise KeyError(words.split()[1])
        return "They greet."

    async def over(self) -> None:
        await asyncio.wait(self.running)


async def test_what_is_left_out_is_summed_up_once() -> None:
    summing = Summing()
    summing.summary.cover(TALK)
    summing.summary.cover(TALK)  # while it runs
    await summing.over()
    assert summing.delivered == [Summarised("They greet.")]
    summing.summary.cover(TALK)
    summing.summary.cover([*TALK, {"role": "user", "content": "Bye."}])
    await summing.over()
    assert summing.given == ["Caller: Hello.\nAgent: Good day.", "They greet.\nCaller: Bye."]


@pytest.mark.parametrize("fault", ["raises", "awaits what it cancelled"])
async def test_a_function_that_fails_is_logged_and_asked_again(
    fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    summing = Summing()
    summing.fault = fault
    summing.summary.cover(TALK)
    await summing.over()
    assert [task.exception() for task in summing.running] == [None]
    assert "summary failed in call c7" in caplog.text
    assert "Hello" not in caplog.text
    summing.fault = ""
    summing.summary.cover(TALK)
    await summing.over()
    assert summing.delivered == [Summarised("They greet.")]


async def test_a_call_that_ends_takes_its_summary_with_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    summing = Summing()
    summing.summary.cover(TALK)
    await asyncio.sleep(0)
    summing.running[0].cancel()
    await summing.over()
    assert summing.running[0].cancelled()
    assert not caplog.records
