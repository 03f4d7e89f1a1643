"""What a worker keeps beyond its calls, over real sockets and files."""

import asyncio
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from tests.regional.app.running import calling, region, region_process, spoken_turn, until
from tests.regional.store.cluster import Cluster

from repartee.agent.experience import END, GREETING
from repartee.app.keeping import keeping, store_place
from repartee.app.settings import Settings, read_settings
from repartee.store.opening import open_store
from repartee.store.transitions import load_counts


def rows(path: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as database:
        found = database.execute("SELECT agent, state, tool, weight FROM repartee_transitions ORDER BY tool")
        return found.fetchall()


def settings(path: Path) -> Settings:
    return read_settings({"REPARTEE_STORE_FILE": str(path)})


def damage(folder: Path) -> None:
    for file in folder.iterdir():
        file.write_bytes(b"\xff" * max(8_192, file.stat().st_size))


async def test_what_calls_teach_is_there_at_the_next_start_for_their_agent_only(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "store.sqlite3"
    for _ in range(4):
        async with keeping(settings(path), "bank", expires=False) as lessons:
            await lessons.keep([(GREETING, "lookup")])
    async with keeping(settings(path), "clinic", expires=False) as lessons:
        await lessons.keep([(GREETING, "times")])
    expected = {"bank": ["lookup"], "clinic": []}
    for agent, tools in expected.items():
        async with keeping(settings(path), agent, expires=False) as lessons:
            likely = lessons.experience.likely(GREETING, time.time(), min_probability=0.3, min_weight=3.0)
            assert likely == tools
    assert [row[:3] for row in rows(path)] == [("bank", GREETING, "lookup"), ("clinic", GREETING, "times")]


async def test_a_call_of_several_processes_is_kept_in_one_file_and_outlives_them_all(
    providers: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "store.sqlite3"
    environment = {**providers, "REPARTEE_STORE_FILE": str(path)}
    for start in range(2):
        with region_process(environment, "--allow-anonymous", "--workers", "2") as worker:
            await until(lambda at=worker.http: httpx.get(f"{at}/readyz").status_code == 200)  # type: ignore[misc]
            for number in range(4):
                async with calling(worker.url) as websocket:
                    await websocket.recv()
                expected = 4 * start + number + 1
                await until(lambda n=expected: [round(row[3]) for row in rows(path)] == [n])  # type: ignore[misc, call-overload]
            worker.signal(signal.SIGKILL)
    assert [row[:3] for row in rows(path)] == [("", GREETING, END)]


async def test_a_store_that_is_damaged_in_mid_call_costs_the_call_nothing(
    providers: dict[str, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "store.sqlite3"
    async with region({**providers, "REPARTEE_STORE_FILE": str(path)}) as worker:
        for _ in range(2):
            async with calling(f"{worker.url}?audio=binary&events=repartee") as websocket:
                await spoken_turn(websocket)
                damage(tmp_path)
                assert (await spoken_turn(websocket))[-1]["type"] == "repartee.turn.latency"
            await worker.until_idle()
        await until(lambda: "cannot be used" in caplog.text)
        figures = await worker.metrics()
    assert figures['repartee_calls_total{outcome="ended"}'] == 2
    assert caplog.text.count("cannot be used") == 1


async def test_a_postgresql_that_goes_in_mid_call_costs_the_call_nothing(
    providers: dict[str, str], postgresql: Cluster
) -> None:
    environment = {**providers, "DATABASE_URL": postgresql.new_database(), "REPARTEE_STORE_TIMEOUT_S": "2"}
    async with region(environment) as worker:
        try:
            async with calling(f"{worker.url}?audio=binary&events=repartee") as websocket:
                await spoken_turn(websocket)
                await asyncio.to_thread(postgresql.stop)
                assert (await spoken_turn(websocket))[-1]["type"] == "repartee.turn.latency"
            await worker.until_idle()
            assert (await worker.metrics())['repartee_calls_total{outcome="ended"}'] == 1
        finally:
            await asyncio.to_thread(postgresql.start)
    # The call's lesson waited until the database was there again.
    store = await open_store(store_place(read_settings(environment)))
    [(transition, (weight, _))] = (await load_counts(store, "")).items()
    await store.aclose()
    assert (transition, weight) == ((GREETING, END), 1.0)


async def test_what_is_too_old_goes_while_the_worker_runs(providers: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite3"
    async with keeping(settings(path), "bank", expires=False) as lessons:
        await lessons.keep([(GREETING, "lookup"), (GREETING, "times")])
    days_ago = time.time() - 8 * 86_400
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE repartee_transitions SET at = ? WHERE tool = 'lookup'", (days_ago,))
    environment = {**providers, "REPARTEE_STORE_FILE": str(path)}
    async with region(environment):
        await asyncio.sleep(0)
    assert len(rows(path)) == 2
    async with region({**environment, "REPARTEE_STORE_KEEP_DAYS": "transitions=7"}):
        await until(lambda: [row[2] for row in rows(path)] == ["times"])
