"""Opens a connection to one of several vendors: waits for each only so long while there is another to turn to."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from repartee.errors import PoolTimeout, ProviderError
from repartee.providers.lineup import Standing, VendorFault, worst

ServiceT = TypeVar("ServiceT")
OpenedT = TypeVar("OpenedT")


async def opened(
    order: Sequence[Standing[ServiceT]],
    connect: Callable[[Standing[ServiceT]], Awaitable[OpenedT]],
    within_s: float,
    failed: Callable[[Standing[ServiceT], VendorFault], None],
) -> tuple[Standing[ServiceT], OpenedT]:
    """The first of ``order`` that opens, and what it was opened to. ``failed`` hears of each that does not.

    If no other opens, waits once more for those that only took too long, as long as it takes. Raises the first
    one's ProviderError or PoolTimeout when none can.
    """
    errors: list[VendorFault] = []
    slow: list[Standing[ServiceT]] = []
    for place, standing in enumerate(order):
        is_last = place == len(order) - 1 and not slow
        standing.asked()
        try:
            async with asyncio.timeout(None if is_last else within_s):
                return standing, await connect(standing)
        except TimeoutError:
            slow.append(standing)
            failed(standing, PoolTimeout(f"No connection to {standing.vendor} within {within_s:g} s."))
        except (ProviderError, PoolTimeout) as error:
            errors.append(error)
            failed(standing, error)
    for standing in slow:
        try:
            return standing, await connect(standing)
        except (ProviderError, PoolTimeout) as error:
            errors.append(error)
    raise worst(errors)
