"""A store in dictionaries: what the interface promises, and nothing that a database does beside it."""

import asyncio
import math
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from typing import TypeVar

from repartee.store.interfaces import MOST_ROWS, Reading, StoreFigures, Writing
from repartee.store.schema import Row, Table, Value

T = TypeVar("T")
Rows = dict[tuple[Value, ...], Row]


class FakeTransaction:
    """A Writing."""

    def __init__(self, kept: dict[str, Rows]) -> None:
        self.kept = kept

    def _of(self, table: Table) -> Rows:
        return self.kept[table.name]

    def _whole(self, table: Table, row: Row) -> tuple[tuple[Value, ...], Row]:
        values = dict(zip((column.name for column in table.columns), table.checked(row), strict=True))
        return tuple(values[name] for name in table.key), values

    def get(self, table: Table, *key: Value) -> Row | None:
        if len(key) != len(table.key):
            raise ValueError("the key is longer, or shorter")
        fitted = table.checked_part(dict(zip(table.key, key, strict=True)))
        return self._of(table).get(tuple(fitted[name] for name in table.key))

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
        by = by or table.time
        wanted = table.checked_part(where or {})
        for bound in (since, until):
            table.checked_part({by: bound})

        def fits(row: Row) -> bool:
            at = row[by]
            if at is None:
                return False
            if since is not None or until is not None:
                assert isinstance(at, int | float)
                if not (-math.inf if since is None else since) <= at < (math.inf if until is None else until):
                    return False
            return all(row[name] == value for name, value in wanted.items())

        found = [row for row in self._of(table).values() if fits(row)]
        found.sort(key=lambda row: [row[by], *(row[name] for name in table.key)], reverse=newest_first)
        return found[: max(0, min(limit, MOST_ROWS))]

    def insert(self, table: Table, row: Row) -> bool:
        key, whole = self._whole(table, row)
        if key in self._of(table):
            return False
        self._of(table)[key] = whole
        return True

    def upsert(self, table: Table, row: Row) -> None:
        key, whole = self._whole(table, row)
        self._of(table)[key] = whole

    def delete(self, table: Table, where: Row) -> int:
        if not where:
            raise ValueError("all of them?")
        gone = self.rows(table, where, limit=MOST_ROWS)
        for row in gone:
            del self._of(table)[tuple(row[name] for name in table.key)]
        return len(gone)

    def expire(self, table: Table, before: float, limit: int) -> int:
        gone = self.rows(table, until=before, limit=limit)
        for row in gone:
            del self._of(table)[tuple(row[name] for name in table.key)]
        return len(gone)


class FakeStore:
    """A Store. Without a loop of its own: what is to be done later is done at once."""

    def __init__(self, tables: Iterable[Table]) -> None:
        self._tables = tuple(tables)
        self._kept: dict[str, Rows] = {table.name: {} for table in self._tables}

    def later(self, job: Callable[[Writing], object]) -> bool:
        try:
            self._do(job)
        except Exception:
            return True
        return True

    async def write(self, job: Callable[[Writing], T]) -> T:
        await asyncio.sleep(0)
        return self._do(job)

    async def read(self, job: Callable[[Reading], T]) -> T:
        await asyncio.sleep(0)
        return self._do(job)

    async def erase(self, subject: str) -> Mapping[str, int]:
        named = [(table, table.subject) for table in self._tables if table.subject]
        return await self.write(
            lambda writing: {table.name: writing.delete(table, {column: subject}) for table, column in named}
        )

    def figures(self) -> StoreFigures:
        return StoreFigures(0, 0, None)

    async def aclose(self) -> None:
        """Nothing waits."""

    def _do(self, job: Callable[[FakeTransaction], T]) -> T:
        draft = deepcopy(self._kept)
        result = job(FakeTransaction(draft))
        self._kept = draft
        return result
