"""The store: one thread, one connection, one bounded queue.

Nothing on the audio path waits for it: whoever has something to keep leaves it in the queue (`later`), and the
thread writes all that has gathered in one transaction. When the database fails, the queue keeps what waits and the
thread tries again; when the queue is full, it drops and counts new changes. The log has a line when that begins and
one when it ends.
"""

import asyncio
import contextlib
import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

from repartee.errors import StoreError
from repartee.store.database import Conflict, Database, Opener, SqlTransaction
from repartee.store.interfaces import Reading, StoreFigures, Writing
from repartee.store.migrations import NewerSchema, migrate
from repartee.store.schema import Table

T = TypeVar("T")

log = logging.getLogger(__name__)

MOST_AT_ONCE = 64
"""Changes in one transaction."""

RETRY_S, MAX_RETRY_S = 0.1, 5.0
"""After a failure: at first, and at most."""

CONFLICTS, MAX_CONFLICT_S = 30, 0.05
"""How often a transaction that others got in the way of is run again, and after what random wait at most."""


@dataclass(frozen=True, slots=True)
class StoreLimits:
    """``queue``: changes that may wait. ``timeout_s``: how long the store's users wait for it, and it for its
    database."""

    queue: int = 1_000
    timeout_s: float = 5.0


@dataclass(slots=True, eq=False)
class _Entry:
    job: Callable[[Any], object]
    writes: bool
    waiter: Future[Any] | None = None
    scrub: bool = False
    failed: Exception | None = None
    result: object = None


