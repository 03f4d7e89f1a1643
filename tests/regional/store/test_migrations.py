"""Schemas that are older, newer, half done, or brought up by several processes at once; on both databases."""

from dataclasses import replace

import pytest
from tests.regional.store import processes

from repartee.errors import ConfigurationError, StoreError
from repartee.store.interfaces import Writing
from repartee.store.opening import StorePlace, open_store
from repartee.store.schema import Column, Row, Table
from repartee.store.tables import TABLES as OWN_TABLES

OLD = Table(
    "calls",
    (Column("call_id", "text"), Column("started_at", "real")),
    key=("call_id",),
    time="started_at",
)
NEW = replace(
    OLD,
    columns=(
        *OLD.columns,
        Column("caller", "text", null=True, since=2),
        Column("ended", "text", since=3, default="it's unknown"),
        Column("seconds", "integer", since=4, default=0),
    ),
    subject="caller",
    indexes=(("ended", "seconds"),),
    changes={3: ('UPDATE "repartee_calls" SET "started_at" = "started_at" + 1',)},
)


async def written_by_old(config: StorePlace) -> None:
    store = await open_store(config, (OLD,))
    for name in "abc":
        await store.write(lambda writing, n=name: writing.insert(OLD, {"call_id": n, "started_at": 1.0}))  # type: ignore[misc]
    await store.aclose()


async def rows(config: StorePlace, table: Table) -> list[Row]:
    store = await open_store(config, (table,))
    found = await store.read(lambda reading: reading.rows(table))
    await store.aclose()
    return list(found)


async def test_an_older_schema_is_brought_up_and_its_rows_are_kept(config: StorePlace) -> None:
    await written_by_old(config)
    expected = {"started_at": 2.0, "caller": None, "ended": "it's unknown", "seconds": 0}
    assert await rows(config, NEW) == [{"call_id": name, **expected} for name in "abc"]


async def test_each_version_between_is_passed_once(config: StorePlace) -> None:
    await written_by_old(config)
    middle = replace(NEW, columns=NEW.columns[:4], indexes=())
    assert middle.version == 3
    for _ in range(2):
        assert [row["started_at"] for row in await rows(config, middle)] == [2.0] * 3
    for _ in range(2):
        assert [row["started_at"] for row in await rows(config, NEW)] == [2.0] * 3


async def test_a_new_store_is_like_one_that_was_brought_up(config: StorePlace) -> None:
    store = await open_store(config, (NEW,))
    row: Row = {"call_id": "a", "started_at": 5.0, "caller": "+44", "ended": "well", "seconds": 7}
    assert await store.write(lambda writing: writing.insert(NEW, row))
    assert await store.read(lambda reading: reading.get(NEW, "a")) == row
    assert await store.erase("+44") == {"calls": 1}
    await store.aclose()


async def test_a_table_that_comes_later_joins_those_that_are_there(config: StorePlace) -> None:
    await written_by_old(config)
    other = replace(OLD, name="others")
    store = await open_store(config, (OLD, other))
    assert len(await store.read(lambda reading: reading.rows(OLD))) == 3
    assert await store.read(lambda reading: reading.rows(other)) == []
    await store.aclose()


@pytest.mark.parametrize("known", [(OLD,), (replace(OLD, name="others"),)], ids=["a version", "a table"])
async def test_a_newer_schema_is_refused_and_left_alone(config: StorePlace, known: tuple[Table, ...]) -> None:
    store = await open_store(config, (NEW,))
    await store.write(lambda writing: writing.insert(NEW, {"call_id": "a", "started_at": 1.0}))
    await store.aclose()
    with pytest.raises(
        ConfigurationError, match=r"newer version of Repartee \(tables: calls\).*Run the newer"
    ):
        await open_store(config, known)
    assert [row["call_id"] for row in await rows(config, NEW)] == ["a"]


async def test_a_worker_goes_on_while_a_newer_version_is_rolled_out(config: StorePlace) -> None:
    row: Row = {"call_id": "z", "started_at": 9.0}
    worker = await open_store(config, (OLD,))
    await (await open_store(config, (NEW,))).aclose()
    assert await worker.write(lambda writing: writing.insert(OLD, row))

    def fail(writing: Writing) -> None:
        raise StoreError("the connection is lost")

    with pytest.raises(StoreError, match="lost"):
        await worker.write(fail)
    assert await worker.read(lambda reading: reading.get(OLD, "z")) == row
    await worker.aclose()
    assert [found["ended"] for found in await rows(config, NEW)] == ["it's unknown"]


async def test_processes_that_start_together_migrate_once(config: StorePlace) -> None:
    await written_by_old(config)
    started = [await processes.start("open_new", config) for _ in range(6)]
    for process in started:
        assert await processes.told(process) == "3"
    assert [row["started_at"] for row in await rows(config, NEW)] == [2.0] * 3


async def test_a_process_that_is_killed_in_mid_migration_leaves_the_old_schema(config: StorePlace) -> None:
    await written_by_old(config)
    process = await processes.start("die_while_migrating", config)
    assert await process.wait() == -9
    assert [row["started_at"] for row in await rows(config, OLD)] == [1.0] * 3
    assert [row["started_at"] for row in await rows(config, NEW)] == [2.0] * 3


async def test_our_own_tables_can_be_made(config: StorePlace) -> None:
    store = await open_store(config)
    for table in OWN_TABLES:
        assert await store.read(lambda reading, t=table: reading.rows(t)) == []  # type: ignore[misc]
    await store.aclose()


def test_a_table_that_cannot_be_brought_up_is_no_table() -> None:
    with pytest.raises(ValueError, match="came later"):
        replace(OLD, columns=(*OLD.columns, Column("ended", "text", since=2)))
    with pytest.raises(ValueError, match="no column caller"):
        replace(OLD, subject="caller")
    with pytest.raises(ValueError, match="cannot be null"):
        replace(OLD, columns=(Column("call_id", "text"), Column("started_at", "real", null=True)))
