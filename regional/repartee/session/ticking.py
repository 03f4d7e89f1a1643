"""Does something again and again without waking a task, and at the same moments for all calls.

Waking the event loop costs more than what most ticks do: with forty calls a thousand timers a second rang one by one.
"""

import asyncio
import math
from collections.abc import Callable
from weakref import WeakKeyDictionary

MOMENT_S = 0.01
"""Ticks wait for the next multiple of this; one timer serves all that wait for it."""

Tick = Callable[[], None]
_waiting: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[int, list[Tick]]] = WeakKeyDictionary()


async def ticking(do: Callable[[], float]) -> None:
    """Call ``do`` at once, and again after as many seconds as it returns (up to MOMENT_S more), until cancelled.
    Raises what it raises."""
    loop = asyncio.get_running_loop()
    over: asyncio.Future[None] = loop.create_future()
    moments = _waiting.setdefault(loop, {})

    def tick() -> None:
        if over.done():
            return
        try:
            seconds = do()
            _call_at(moments, loop, loop.time() + seconds, tick)
        except Exception as error:
            over.set_exception(error)

    tick()
    await over


def _call_at(moments: dict[int, list[Tick]], loop: asyncio.AbstractEventLoop, at: float, tick: Tick) -> None:
    number = math.ceil(at / MOMENT_S)
    ticks = moments.get(number)
    if ticks is None:
        moments[number] = [tick]
        loop.call_at(number * MOMENT_S, _ring, moments, number)
    else:
        ticks.append(tick)


def _ring(moments: dict[int, list[Tick]], number: int) -> None:
    for tick in moments.pop(number):
        tick()