class ThreadedStore:
    """A Store over a Database. ``start`` it first."""

    def __init__(self, opener: Opener, tables: Iterable[Table], limits: StoreLimits | None = None) -> None:
        self._opener = opener
        self._tables = tuple(tables)
        self._limits = limits or StoreLimits()
        self._queue: deque[_Entry] = deque()
        self._changed = threading.Condition()
        self._database: Database | None = None
        self._closing = False
        self._was_open = False
        self._dropped = 0
        self._dropped_in_row = 0
        self._fault: str | None = None
        self._thread: threading.Thread | None = None

    async def start(self) -> None:
        """Connect and bring the schema up. Raises StoreError."""
        opened: Future[None] = Future()
        opened.set_running_or_notify_cancel()
        self._thread = threading.Thread(
            target=self._begin, args=(opened,), name="repartee-store", daemon=True
        )
        self._thread.start()
        await asyncio.wrap_future(opened)

    def later(self, job: Callable[[Writing], object]) -> bool:
        """Have a change made soon."""
        return self._put(_Entry(job, writes=True))

    async def write(self, job: Callable[[Writing], T]) -> T:
        """Make a change."""
        result: T = await self._ask(_Entry(job, writes=True, waiter=Future()))
        return result

    async def read(self, job: Callable[[Reading], T]) -> T:
        """Look."""
        result: T = await self._ask(_Entry(job, writes=False, waiter=Future()))
        return result

    async def erase(self, subject: str) -> Mapping[str, int]:
        """Delete what any table keeps of this caller."""
        named = [(table, table.subject) for table in self._tables if table.subject]

        def job(store: Writing) -> dict[str, int]:
            return {table.name: store.delete(table, {column: subject}) for table, column in named}

        result: Mapping[str, int] = await self._ask(_Entry(job, writes=True, waiter=Future(), scrub=True))
        return result

    def figures(self) -> StoreFigures:
        """How it is now."""
        with self._changed:
            return StoreFigures(len(self._queue), self._dropped, self._fault)

    async def aclose(self) -> None:
        """Write what waits, and end."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread:
            await asyncio.get_running_loop().run_in_executor(None, self._thread.join, self._limits.timeout_s)
        lost = self.figures().waiting
        if lost:
            log.warning(
                "the store closed with %d changes that could not be written: %s; losing them",
                lost,
                self._fault,
            )

    async def _ask(self, entry: _Entry) -> Any:
        assert entry.waiter is not None
        if not self._put(entry):
            raise StoreError("The store is closed, or its queue is full.")
        try:
            async with asyncio.timeout(self._limits.timeout_s) as deadline:
                return await asyncio.wrap_future(entry.waiter)
        except TimeoutError:
            if not deadline.expired():
                raise
            because = f": {self._fault}" if self._fault else ""
            raise StoreError(f"The store did not answer in {self._limits.timeout_s:g} s{because}.") from None

    def _put(self, entry: _Entry) -> bool:
        with self._changed:
            if len(self._queue) < self._limits.queue and not self._closing:
                self._queue.append(entry)
                self._changed.notify()
                return True
            if entry.waiter is not None:
                return False
            self._dropped += 1
            self._dropped_in_row += 1
            begins = self._dropped_in_row == 1
        if begins:
            log.warning(
                "the store's queue is full (REPARTEE_STORE_QUEUE); dropping new changes until it has room"
            )
        return False

    # From here on: the store's own thread.

    def _begin(self, opened: Future[None]) -> None:
        try:
            self._connect()
        except BaseException as error:
            opened.set_exception(error)
            return
        opened.set_result(None)
        self._run()

    def _connect(self) -> Database:
        if self._database is None:
            database = self._opener()
            try:
                migrate(database, self._tables)
            except NewerSchema:
                # A newer version has joined since the start: it has only added to what this one uses.
                if not self._was_open:
                    database.close()
                    raise
            except BaseException:
                database.close()
                raise
            self._database = database
            self._was_open = True
        return self._database

    def _run(self) -> None:
        retry_s = RETRY_S
        is_last = False
        while batch := self._next():
            try:
                self._transact(batch)
            except Exception as error:
                self._has_failed(batch, error)
                if is_last:
                    break
                # A store that closes tries once more, at once.
                is_last = not self._pause(retry_s)
                retry_s = min(retry_s * 2, MAX_RETRY_S)
            else:
                retry_s = RETRY_S
                self._has_succeeded(batch)
        if self._database:
            self._database.close()
        self._refuse_the_rest()

    def _refuse_the_rest(self) -> None:
        with self._changed:
            waiting = [entry for entry in self._queue if entry.waiter is not None]
        for entry in waiting:
            entry.failed = StoreError("The store was closed.")
            _settle(entry)

    def _next(self) -> Sequence[_Entry]:
        """The next jobs that go together, which stay in the queue; none when the store closes."""
        with self._changed:
            while not self._queue and not self._closing:
                self._changed.wait()
            batch: list[_Entry] = []
            for entry in self._queue:
                if len(batch) == MOST_AT_ONCE or (batch and not (entry.writes and batch[0].writes)):
                    break
                batch.append(entry)
            return batch

    def _pause(self, seconds: float) -> bool:
        """False when the store closes meanwhile."""
        until = time.monotonic() + seconds
        with self._changed:
            while not self._closing and (left := until - time.monotonic()) > 0:
                self._changed.wait(left)
            return not self._closing

    def _transact(self, batch: Sequence[_Entry]) -> None:
        """All of the batch in one transaction, again if others got in the way. Raises StoreError."""
        for attempt in range(CONFLICTS):
            try:
                self._attempt(self._connect(), batch)
                return
            except Conflict:
                if attempt == CONFLICTS - 1:
                    raise
                time.sleep(random.uniform(0, MAX_CONFLICT_S))

    def _attempt(self, database: Database, batch: Sequence[_Entry]) -> None:
        database.begin(writes=batch[0].writes)
        try:
            for entry in batch:
                self._do(database, entry)
            database.commit()
        except BaseException:
            database.rollback()
            raise
        if any(entry.scrub for entry in batch):
            # What is committed is done, whether or not this succeeds; the next who can will see to it.
            with contextlib.suppress(StoreError):
                database.scrub()

    def _do(self, database: Database, entry: _Entry) -> None:
        """One job; its own fault undoes what it did and nothing else."""
        entry.failed = entry.result = None
        if entry.waiter and entry.waiter.cancelled():
            return
        database.execute("SAVEPOINT job")
        try:
            entry.result = entry.job(SqlTransaction(database))
        except StoreError:
            raise
        except Exception as error:
            entry.failed = error
            database.execute("ROLLBACK TO SAVEPOINT job")
        database.execute("RELEASE SAVEPOINT job")

    def _has_succeeded(self, batch: Sequence[_Entry]) -> None:
        with self._changed:
            for _ in batch:
                self._queue.popleft()
            fault, self._fault = self._fault, None
            dropped, self._dropped_in_row = self._dropped_in_row, 0
        if fault or dropped:
            log.info(
                "the store can be used again, after %d changes were dropped; writing what waits", dropped
            )
        for entry in batch:
            _settle(entry)

    def _has_failed(self, batch: Sequence[_Entry], error: Exception) -> None:
        """Tell whoever waits; leave in its place what nobody waits for."""
        if self._database is not None:
            self._database.close()
            self._database = None
        told = str(error) or type(error).__name__
        if not isinstance(error, StoreError):
            log.error("a fault of this program in the store; opening its database again", exc_info=error)
        with self._changed:
            is_first, self._fault = self._fault is None, told
            for entry in batch:
                if entry.waiter is not None:
                    self._queue.remove(entry)
                    entry.failed = StoreError(f"The store failed: {told}.")
            waiting = len(self._queue)
        if is_first:
            log.warning("the store cannot be used (%s); trying again, with %d changes waiting", told, waiting)
        for entry in batch:
            if entry.waiter is not None:
                _settle(entry)


def _settle(entry: _Entry) -> None:
    """Tell whoever waits; a change that nobody waits for leaves a line in the log if it went wrong."""
    if entry.waiter is None:
        if entry.failed:
            name = getattr(entry.job, "__qualname__", "a job")
            log.error("a change could not be stored (%s: %s); dropping it", name, type(entry.failed).__name__)
        return
    # Who was cancelled in the meantime does not want to know.
    with contextlib.suppress(Exception):
        if entry.failed:
            entry.waiter.set_exception(entry.failed)
        else:
            entry.waiter.set_result(entry.result)
