"""A call learns what it has waited for connections, whichever of its tasks waited."""

import asyncio
import time

from repartee.pool.cold_waits import MOST_WAITS, follow_waits, note_wait


async def test_what_the_tasks_of_one_call_wait_for_is_that_calls() -> None:
    async def wait(pool: str) -> None:
        await asyncio.sleep(0)
        note_wait(pool, time.time(), 30.0)

    async def call(pool: str) -> list[str]:
        waits = follow_waits()
        await asyncio.gather(wait(pool), asyncio.create_task(wait(pool)))
        return [noted.pool for noted in waits]

    first, second = await asyncio.gather(asyncio.create_task(call("a")), asyncio.create_task(call("b")))
    assert (first, second) == (["a", "a"], ["b", "b"])


async def test_outside_of_calls_nobody_is_noted_and_inside_so_many_at_most() -> None:
    note_wait("a", 0.0, 1.0)
    waits = follow_waits()
    for _ in range(2 * MOST_WAITS):
        note_wait("a", 0.0, 1.0)
    assert len(waits) == MOST_WAITS
