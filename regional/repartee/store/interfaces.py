"""The store as those see it who keep something beyond a call: records, experience, whatever comes.

A job is a function of a transaction. Each runs as if it were alone with the database, and the store keeps all that
it does or nothing. If two get in each other's way, one runs again, so a job must have no other effects.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from repartee.store.schema import Row, Table, Value

T = TypeVar("T")

MOST_ROWS = 10_000
"""In one answer."""


class Reading(Protocol):
    """A transaction that may look. Everything raises ValueError for what the table does not have."""

    def get(self, table: Table, *key: Value) -> Row | None:
        """The row with this key."""
        ...

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
    ) -> Sequence[Row]:
        """Rows with these values, in the order of the column ``by`` (the table's time, if None), from ``since`` to
        before ``until`` in it; those without a value there are left out."""
        ...


class Writing(Reading, Protocol):
    """A transaction that may change things."""

    def insert(self, table: Table, row: Row) -> bool:
        """Add a row; False, and nothing happens, if its key is taken."""
        ...

    def upsert(self, table: Table, row: Row) -> None:
        """Add a row, or put it in the place of the one with its key."""
        ...

    def delete(self, table: Table, where: Row) -> int:
        """Delete the rows with these values (one at least); returns how many there were."""
        ...

    def expire(self, table: Table, before: float, limit: int) -> int:
        """Delete the oldest rows before this time, so many at most; returns how many there were."""
        ...


@dataclass(frozen=True, slots=True)
class StoreFigures:
    """What waits to be written, what was dropped since the start, and what is wrong, if anything is."""

    waiting: int
    dropped: int
    fault: str | None


class Store(Protocol):
    """One for a process. Jobs run in the order in which they are given."""

    def later(self, job: Callable[[Writing], object]) -> bool:
        """Have a change made soon, without ever waiting: for what goes on beside a call. While the database fails it
        is tried again, in order (and may then have been made twice, if the answer to a commit was lost).

        Returns False, and the change is dropped and counted, when the queue is full.
        """
        ...

    async def write(self, job: Callable[[Writing], T]) -> T:
        """Make a change; it is durable on return. Raises StoreError if that does not succeed in time (it may be made
        all the same), and whatever the job raises: then nothing was changed."""
        ...

    async def read(self, job: Callable[[Reading], T]) -> T:
        """Look. Raises StoreError, and whatever the job raises."""
        ...

    async def erase(self, subject: str) -> Mapping[str, int]:
        """Delete what any table keeps of this caller; returns how many rows of which table. Raises StoreError."""
        ...

    def figures(self) -> StoreFigures:
        """How it is now."""
        ...

    async def aclose(self) -> None:
        """Write what waits, for so long as the store may wait for its database, and end."""
        ...
