"""A bell that a test waits at."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from tests.promptness import DEADLINE_S

_Found = TypeVar("_Found")


class Bell:
    """Rings whenever something has happened."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    def ring(self) -> None:
        self._rung.set()

    async def until(self, seen: Callable[[], _Found | None]) -> _Found:
        """The first thing ``seen`` returns that is true; fails if the deadline passes first."""
        try:
            async with asyncio.timeout(DEADLINE_S):
                while not (found := seen()):
                    self._rung.clear()
                    await self._rung.wait()
                return found
        except TimeoutError:
            raise AssertionError("it did not happen in time") from None
