"""Finds rows that are older than they may become, and deletes them, a few at a time."""

import asyncio
import contextlib
import math
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass

from repartee.errors import ConfigurationError, StoreError
from repartee.store.interfaces import Store, Writing
from repartee.store.schema import Table

DAY_S = 86_400.0
ROUND_S = 600.0
"""Between two looks at all tables."""

AT_ONCE = 100
"""Rows in one transaction."""

MOST_DAYS = 36_500.0


@dataclass(frozen=True, slots=True)
class Retention:
    """How many days rows may stay, by table (those without a limit are not in it), and how fast older ones go."""

    days: Mapping[str, float]
    rows_per_s: float = 200.0


def retention_of(text: str, tables: Iterable[Table]) -> dict[str, float]:
    """Days by table: the tables' own, changed by a text such as ``transitions=30,calls=0``, where 0 is for ever.

    Raises ConfigurationError.
    """
    limits = {table.name: table.kept_days for table in tables}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, days = (piece.strip() for piece in part.partition("="))
        if name not in limits:
            raise ConfigurationError(f"there is no table {name!r}; there are: {', '.join(sorted(limits))}")
        limits[name] = _days(part, days) or None
    return {name: days for name, days in limits.items() if days is not None}


def _days(part: str, text: str) -> float:
    try:
        days = float(text)
    except ValueError:
        days = math.nan
    if not 0 <= days <= MOST_DAYS:
        raise ConfigurationError(f"{part!r} must be a table and days from 0 to {MOST_DAYS:g}, as in calls=30")
    return days


async def expire(
    store: Store,
    tables: Iterable[Table],
    retention: Retention,
    now: float,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> int:
    """Delete what is too old; returns how many rows. Raises StoreError."""
    gone = 0
    for table in tables:
        days = retention.days.get(table.name)
        if days is None:
            continue
        while count := await store.write(_oldest(table, now - days * DAY_S)):
            gone += count
            await sleep(count / retention.rows_per_s)
    return gone


def _oldest(table: Table, before: float) -> Callable[[Writing], int]:
    return lambda writing: writing.expire(table, before, AT_ONCE)


async def keep_expiring(
    store: Store,
    tables: Iterable[Table],
    retention: Retention,
    *,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Do so again and again, until cancelled."""
    tables = tuple(tables)
    while True:
        # The store has logged what is wrong, and the next round is soon enough.
        with contextlib.suppress(StoreError):
            await expire(store, tables, retention, clock(), sleep)
        await sleep(ROUND_S)
