"""The store in a SQLite file, which several processes may share, or in memory.

The file is in WAL mode: what is committed outlives the process, however that ends. (After a power cut the last
moments may be missing; the file is whole.) It is readable by its owner only. A file on a network share will not do.
"""

import contextlib
import os
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path

from repartee.errors import StoreError
from repartee.store.database import Busy, Refused
from repartee.store.schema import Value

IN_MEMORY = ":memory:"

_FAILED = frozenset(
    {
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_NOTADB,
    }
)
"""The database's own troubles; all else is the statement's."""

_LOOK_AT_CLOCK_EVERY = 20_000
"""Of SQLite's instructions: some milliseconds."""

_WAL_BYTES = 64_000_000


class SqliteDatabase:
    """A connection, to be used in the thread that made it. ``timeout_s`` bounds each wait for other processes, and
    each statement. Raises StoreError."""

    def __init__(self, path: str, timeout_s: float) -> None:
        self._timeout_s = self._limit_s = timeout_s
        self._until = 0.0
        try:
            if path != IN_MEMORY:
                create_private(Path(path))
            self._connection = sqlite3.connect(path, timeout=timeout_s, isolation_level=None)
        except OSError as error:
            raise StoreError(error.strerror or str(error)) from None
        except sqlite3.Error as error:
            raise _translated(error) from None
        try:
            self._prepare(path)
        except StoreError:
            self.close()
            raise

    def _prepare(self, path: str) -> None:
        self._connection.set_progress_handler(self._is_late, _LOOK_AT_CLOCK_EVERY)
        if path != IN_MEMORY:
            self._turn_to_wal()
        # Deleted rows are overwritten: to erase a caller is to have no trace left in the file.
        for setting in ("synchronous = NORMAL", "secure_delete = ON", f"journal_size_limit = {_WAL_BYTES}"):
            self.execute(f"PRAGMA {setting}")

    def _turn_to_wal(self) -> None:
        """Two processes that do this at once get in each other's way, and SQLite does not wait by itself here."""
        until = time.monotonic() + self._timeout_s
        while True:
            try:
                self.execute("PRAGMA journal_mode = WAL")
                return
            except Busy:
                if time.monotonic() > until:
                    raise
                time.sleep(0.01)

    def _is_late(self) -> bool:
        return time.monotonic() > self._until

    def execute(self, sql: str, values: Sequence[Value] = ()) -> tuple[list[tuple[Value, ...]], int]:
        """Run one statement."""
        self._until = time.monotonic() + self._limit_s
        try:
            cursor = self._connection.execute(sql, values)
            return cursor.fetchall(), cursor.rowcount
        except sqlite3.Error as error:
            raise _translated(error) from None

    def begin(self, *, writes: bool) -> None:
        """A writer takes its place at once: later it might be refused for what it has read."""
        self._allow(self._timeout_s)
        self.execute("BEGIN IMMEDIATE" if writes else "BEGIN")

    def commit(self) -> None:
        """Make it durable."""
        self.execute("COMMIT")

    def rollback(self) -> None:
        """As if it had not been."""
        with contextlib.suppress(sqlite3.Error):
            self._connection.rollback()

    def begin_migration(self, limit_s: float) -> None:
        """All other writers wait."""
        self._allow(limit_s)
        self.execute("BEGIN IMMEDIATE")

    def _allow(self, limit_s: float) -> None:
        if limit_s != self._limit_s:
            self._limit_s = limit_s
            self.execute(f"PRAGMA busy_timeout = {round(limit_s * 1000)}")

    def scrub(self) -> None:
        """Empty the log, where older states of pages are; if others hold it, the next who can will."""
        self.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Close the connection."""
        with contextlib.suppress(sqlite3.Error):
            self._connection.close()


def create_private(path: Path) -> None:
    """The file, readable by its owner only; SQLite gives the files beside it the same mode. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))


def _code(error: sqlite3.Error) -> int:
    return int(getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)) & 0xFF


def _translated(error: sqlite3.Error) -> StoreError | Refused:
    if _code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return Busy(str(error))
    return StoreError(str(error)) if _code(error) in _FAILED else Refused(str(error))
