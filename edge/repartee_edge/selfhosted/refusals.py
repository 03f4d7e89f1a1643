"""What the log says of refused requests: the first at once, those after it as figures, a line a minute at most.

Anybody can send requests that nobody can read, as fast as they like: a line each would fill a disk.
"""

import asyncio
import logging
from collections import Counter

EVERY_S = 60.0

logger = logging.getLogger(__name__)


class Refusals:
    """The refused requests of one server."""

    def __init__(self) -> None:
        self._unsaid: Counter[str] = Counter()
        self._is_counting = False

    def add(self, code: str, loop: asyncio.AbstractEventLoop) -> None:
        """A request was refused for the fault with this code."""
        if self._is_counting:
            self._unsaid[code] += 1
            return
        logger.warning(
            "a request was refused: %s; counting further ones, with a line every %d s", code, EVERY_S
        )
        self._count_on(loop)

    def _count_on(self, loop: asyncio.AbstractEventLoop) -> None:
        self._is_counting = True
        loop.call_later(EVERY_S, self._say, loop)

    def _say(self, loop: asyncio.AbstractEventLoop) -> None:
        self._is_counting = False
        if not self._unsaid:
            return
        kinds = ", ".join(f"{code} {count}" for code, count in self._unsaid.most_common())
        logger.warning(
            "%d requests were refused in %d s: %s; counting on", self._unsaid.total(), EVERY_S, kinds
        )
        self._unsaid.clear()
        self._count_on(loop)
