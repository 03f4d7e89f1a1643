"""Other processes with the same store: `python -m tests.regional.store.processes WHAT CONFIG`."""

import asyncio
import dataclasses
import json
import os
import signal
import sys
from itertools import count
from pathlib import Path

from tests.regional.store.tables import CALLS, TABLES

import repartee.store.migrations
from repartee.agent.experience import counted
from repartee.store.database import Database
from repartee.store.opening import StorePlace, open_store
from repartee.store.schema import Table
from repartee.store.threaded import StoreLimits
from repartee.store.transitions import keep_counts

ROOT = Path(__file__).parents[3]
DEADLINE_S = 60.0


async def start(what: str, config: StorePlace, *arguments: str) -> asyncio.subprocess.Process:
    """A process that does this with the store."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.regional.store.processes",
        what,
        json.dumps(dataclasses.asdict(config)),
        *arguments,
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'regional'}:{ROOT}"},
    )


async def told(process: asyncio.subprocess.Process) -> str:
    """What it has printed, once it has ended well."""
    async with asyncio.timeout(DEADLINE_S):
        out, _ = await process.communicate()
    assert process.returncode == 0
    return out.decode().strip()


async def open_new(config: StorePlace) -> None:
    """Bring the schema up, and count what is there."""
    from tests.regional.store.test_migrations import NEW

    store = await open_store(config, (NEW,))
    print(len(await store.read(lambda reading: reading.rows(NEW))))
    await store.aclose()


async def die_while_migrating(config: StorePlace) -> None:
    """Be killed when the last statement is done, before the commit."""
    bring_up = repartee.store.migrations._bring_up

    def bring_up_and_die(database: Database, table: Table, version: int) -> None:
        bring_up(database, table, version)
        os.kill(os.getpid(), signal.SIGKILL)

    repartee.store.migrations._bring_up = bring_up_and_die
    await open_new(config)


async def count_calls(config: StorePlace, calls: str) -> None:
    """Keep what so many calls have taught, each by itself."""
    store = await open_store(config)
    for _ in range(int(calls)):
        keep_counts(store, "bank", [("greeting", "lookup")], lambda known: counted(known, 0.0))
        await store.read(lambda reading: None)
    await store.aclose()
    print(store.figures().dropped)


async def write_until_killed(config: StorePlace) -> None:
    """Say of each row that it is kept, once it is."""
    store = await open_store(config, TABLES)
    for number in count():
        row = {"call_id": f"{number:06}", "started_at": float(number), "words": "x" * 500}
        await store.write(lambda writing, r=row: writing.insert(CALLS, r))  # type: ignore[misc]
        print(number, flush=True)


async def write_on_a_full_disk(config: StorePlace) -> None:
    """No file may grow past 300 kB, and then it may: what was told later is kept."""
    import resource

    store = await open_store(config, TABLES)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
    for number in range(200):
        row = {"call_id": f"{number:06}", "started_at": float(number), "words": "x" * 5_000}
        assert store.later(lambda writing, r=row: writing.insert(CALLS, r))  # type: ignore[misc]
    while store.figures().fault is None:  # noqa: ASYNC110 - the store's thread sets it
        await asyncio.sleep(0.01)
    print(store.figures().fault)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    while store.figures().waiting:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    await store.aclose()


def main() -> None:
    what, text, *arguments = sys.argv[1:]
    given = json.loads(text)
    limits = StoreLimits(**given.pop("limits"))
    asyncio.run(globals()[what](StorePlace(**given, limits=limits), *arguments))


if __name__ == "__main__":
    main()
