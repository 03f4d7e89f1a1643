"""A database that fails, hangs or goes away while the store runs: nobody waits, the log has a line, and what can be
kept is kept."""

import asyncio
import dataclasses
import logging
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.regional.store.cluster import Cluster
from tests.regional.store.tables import CALLS, TABLES

from repartee.errors import StoreError
from repartee.store.database import Conflict, Database
from repartee.store.interfaces import Reading, Writing
from repartee.store.opening import StorePlace, open_store
from repartee.store.retention import ROUND_S, Retention, keep_expiring
from repartee.store.schema import Row, Value
from repartee.store.sqlite import SqliteDatabase
from repartee.store.threaded import StoreLimits, ThreadedStore

DEADLINE_S = 30.0


class Hostile:
    """A SQLite file's database whose user the test can trouble: `fault` is raised by each statement, and `hang` holds
    each until it is set."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.fault: Exception | None = None
        self.free = threading.Event()
        self.free.set()
        self.reached = threading.Event()
        self.opened = 0

    def open(self) -> Database:
        self.opened += 1
        self._trouble()
        return _Troubled(self, SqliteDatabase(str(self.path), 5.0))

    def _trouble(self) -> None:
        self.reached.set()
        assert self.free.wait(DEADLINE_S)
        if self.fault:
            raise self.fault


class _Troubled(Database):
    def __init__(self, hostile: Hostile, inner: SqliteDatabase) -> None:
        self._hostile = hostile
        self._inner = inner

    def execute(self, sql: str, values: Sequence[Value] = ()) -> tuple[list[tuple[Value, ...]], int]:
        self._hostile._trouble()
        return self._inner.execute(sql, values)

    def begin(self, *, writes: bool) -> None:
        self._hostile._trouble()
        self._inner.begin(writes=writes)

    def begin_migration(self, limit_s: float) -> None:
        self._inner.begin_migration(limit_s)

    def commit(self) -> None:
        self._hostile._trouble()
        self._inner.commit()

    def rollback(self) -> None:
        self._inner.rollback()

    def scrub(self) -> None:
        self._inner.scrub()

    def close(self) -> None:
        self._inner.close()


@asynccontextmanager
async def troubled(
    tmp_path: Path, *, queue: int = 1_000, timeout_s: float = 5.0
) -> AsyncIterator[tuple[ThreadedStore, Hostile]]:
    hostile = Hostile(tmp_path / "store.sqlite3")
    store = ThreadedStore(hostile.open, TABLES, StoreLimits(queue, timeout_s))
    await store.start()
    yield store, hostile
    hostile.fault = None
    hostile.free.set()
    await store.aclose()


def inserting(number: int) -> Callable[[Writing], bool]:
    row: Row = {"call_id": f"{number:03}", "started_at": float(number)}
    return lambda writing: writing.insert(CALLS, row)


def all_ids(reading: Reading) -> list[object]:
    return [row["call_id"] for row in reading.rows(CALLS, limit=1_000)]


def damage(folder: Path) -> None:
    for file in folder.iterdir():
        file.write_bytes(b"\xff" * max(8_192, file.stat().st_size))


async def until(seen: Callable[[], object]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not seen():  # noqa: ASYNC110 - what is looked at is in the store's thread
            await asyncio.sleep(0.005)


async def test_what_was_given_while_the_database_failed_is_kept_in_order(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with troubled(tmp_path) as (store, hostile):
        hostile.fault = StoreError("disk I/O error")
        for number in range(200):
            assert store.later(inserting(number))
        await until(lambda: hostile.opened > 3)
        assert store.figures().fault == "disk I/O error"
        assert store.figures().waiting == 200
        hostile.fault = None
        await until(lambda: not store.figures().waiting)
        assert await store.read(all_ids) == [f"{n:03}" for n in range(200)]
        assert store.figures().fault is None
    lines = [record.getMessage() for record in caplog.records if "store" in record.name]
    assert len(lines) == 2
    assert "cannot be used (disk I/O error); trying again" in lines[0]
    assert "can be used again, after 0 changes were dropped; writing what waits" in lines[1]


async def test_a_database_that_hangs_makes_nobody_wait(tmp_path: Path) -> None:
    async with troubled(tmp_path, queue=10_000) as (store, hostile):
        hostile.reached.clear()
        hostile.free.clear()
        for number in range(1_000):
            assert store.later(inserting(number))
        await until(hostile.reached.is_set)
        # All were taken, and this task has gone on, while the database has not answered once.
        assert store.figures().waiting == 1_000
        hostile.free.set()
        assert len(await store.read(all_ids)) == 1_000


async def test_who_asks_a_database_that_hangs_is_told_in_time(tmp_path: Path) -> None:
    async with troubled(tmp_path, timeout_s=0.2) as (store, hostile):
        hostile.free.clear()
        for ask in (store.write(inserting(1)), store.read(all_ids), store.erase("+44")):
            with pytest.raises(StoreError, match=r"did not answer in 0\.2 s"):
                await ask


async def test_who_asks_a_database_that_fails_is_told_why(tmp_path: Path) -> None:
    async with troubled(tmp_path) as (store, hostile):
        hostile.fault = StoreError("the server is gone")
        with pytest.raises(StoreError, match="the server is gone"):
            await store.write(inserting(1))
        hostile.fault = None
        assert await store.write(inserting(1))


async def test_a_full_queue_drops_what_is_new_and_counts_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with troubled(tmp_path, queue=5) as (store, hostile):
        hostile.free.clear()
        assert [store.later(inserting(number)) for number in range(8)] == [True] * 5 + [False] * 3
        assert store.figures().dropped == 3
        with pytest.raises(StoreError, match="queue is full"):
            await store.write(inserting(9))
        hostile.free.set()
        await until(lambda: not store.figures().waiting)
        assert await store.read(all_ids) == ["000", "001", "002", "003", "004"]
    assert caplog.text.count("REPARTEE_STORE_QUEUE") == 1
    assert caplog.text.count("3 changes were dropped") == 1


async def test_who_is_in_the_way_is_tried_again_at_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    runs: list[int] = []

    def job(writing: Writing) -> bool:
        runs.append(1)
        if len(runs) < 4:
            raise Conflict("could not serialize access")
        return writing.insert(CALLS, {"call_id": "a", "started_at": 0.0})

    async with troubled(tmp_path) as (store, _):
        assert await store.write(job)
    assert len(runs) == 4
    assert caplog.text == ""


async def test_a_store_that_closes_writes_what_waits(tmp_path: Path) -> None:
    async with troubled(tmp_path) as (store, hostile):
        for number in range(300):
            store.later(inserting(number))
        await store.aclose()
        assert store.figures().waiting == 0
        assert not store.later(inserting(999))
    database = sqlite3.connect(hostile.path)
    assert database.execute("SELECT count(*) FROM repartee_calls").fetchone() == (300,)
    database.close()


async def test_a_store_that_closes_tries_what_failed_once_more(tmp_path: Path) -> None:
    async with troubled(tmp_path) as (store, hostile):
        hostile.fault = StoreError("a long outage")
        store.later(inserting(1))
        await until(lambda: hostile.opened > 3)
        hostile.fault = None
        await store.aclose()
        assert store.figures().waiting == 0
    async with troubled(tmp_path) as (store, _):
        assert await store.read(all_ids) == ["001"]


async def test_a_store_whose_database_hangs_closes_in_time(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with troubled(tmp_path, timeout_s=0.2) as (store, hostile):
        hostile.free.clear()
        store.later(inserting(1))
        async with asyncio.timeout(DEADLINE_S):
            await store.aclose()
        assert "closed with 1 changes" in caplog.text


async def test_a_change_that_goes_wrong_leaves_its_name_in_the_log_and_no_words(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def keep_what_was_said(writing: Writing) -> None:
        raise LookupError("my card's number is 1234")

    async with troubled(tmp_path) as (store, _):
        store.later(keep_what_was_said)
        await store.read(all_ids)
    assert "keep_what_was_said" in caplog.text and "LookupError" in caplog.text
    assert "1234" not in caplog.text


async def test_a_file_that_is_damaged_while_it_is_used_costs_no_more_than_itself(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "store.sqlite3"
    store = await open_store(StorePlace(file=str(path)), TABLES)
    await store.write(inserting(1))
    damage(tmp_path)
    assert store.later(inserting(2))
    await until(lambda: store.figures().fault)
    assert store.later(inserting(3))
    await store.aclose()
    assert caplog.text.count("cannot be used") == 1


async def test_postgresql_goes_and_comes_back(postgresql: Cluster, caplog: pytest.LogCaptureFixture) -> None:
    store = await open_store(StorePlace(postgresql.new_database()), TABLES)
    await store.write(inserting(0))
    postgresql.stop()
    try:
        for number in range(1, 100):
            assert store.later(inserting(number))
        await until(lambda: store.figures().fault)
    finally:
        postgresql.start()
    await until(lambda: not store.figures().waiting)
    assert await store.read(all_ids) == [f"{n:03}" for n in range(100)]
    await store.aclose()
    assert caplog.text.count("cannot be used") == 1


async def test_a_statement_has_a_limit(config: StorePlace) -> None:
    """Rows that another transaction holds, on PostgreSQL; on SQLite the whole file."""
    quick = dataclasses.replace(config, limits=StoreLimits(timeout_s=0.3))
    store, other = await open_store(config, TABLES), await open_store(quick, TABLES)
    held, free = threading.Event(), threading.Event()

    def hold(writing: Writing) -> None:
        writing.upsert(CALLS, {"call_id": "000", "started_at": 0.0})
        held.set()
        assert free.wait(DEADLINE_S)

    holding = asyncio.create_task(store.write(hold))
    await until(held.is_set)
    with pytest.raises((StoreError, ValueError)):
        await other.write(lambda writing: writing.upsert(CALLS, {"call_id": "000", "started_at": 1.0}))
    free.set()
    await holding
    assert await other.write(lambda writing: writing.delete(CALLS, {"call_id": "000"})) == 1
    await store.aclose()
    await other.aclose()


async def test_retention_goes_on_after_a_failure_and_at_its_rate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if pauses.count(ROUND_S) == 3:
            raise asyncio.CancelledError

    async with troubled(tmp_path) as (store, hostile):
        for number in range(250):
            store.later(inserting(number))
        await store.read(all_ids)

        async def trouble_then_sleep(seconds: float) -> None:
            hostile.fault = None
            await sleep(seconds)

        hostile.fault = StoreError("a short outage")
        retention = Retention({"calls": 1.0}, rows_per_s=100)
        with pytest.raises(asyncio.CancelledError):
            await keep_expiring(
                store, TABLES, retention, clock=lambda: 86_400.0 + 200, sleep=trouble_then_sleep
            )
        assert (await store.read(all_ids))[0] == "200"
    assert pauses == [ROUND_S, 1.0, 1.0, ROUND_S, ROUND_S]
