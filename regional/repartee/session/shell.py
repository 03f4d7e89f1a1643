"""What runs a core: the call's tasks, its timers, and the one queue into the core.

The only place where a call's tasks start. Events go into the core one after the other, and the commands of each are
carried out before the next: an event that comes up meanwhile waits its turn, so nothing re-enters the core.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from repartee.errors import ClientProtocolError
from repartee.turn.commands import ClearDeadline, Command, SetDeadline
from repartee.turn.events import DeadlinePassed, Event
from repartee.turn.state import IllegalTransition

log = logging.getLogger(__name__)


class TaskLost(Exception):
    """What a call runs on has ended, and nobody of the call wanted that."""


class Core(Protocol):
    """What decides: a pure state machine."""

    def receive(self, event: Event, now: float) -> list[Command]:
        """What to do about an event, in order. ``now`` is seconds on the monotonic clock.

        Raises IllegalTransition for an event that cannot happen now and ClientProtocolError for a request of the
        client's that cannot be met; in both cases nothing has changed.
        """


class Tasks(Protocol):
    """Starts a call's tasks; the :class:`Shell` does."""

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """If it fails, so does the call."""

    def start_awaited(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Its failure is the business of the one that awaits it."""

    def drop(self, task: asyncio.Task[None]) -> None:
        """Nothing more is wanted of it: cancel it."""


class Shell:
    """Runs one core. ``fail`` gets what goes wrong in a task or in carrying out a command: also that a task was
    cancelled by somebody else than the one that has started it, who would wait for it for ever."""

    def __init__(self, call_id: str, fail: Callable[[BaseException], None]) -> None:
        self._call_id = call_id
        self._fail = fail
        self._tasks: set[asyncio.Task[None]] = set()
        self._dropped: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._events: deque[Event] = deque()
        self._busy = False
        self._core: Core | None = None
        self._carry_out: Callable[[Command], None] = lambda command: None

    def __repr__(self) -> str:
        return f"<Shell {self._call_id}: {len(self._tasks)} tasks, {sorted(self._timers)}>"

    def run_core(self, core: Core, carry_out: Callable[[Command], None]) -> None:
        """Events go to this core from now on, and its commands to ``carry_out``, which must not wait."""
        self._core, self._carry_out = core, carry_out

    # --- the core ------------------------------------------------------------------------------------------------

    def request(self, event: Event) -> None:
        """A wish of the client's. Raises ClientProtocolError if it cannot be met."""
        if self._busy:
            self._events.append(event)
            return
        try:
            self._step(event)
        finally:
            self._catch_up()

    def deliver(self, event: Event) -> None:
        """Something has happened."""
        self._events.append(event)
        if not self._busy:
            self._catch_up()

    def _catch_up(self) -> None:
        while self._events:
            event = self._events.popleft()
            try:
                self._step(event)
            except ClientProtocolError as error:
                log.warning(
                    "call %s: %s has no place now (%s); dropping it",
                    self._call_id,
                    type(event).__name__,
                    error,
                )

    def _step(self, event: Event) -> None:
        assert self._core is not None
        self._busy = True
        try:
            for command in self._core.receive(event, time.monotonic()):
                self._carry_out(command)
        except IllegalTransition as error:
            log.warning(
                "call %s: %s has no place now (%s); dropping it", self._call_id, type(event).__name__, error
            )
        finally:
            self._busy = False

    # --- tasks ---------------------------------------------------------------------------------------------------

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start a task of this call; if it fails, or is cancelled but by :meth:`drop`, so does the call."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)
        return task

    def start_awaited(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start a task whose failure is the business of the one that awaits it."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def drop(self, task: asyncio.Task[None]) -> None:
        """Nothing more is wanted of this task."""
        if not task.done():
            self._dropped.add(task)
            task.cancel()

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        dropped = task in self._dropped or self._stopping
        self._dropped.discard(task)
        if not task.cancelled():
            if (error := task.exception()) is not None:
                self._fail(error)
        elif not dropped:
            self._fail(TaskLost(f"{name_of(task)} was cancelled from outside"))

    async def stop(self) -> None:
        """Cancel everything, and wait for it."""
        self._stopping = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- time ----------------------------------------------------------------------------------------------------

    def set_deadline(self, command: SetDeadline, *, put_off: Callable[[], float] | None = None) -> None:
        """Deliver DeadlinePassed at this time; replaces an earlier deadline of that name.

        ``put_off`` is asked when the time has come: the deadline is as many seconds later (0: it has come).
        """
        self.clear_deadline(command)
        delay_s = max(command.at - time.monotonic(), 0.0)
        loop = asyncio.get_running_loop()
        self._timers[command.name] = loop.call_later(delay_s, self._deadline_passed, command.name, put_off)

    def clear_deadline(self, command: SetDeadline | ClearDeadline) -> None:
        """The deadline is no longer wanted."""
        if timer := self._timers.pop(command.name, None):
            timer.cancel()

    def _deadline_passed(self, name: str, put_off: Callable[[], float] | None) -> None:
        del self._timers[name]
        if put_off is not None and (later_s := put_off()):
            self.set_deadline(SetDeadline(name, time.monotonic() + later_s), put_off=put_off)
            return
        try:
            self.deliver(DeadlinePassed(name))
        except Exception as error:
            self._fail(error)


def name_of(task: asyncio.Task[None]) -> str:
    """What a task does, for the log: its coroutine's name."""
    return str(getattr(task.get_coro(), "__qualname__", task.get_name()))
