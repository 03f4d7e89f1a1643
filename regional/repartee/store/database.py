"""What SQLite and PostgreSQL have in common: a connection, and a transaction over it.

All of it blocks: it runs in the store's own thread.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from repartee.errors import StoreError
from repartee.store.interfaces import MOST_ROWS
from repartee.store.schema import Row, Table, Value


class Conflict(StoreError):
    """Another process was in the way: the same jobs may succeed at once."""


class Busy(StoreError):
    """Another process has held the database for all the time that there was."""


class Refused(ValueError):
    """The database is well, and does not take this statement or value."""


class Database(Protocol):
    """A connection. Statements hold ``?`` for values. Everything raises StoreError when the database fails."""

    def execute(self, sql: str, values: Sequence[Value] = ()) -> tuple[list[tuple[Value, ...]], int]:
        """The rows, and how many were changed. Raises Refused too."""
        ...

    def begin(self, *, writes: bool) -> None:
        """Begin a transaction; with ``writes``, one that others' writes cannot spoil unnoticed."""
        ...

    def commit(self) -> None:
        """Make it durable."""
        ...

    def rollback(self) -> None:
        """As if it had not been. Never raises."""
        ...

    def begin_migration(self, limit_s: float) -> None:
        """Begin a transaction until whose end nobody else changes the schema; its statements may take so long."""
        ...

    def scrub(self) -> None:
        """See to it that what was deleted is not left in files, as far as that can be done."""
        ...

    def close(self) -> None:
        """Never raises."""
        ...


Opener = Callable[[], Database]
"""Connects anew. Raises StoreError."""


class SqlTransaction:
    """A transaction in SQL: a Writing."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, table: Table, *key: Value) -> Row | None:
        """The row with this key."""
        if len(key) != len(table.key):
            raise ValueError(f"The key of {table.name} is {', '.join(table.key)}.")
        rows = self.rows(table, dict(zip(table.key, key, strict=True)), limit=1)
        return rows[0] if rows else None

    def rows(
        self,
        table: Table,
        where: Row | None = None,
        *,
        by: str | None = None,
        since: float | None = None,
        until: float | None = None,
        newest_first: bool = False,
        limit: int = 100,
    ) -> list[Row]:
        """Rows with these values, in order."""
        by = by or table.time
        table.checked_part({by: None})
        parts, values = _conditions(table, where or {})
        parts.append(f'"{by}" IS NOT NULL')
        for bound, sign in ((since, ">="), (until, "<")):
            if bound is not None:
                parts.append(f'"{by}" {sign} ?')
                values += table.checked_part({by: bound}).values()
        condition = f" WHERE {' AND '.join(parts)}"
        sql = table.select_sql(condition, by, newest_first=newest_first)
        rows, _ = self._database.execute(sql, (*values, max(0, min(limit, MOST_ROWS))))
        names = [column.name for column in table.columns]
        return [dict(zip(names, row, strict=True)) for row in rows]

    def insert(self, table: Table, row: Row) -> bool:
        """Add a row, unless its key is taken."""
        return self._database.execute(table.insert_sql(), table.checked(row))[1] > 0

    def upsert(self, table: Table, row: Row) -> None:
        """Add a row or put it in another's place."""
        self._database.execute(table.upsert_sql(), table.checked(row))

    def delete(self, table: Table, where: Row) -> int:
        """Delete the rows with these values."""
        parts, values = _conditions(table, where)
        if not parts:
            raise ValueError(f"Which rows of {table.name}? Deleting needs one value at least.")
        return self._database.execute(f"DELETE FROM {table.sql_name} WHERE {' AND '.join(parts)}", values)[1]

    def expire(self, table: Table, before: float, limit: int) -> int:
        """Delete the oldest rows before this time."""
        return self._database.execute(table.expire_sql(), (before, limit))[1]


def _conditions(table: Table, where: Row) -> tuple[list[str], list[Value]]:
    fitted = table.checked_part(where)
    parts = [f'"{name}" IS NULL' if value is None else f'"{name}" = ?' for name, value in fitted.items()]
    return parts, [value for value in fitted.values() if value is not None]
