"""In whatever order things happen: nothing is done twice or on a guess, nothing hangs, no result is stale.

A random script drives one call's toolbox on a real event loop. Tools wait for the script; nothing waits for a clock.
"""

import asyncio
import json
from collections import Counter
from typing import Any, Literal

from hypothesis import given, settings
from hypothesis import strategies as st

from repartee import Agent, ToolError
from repartee.agent.agent import worker_side
from repartee.agent.prefetch import Prefetch, PrefetchPolicy
from repartee.agent.toolbox import Toolbox

what = st.sampled_from(["a", "a", "a", "b"])

steps = st.tuples(
    st.one_of(
        st.tuples(st.sampled_from(["read", "write", "again", "asked"]), what),
        st.tuples(st.just("heard"), st.sampled_from(["red", "red", "red b"])),
        st.tuples(st.sampled_from(["finish", "finish", "fail", "refuse", "cancel"]), st.integers(0, 3)),
        st.tuples(st.just("wait"), st.sampled_from([0.5, 31.0])),
    ),
    st.sampled_from([0, 1, 2, 3, 3]),
)
"""What happens, and for how many rounds the event loop may go on after it."""


async def spin(rounds: int) -> None:
    for _ in range(rounds):
        await asyncio.sleep(0)


class World:
    """What the tools see and do: a counter that writes bring up, and every run that began."""

    def __init__(self, limit_s: float) -> None:
        self.version = 0
        self.now = 0.0
        self.writes: Counter[str] = Counter()
        self.reading: list[tuple[str, int]] = []
        self.changes = 0
        self.waiting: list[asyncio.Future[str]] = []
        self.tasks: list[asyncio.Task[Any]] = []
        self.asked_at: dict[asyncio.Task[Any], int] = {}
        self.written: dict[str, list[asyncio.Task[Any]]] = {}
        self.cancelled: set[asyncio.Task[Any]] = set()
        self.calls = 0
        agent = Agent("Hi.", predictions={"red": "read"}, learn=False)

        @agent.tool(read_only=True)
        async def read(what: Literal["a", "b"] = "a") -> dict[str, Any]:
            """Read."""
            return await self._read(what)

        @agent.tool
        async def write(what: str) -> dict[str, Any]:
            """Write."""
            self.writes[what] += 1
            self.changes += 1
            try:
                await self._wait()
            finally:
                self.version += 1
                self.changes += 1
            return {"written": what}

        @agent.tool(repeatable=True)
        async def again(what: str) -> dict[str, Any]:
            """Write, as often as asked."""
            self.changes += 1
            try:
                await self._wait()
            finally:
                self.version += 1
                self.changes += 1
            return {"written": what}

        self.toolbox = Toolbox(
            agent,
            worker_side(agent).new_call("c1"),
            policy=PrefetchPolicy(limit_s=limit_s, per_call=1000, give_up_after=1000),
            clock=lambda: self.now,
        )

    async def _read(self, what: str) -> dict[str, Any]:
        run = (what, self.changes)
        assert run not in self.reading, "the same is read twice at the same time"
        self.reading.append(run)
        version = self.version
        try:
            await self._wait()
        finally:
            self.reading.remove(run)
        return {"version": version}

    async def _wait(self) -> None:
        waiting: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.waiting.append(waiting)
        try:
            outcome = await waiting
        finally:
            self.waiting.remove(waiting)
        if outcome == "fail":
            raise ValueError("failed")
        if outcome == "refuse":
            raise ToolError("no")

    def start(self, kind: str, what: str) -> None:
        self.calls += 1
        name = str(self.calls)
        task = asyncio.create_task(self.toolbox.run(self.calls, name, kind, json.dumps({"what": what})))
        self.tasks.append(task)
        self.asked_at[task] = self.version
        if kind == "write":
            self.written.setdefault(what, []).append(task)

    async def _prefetch(self, predicted: Prefetch, rounds: int) -> None:
        """A task may begin later than it was made."""
        await spin(rounds)
        await self.toolbox.prefetch(predicted)

    def step(self, kind: str, detail: Any) -> None:
        if kind in ("read", "write", "again"):
            self.start(kind, detail)
        elif kind in ("asked", "heard"):
            self.calls += 1
            if kind == "asked":
                predicted = self.toolbox.asked("read", json.dumps({"what": detail}))
            else:
                predicted = self.toolbox.heard(self.calls, detail)
            self.tasks += [asyncio.create_task(self._prefetch(each, self.calls % 3)) for each in predicted]
        elif kind == "cancel" and self.tasks:
            task = self.tasks[detail % len(self.tasks)]
            if task.cancel():
                self.cancelled.add(task)
        elif kind == "wait":
            self.now += detail
        elif kind in ("finish", "fail", "refuse") and self.waiting:
            waiting = self.waiting[detail % len(self.waiting)]
            if not waiting.done():
                waiting.set_result(kind)

    async def finish(self) -> None:
        """Let every tool end, and see that everything does."""
        for _ in range(300):
            for waiting in self.waiting:
                if not waiting.done():
                    waiting.set_result("finish")
            await asyncio.sleep(0)
            if all(task.done() for task in self.tasks):
                return
        raise AssertionError(f"something hangs: {self.toolbox!r}")


def check(world: World) -> None:
    assert all(count == 1 for count in world.writes.values()), "something was done twice"
    for task in world.tasks:
        if task.cancelled():
            assert task in world.cancelled
            continue
        assert task.exception() is None
        if task in world.asked_at:
            told = json.loads(task.result())
            assert told.get("version", world.asked_at[task]) >= world.asked_at[task], "a stale result"
    for tasks in world.written.values():
        outputs = {task.result() for task in tasks if not task.cancelled()}
        assert len(outputs) <= 1, "the same call was answered differently"


@settings(max_examples=250, deadline=None)
@given(st.lists(steps, max_size=40), st.sampled_from([0.0, 60.0]))
def test_any_order_of_calls_guesses_results_and_cancellations(
    script: list[tuple[tuple[str, Any], int]], limit_s: float
) -> None:
    async def play() -> World:
        world = World(limit_s)
        for (kind, detail), rounds in script:
            world.step(kind, detail)
            await spin(rounds)
        await world.finish()
        return world

    world = asyncio.run(play())
    check(world)
    figures = world.toolbox.figures
    world.toolbox.close()
    assert "0 running" in repr(world.toolbox)
    assert figures.hits + figures.misses <= world.calls
    assert figures.wasted + figures.failed <= figures.started


@settings(max_examples=80, deadline=None)
@given(st.lists(steps, max_size=30), st.sampled_from([0.0, 60.0]))
def test_a_hang_up_at_any_time_ends_everything(
    script: list[tuple[tuple[str, Any], int]], limit_s: float
) -> None:
    async def play() -> World:
        world = World(limit_s)
        for (kind, detail), rounds in script:
            world.step(kind, detail)
            await spin(rounds)
        for task in world.tasks:
            task.cancel()
        await asyncio.gather(*world.tasks, return_exceptions=True)
        world.toolbox.close()
        return world

    world = asyncio.run(play())
    assert all(count == 1 for count in world.writes.values())
    assert not world.reading and not world.waiting
    assert repr(world.toolbox) == "<Toolbox c1: 0 running, <PrefetchCache: empty>>"
    assert world.toolbox.heard(10_000, "red") == []
