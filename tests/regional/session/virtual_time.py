"""Tests on an event loop whose time passes only while nothing else is to be done."""

import asyncio
import time
from collections.abc import Coroutine
from typing import Any
from unittest import mock

from repartee.bench.virtual_time import VirtualLoop

__all__ = ["VirtualLoop", "now", "run"]


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
