"""The moments at which a call's tasks wait: counted, and one of them cancelled or failed.

    points = AwaitPoints(Strike("session/hearing.py:191", 2, CANCEL))
    loop.set_task_factory(points.make_task)

Every task that runs the product's code is watched from its first step on. Where it waits is the innermost line of the
product's that stands in it: ``session/hearing.py:191``.
"""

import asyncio
import functools
import gc
from collections import Counter
from collections.abc import Callable, Coroutine, Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import AsyncGeneratorType
from typing import Any

from tests.regional.session.scripted_providers import failure

import repartee

PRODUCT = Path(repartee.__file__).parent
NOT_THE_CALLS = ("pool", "standins")
"""Folders whose tasks are no call's: what all calls share, and the far end of the wire."""

CANCEL = "cancel"


class StruckError(Exception):
    """A fault that nobody expects."""


ERRORS: Mapping[str, Callable[[], Exception] | None] = {
    CANCEL: None,
    "fault": lambda: StruckError("an await that was made to fail"),
    "timeout": lambda: TimeoutError("an await that was made to fail"),
    "provider": lambda: failure("llm"),
}
"""What becomes of an await: cancelled, a fault of the worker's own, one that looks like a socket's, a provider's."""


@dataclass(frozen=True, slots=True)
class Strike:
    """What goes wrong: the ``wait`` th time that a task waits there, it is cancelled, or gets an error."""

    where: str
    wait: int
    error: str

    def arguments(self) -> str:
        """For the command that plays it again."""
        return f"--where {self.where} --wait {self.wait} --error {self.error}"


@dataclass(slots=True)
class AwaitPoints:
    """Counts the waits of one call by their line, and makes one of them go wrong."""

    strike: Strike | None = None
    seen: Counter[str] = field(default_factory=Counter)
    through: set[str] = field(default_factory=set)
    """Every line in which a task has waited, also for what it has called."""

    struck_at: float | None = None

    def make_task(
        self, loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any], **options: Any
    ) -> "asyncio.Task[Any]":
        """A loop's task factory."""
        return asyncio.Task(self.watched(work) if _is_the_calls(work) else work, loop=loop, **options)

    def watched(self, work: Coroutine[Any, Any, Any]) -> Coroutine[Any, Any, Any]:
        """The same work, whose waits are counted."""
        return _Watched(work, self)

    def reached(self, places: list[str]) -> bool:
        """A task waits at the last of these, for the sake of those before; whether this wait goes wrong."""
        where = places[-1]
        self.seen[where] += 1
        self.through.update(places)
        strike = self.strike
        if strike is None or (where, self.seen[where]) != (strike.where, strike.wait):
            return False
        self.struck_at = asyncio.get_running_loop().time()
        return True


class _Watched(Coroutine[Any, Any, Any]):
    """A coroutine, as the task sees it."""

    def __init__(self, work: Coroutine[Any, Any, Any], points: AwaitPoints) -> None:
        self._work, self._points = work, points
        self.__name__ = getattr(work, "__name__", type(work).__name__)
        self.__qualname__ = getattr(work, "__qualname__", type(work).__qualname__)

    def send(self, value: Any) -> Any:
        return self._waits(self._work.send(value))

    def throw(self, *error: Any) -> Any:
        return self._waits(self._work.throw(*error))

    def close(self) -> None:
        self._work.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._work.__await__()

    def _waits(self, awaited: Any) -> Any:
        places = _places_of(self._work)
        if not places or not self._points.reached(places):
            return awaited
        make = ERRORS[self._points.strike.error] if self._points.strike else None
        if make is None:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            return awaited
        if awaited is not None:
            awaited._asyncio_future_blocking = False  # nobody waits for it any more
        return self._waits(self._work.throw(make()))


def is_watched(task: "asyncio.Task[Any]") -> bool:
    """Whether it is one of the call's."""
    return isinstance(task.get_coro(), _Watched)


def _is_the_calls(work: Any) -> bool:
    code = getattr(work, "cr_code", None)
    if code is None:
        return False
    place = _in_product(code.co_filename)
    return bool(place) and not place.startswith(NOT_THE_CALLS)


@functools.cache
def _in_product(file: str) -> str:
    path = Path(file)
    return str(path.relative_to(PRODUCT)) if path.is_relative_to(PRODUCT) else ""


def _places_of(work: Any) -> list[str]:
    """The product's lines in which a coroutine waits, the innermost last."""
    places = []
    while work is not None:
        frame = getattr(work, "cr_frame", None) or getattr(work, "ag_frame", None)
        if frame is not None and (file := _in_product(frame.f_code.co_filename)):
            places.append(f"{file}:{frame.f_lineno}")
        work = getattr(work, "cr_await", None) or getattr(work, "ag_await", None)
        if type(work).__name__.startswith("async_generator_"):  # a step of it, which does not say whose
            work = next((one for one in gc.get_referents(work) if isinstance(one, AsyncGeneratorType)), None)
    return places
