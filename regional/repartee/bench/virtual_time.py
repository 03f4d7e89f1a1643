"""An event loop whose time passes only while nothing else is to be done: minutes of a call take milliseconds."""

import asyncio
import selectors
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class _NoWaiting(selectors.DefaultSelector):
    def __init__(self, passed: Callable[[float], None]) -> None:
        super().__init__()
        self._passed = passed

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise AssertionError("everybody waits, and nothing will ever happen")
        self._passed(timeout)
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """Begins at 1000 s."""

    def __init__(self) -> None:
        self._at = 1000.0
        super().__init__(_NoWaiting(self._pass))

    def _pass(self, seconds: float) -> None:
        self._at += max(seconds, 0.0)

    def time(self) -> float:
        return self._at


@contextmanager
def clocks_of(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """This process's clocks are the loop's for as long as the block lasts."""
    monotonic, wall = time.monotonic, time.time
    time.monotonic = time.time = loop.time
    try:
        yield
    finally:
        time.monotonic, time.time = monotonic, wall
