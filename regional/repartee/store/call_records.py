"""What is kept of calls: a row for each, and a row for each thing that happened in it.

Rows are written while the call goes on, so that a worker which is killed leaves what it has finished.
"""

from collections.abc import Sequence

from repartee.store.interfaces import MOST_ROWS, Reading, Store, Writing
from repartee.store.schema import Column, Row, Table

KEPT_DAYS = 30.0

CALLS = Table(
    "calls",
    (
        Column("call_id", "text"),
        Column("started_at", "real"),
        Column("seen_at", "real"),
        Column("agent", "text"),
        Column("version", "text"),
        Column("caller", "text", null=True),
        Column("transport", "text"),
        Column("region", "text"),
        Column("ended", "text", null=True),
        Column("seconds", "real"),
        Column("turns", "integer"),
        Column("unanswered", "integer"),
        Column("interruptions", "integer"),
        Column("faults", "integer"),
        Column("cost", "real", null=True),
        Column("details", "text"),
    ),
    key=("call_id",),
    time="started_at",
    subject="caller",
    kept_days=KEPT_DAYS,
)
"""``ended`` is null until the call is over; ``seen_at`` is when its worker last wrote of it. ``details`` is JSON: the
vendors, what was used of them, and what of that has no price."""

CALL_ENTRIES = Table(
    "call_entries",
    (
        Column("call_id", "text"),
        Column("entry", "text"),
        Column("at", "real"),
        Column("caller", "text", null=True),
        Column("kind", "text"),
        Column("turn_id", "integer"),
        Column("body", "text"),
    ),
    key=("call_id", "entry"),
    time="at",
    subject="caller",
    kept_days=KEPT_DAYS,
)
"""``kind`` is turn, said, tool, interruption, provider_failed, line_troubled or author_fault; ``body`` is JSON."""

UNSEEN_S = 90.0
"""A call that is not over and was not written of for so long has lost its worker."""


def keep_call(store: Store, call: Row, entries: Sequence[Row] = ()) -> bool:
    """Write a call's row and what happened, soon. False: it was dropped."""

    def keep_record(writing: Writing) -> None:
        for entry in entries:
            writing.upsert(CALL_ENTRIES, entry)
        writing.upsert(CALLS, call)

    return store.later(keep_record)


async def calls_between(
    store: Store,
    since: float | None,
    until: float | None,
    *,
    where: Row | None = None,
    limit: int = MOST_ROWS,
) -> Sequence[Row]:
    """Calls that started in this time, the newest first. Raises StoreError."""

    def read_calls(reading: Reading) -> Sequence[Row]:
        return reading.rows(CALLS, where or {}, since=since, until=until, newest_first=True, limit=limit)

    return await store.read(read_calls)


async def call_with(store: Store, call_id: str) -> tuple[Row, Sequence[Row]] | None:
    """A call and what happened in it, in order; None if it is not known. Raises StoreError."""

    def read_call(reading: Reading) -> tuple[Row, Sequence[Row]] | None:
        call = reading.get(CALLS, call_id)
        if call is None:
            return None
        return call, reading.rows(CALL_ENTRIES, {"call_id": call_id}, limit=MOST_ROWS)

    return await store.read(read_call)


def ending(call: Row, now: float) -> str:
    """How a call ended: ``in progress`` if it has not, ``lost`` if its worker is gone."""
    if call["ended"]:
        return str(call["ended"])
    seen_at = call["seen_at"]
    assert isinstance(seen_at, float)
    return "in progress" if now - seen_at < UNSEEN_S else "lost"
