"""Something done again and again, for which no task is woken: a timer costs about half of a task that sleeps."""

import asyncio
from collections.abc import Callable


async def ticking(do: Callable[[], float]) -> None:
    """Call ``do`` at once, and again after as many seconds as it returns, until cancelled. Raises what it raises."""
    loop = asyncio.get_running_loop()
    over: asyncio.Future[None] = loop.create_future()
    timer: asyncio.TimerHandle | None = None

    def tick() -> None:
        nonlocal timer
        try:
            timer = loop.call_later(do(), tick)
        except Exception as error:
            over.set_exception(error)

    tick()
    try:
        await over
    finally:
        if timer is not None:
            timer.cancel()
