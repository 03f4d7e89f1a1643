"""The network's clock: 20 ms, kept to whatever happens in between."""

import asyncio
from collections.abc import AsyncIterator

TICK_S = 0.02


async def ticks() -> AsyncIterator[int]:
    """A tick each 20 ms, from now; late ones follow at once."""
    loop = asyncio.get_running_loop()
    due, number = loop.time(), 0
    while True:
        yield number
        number += 1
        due += TICK_S
        await asyncio.sleep(max(0.0, due - loop.time()))
