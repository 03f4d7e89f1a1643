"""An event loop whose time passes only while nothing else is to be done: minutes of a call take milliseconds."""

import asyncio
import selectors
import time
from collections.abc import Callable, Coroutine
from typing import Any
from unittest import mock


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


def run(play: Coroutine[Any, Any, None]) -> None:
    """Run a test's coroutine on virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(play)


def run_all(play: Coroutine[Any, Any, None]) -> None:
    """The same for a whole call, whose core is given the time of ``time.monotonic``."""
    with (
        asyncio.Runner(loop_factory=VirtualLoop) as runner,
        mock.patch.object(time, "monotonic", runner.get_loop().time),
    ):
        runner.run(play)


def now() -> float:
    """The virtual time."""
    return asyncio.get_running_loop().time()
