"""The stream of call events, from all calls of a worker to any number of exporters.

No exporter can hurt a call, or another exporter: each has a bounded queue and a thread of its own, so that one that
blocks holds up nobody, and what it raises stays with it. Those that only count in memory are spared the thread.
"""

import asyncio
import logging
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Protocol

from repartee.telemetry.events import CallEvent

log = logging.getLogger(__name__)


class Exporter(Protocol):
    """Takes call events to where they are read. Both methods run in one thread, which is the exporter's own.

    If one raises, the log says so once, and only that event is lost.
    """

    def export(self, event: CallEvent) -> None:
        """The next event. May block; while it does, events wait in a bounded queue."""

    def close(self) -> None:
        """No more events come: write out what is kept back, and give up what is held."""


class Counts(Protocol):
    """An exporter that only counts in memory: in microseconds, on the event loop, exact at once."""

    def export(self, event: CallEvent) -> None:
        """The next event. Must not wait."""


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """``queue``: how many events may wait for one exporter; what is more is dropped, and counted. ``close_s``: how
    long the exporters may take, at the end, for what waits."""

    queue: int = 10_000
    close_s: float = 2.0
    gather_s: float = 0.05
    """An exporter's thread waits for so long once it is woken: a switch of threads costs more than an event."""


class Stream:
    """Every call of a worker emits into it, from the event loop."""

    def __init__(self, limits: StreamLimits | None = None) -> None:
        self._limits = limits or StreamLimits()
        self._counts: list[tuple[_Guard, tuple[type[CallEvent], ...]]] = []
        self._wanting: dict[type[CallEvent], tuple[_Guard, ...]] = {}
        self._queued: list[_Queued] = []

    def __repr__(self) -> str:
        return f"<Stream: {len(self._counts)} counts, {len(self._queued)} exporters>"

    def add(self, exporter: Exporter) -> None:
        """Have this exporter take every event from now on, in a thread of its own."""
        self._queued.append(_Queued(exporter, self._limits))

    def count(self, counts: Counts, *kinds: type[CallEvent]) -> None:
        """Have this count events from now on: those of these kinds, or all if none is named."""
        self._counts.append((_Guard(counts), kinds or (CallEvent,)))
        self._wanting.clear()

    def emit(self, event: CallEvent) -> None:
        """Something has happened in a call. Raises nothing, and waits for nothing."""
        kind = type(event)
        wanting = self._wanting.get(kind)
        if wanting is None:
            wanting = tuple(counts for counts, kinds in self._counts if issubclass(kind, kinds))
            self._wanting[kind] = wanting
        for counts in wanting:
            counts.take(event)
        for queued in self._queued:
            queued.take(event)

    async def aclose(self) -> None:
        """No more events come. Waits until all that were emitted have been exported, or the time is up."""
        queued, self._queued = self._queued, []
        for one in queued:
            one.finish()
        if queued:
            await asyncio.to_thread(self._join, queued)

    def _join(self, queued: list["_Queued"]) -> None:
        until = time.monotonic() + self._limits.close_s
        for one in queued:
            one.join(max(until - time.monotonic(), 0.0))


class _Guard:
    """Keeps what an exporter raises from everybody else."""

    def __init__(self, exporter: Counts) -> None:
        self.name = type(exporter).__name__
        self.failed = 0
        self._exporter = exporter

    def take(self, event: CallEvent) -> None:
        try:
            self._exporter.export(event)
        except Exception:
            self.failed += 1
            if self.failed == 1:
                log.exception(
                    "the exporter %s failed, and the event is lost to it; only counting later failures",
                    self.name,
                )


class _Queued:
    """An exporter in a thread of its own."""

    def __init__(self, exporter: Exporter, limits: StreamLimits) -> None:
        self.guard = _Guard(exporter)
        self._exporter = exporter
        self._limits = limits
        self._dropped = 0
        self._events: deque[CallEvent] = deque()
        self._wanted = threading.Event()
        self._closing = threading.Event()
        # A daemon: a process must end though an exporter hangs.
        self._thread = threading.Thread(target=self._run, name=f"exporter {self.guard.name}", daemon=True)
        self._thread.start()

    def take(self, event: CallEvent) -> None:
        if len(self._events) < self._limits.queue:
            self._events.append(event)
            if not self._wanted.is_set():
                self._wanted.set()
            return
        self._dropped += 1
        if self._dropped == 1:
            log.warning(
                "the exporter %s is slow: %d events wait for it; dropping further ones until it catches up",
                self.guard.name,
                self._limits.queue,
            )

    def finish(self) -> None:
        """End the thread once what waits has been exported."""
        self._closing.set()
        self._wanted.set()

    def join(self, timeout_s: float) -> None:
        """Wait for the thread's end, and say what has been lost."""
        self._thread.join(timeout_s)
        failed, dropped = self.guard.failed, self._dropped
        if self._thread.is_alive():
            log.warning(
                "the exporter %s has not finished in time; giving up some %d events",
                self.guard.name,
                len(self._events),
            )
        if failed or dropped:
            log.warning(
                "the exporter %s failed on %d events and missed %d; closing without them",
                self.guard.name,
                failed,
                dropped,
            )

    def _run(self) -> None:
        while self._events or not self._closing.is_set():
            self._wanted.wait()
            self._closing.wait(self._limits.gather_s)
            self._wanted.clear()  # before what waits is taken: what comes meanwhile wakes the thread anew
            while self._events:
                self.guard.take(self._events.popleft())
        try:
            self._exporter.close()
        except Exception:
            log.exception("the exporter %s could not be closed; leaving it as it is", self.guard.name)
