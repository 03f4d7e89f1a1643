"""Recordings of calls: a row each, from before the first sample on, so that erasing a caller finds all."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence

from repartee.errors import StoreError
from repartee.store.interfaces import Store, Writing
from repartee.store.recording_places import RecordingPlace
from repartee.store.schema import Column, Row, Table, Value

RECORDINGS = Table(
    "recordings",
    (
        Column("call_id", "text"),
        Column("at", "real"),
        Column("caller", "text", null=True),
        Column("place", "text"),
        Column("name", "text"),
        Column("bytes", "integer"),
        Column("seconds", "real"),
    ),
    key=("call_id",),
    time="at",
    subject="caller",
)
"""``place`` is the setting that it was kept under, ``name`` the file there; no ``bytes``: it is not complete."""

PlaceOf = Callable[[str], RecordingPlace]
"""Opens a place by its address."""

AT_ONCE = 100
DAY_S = 86_400.0
ROUND_S = 600.0


def keep_begun(store: Store, row: Row) -> None:
    """Note a recording that begins. Waits for nothing."""
    store.later(lambda writing: writing.upsert(RECORDINGS, row))


async def keep_complete(store: Store, call_id: str, size: int, seconds: float) -> bool:
    """Note that a recording is complete; False if it has been erased meanwhile. Raises StoreError."""

    def complete(writing: Writing) -> bool:
        row = writing.get(RECORDINGS, call_id)
        if row is not None:
            writing.upsert(RECORDINGS, {**row, "bytes": size, "seconds": seconds})
        return row is not None

    return await store.write(complete)


def forget(store: Store, call_id: str) -> None:
    """There is no such recording after all. Waits for nothing."""
    store.later(lambda writing: writing.delete(RECORDINGS, {"call_id": call_id}))


async def recording_of(store: Store, call_id: str) -> Row | None:
    """The row of a call's recording. Raises StoreError."""
    return await store.read(lambda reading: reading.get(RECORDINGS, call_id))


async def erase_recordings(store: Store, place_of: PlaceOf, caller: str) -> int:
    """Delete the recordings of a caller, files first; returns how many files. Raises StoreError."""
    gone = 0
    while rows := await store.read(
        lambda reading: reading.rows(RECORDINGS, {"caller": caller}, limit=AT_ONCE)
    ):
        gone += await _delete(store, place_of, rows)
    return gone


async def expire_recordings(store: Store, place_of: PlaceOf, days: float, now: float) -> int:
    """Delete those that are older than so many days; returns how many. Raises StoreError."""
    gone = 0
    before = now - days * DAY_S
    while rows := await store.read(lambda reading: reading.rows(RECORDINGS, until=before, limit=AT_ONCE)):
        gone += await _delete(store, place_of, rows)
    return gone


async def keep_expiring_recordings(store: Store, place_of: PlaceOf, days: float) -> None:
    """Do so again and again, until cancelled. What fails is tried in the next round."""
    while True:
        with contextlib.suppress(StoreError):
            await expire_recordings(store, place_of, days, time.time())
        await asyncio.sleep(ROUND_S)


async def _delete(store: Store, place_of: PlaceOf, rows: Sequence[Row]) -> int:
    gone = 0
    for row in rows:
        place = place_of(str(row["place"]))
        gone += await asyncio.to_thread(place.delete, str(row["name"]))
        await store.write(_deleting(row["call_id"]))
    return gone


def _deleting(call_id: Value) -> Callable[[Writing], int]:
    return lambda writing: writing.delete(RECORDINGS, {"call_id": call_id})
