"""Several processes with one store, and processes that are killed."""

import asyncio
import stat
from pathlib import Path

import pytest
from tests.regional.store import processes
from tests.regional.store.tables import CALLS, TABLES

from repartee.store.opening import StorePlace, open_store
from repartee.store.schema import Row
from repartee.store.threaded import StoreLimits
from repartee.store.transitions import load_counts


async def test_no_count_is_lost_among_processes(config: StorePlace) -> None:
    started = [await processes.start("count_calls", config, "100") for _ in range(4)]
    for process in started:
        assert await processes.told(process) == "0"
    store = await open_store(config)
    assert await load_counts(store, "bank") == {("greeting", "lookup"): (400.0, 0.0)}
    assert await load_counts(store, "clinic") == {}
    await store.aclose()


async def test_what_was_kept_outlives_a_process_that_is_killed(config: StorePlace) -> None:
    process = await processes.start("write_until_killed", config)
    assert process.stdout is not None
    last = -1
    async with asyncio.timeout(processes.DEADLINE_S):
        while last < 100:
            last = int(await process.stdout.readline())
        process.kill()
        rest = await process.stdout.read()
        await process.wait()
    for line in rest.splitlines(keepends=True):
        if line.endswith(b"\n"):
            last = int(line)
    store = await open_store(config, TABLES)
    found = await store.read(lambda reading: reading.rows(CALLS, limit=10_000))
    assert [row["call_id"] for row in found][: last + 1] == [f"{n:06}" for n in range(last + 1)]
    assert len(found) <= last + 2
    await store.aclose()


async def test_the_file_is_its_owners(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "down" / "store.sqlite3"
    store = await open_store(StorePlace(file=str(path)), TABLES)
    await store.write(lambda writing: writing.insert(CALLS, {"call_id": "a", "started_at": 0.0}))
    for file in path.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    await store.aclose()


async def test_erased_words_are_in_no_file(tmp_path: Path) -> None:
    store = await open_store(StorePlace(file=str(tmp_path / "store.sqlite3")), TABLES)
    for number in range(50):
        words = f"my card's number is {number:016}"
        row: Row = {"call_id": f"c{number}", "started_at": 0.0, "caller": "+44", "words": words}
        await store.write(lambda writing, r=row: writing.insert(CALLS, r))  # type: ignore[misc]
    assert b"card's number" in files(tmp_path)
    assert await store.erase("+44") == {"calls": 50, "values": 0}
    assert b"card's number" not in files(tmp_path)
    await store.aclose()


def files(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir())


async def test_a_full_disk_costs_nothing_that_was_to_be_kept(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    config = StorePlace(file=str(tmp_path / "store.sqlite3"), limits=StoreLimits(timeout_s=20))
    process = await processes.start("write_on_a_full_disk", config)
    assert await processes.told(process) in ("database or disk is full", "disk I/O error")
    store = await open_store(config, TABLES)
    assert len(await store.read(lambda reading: reading.rows(CALLS, limit=1_000))) == 200
    await store.aclose()
    assert capfd.readouterr().err.count("cannot be used") == 1
