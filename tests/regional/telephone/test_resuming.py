"""A telephone call that its region has lost goes on at another with what was said before."""

import asyncio
import json
import signal
import sqlite3
import time
from contextlib import AsyncExitStack, closing
from pathlib import Path

import pytest
from tests.promptness import measured
from tests.regional.telephone.system import speak, telephone_system, until

EACH = pytest.mark.parametrize("carrier", ["twilio", "telnyx"])
AGENT = "tests.regional.telephone.remembering_agent:agent"


def kept(store: Path, table: str) -> list[dict[str, object]]:
    """The rows of a table."""
    with closing(sqlite3.connect(store)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(f"SELECT * FROM repartee_{table}")]


def answered(store: Path, ending: str) -> set[object]:
    """The calls in which the agent has said something that ends so."""
    return {
        row["call_id"]
        for row in kept(store, "call_entries")
        if row["kind"] == "said" and json.loads(str(row["body"]))["text"].endswith(ending)
    }


def remembered(store: Path) -> set[object]:
    """The calls in which an answer was made from what had been said and noted in another region."""
    return answered(store, "as another's notes have it.") - answered(
        store, " 0 of it before, as another's notes have it."
    )


@EACH
async def test_20_calls_of_a_region_that_is_killed_are_answered_with_what_was_said_before(
    carrier: str, tmp_path: Path
) -> None:
    machine = measured()
    store = tmp_path / "store.sqlite3"
    own = {"REPARTEE_WARM_CALLS": "10", "REPARTEE_STORE_FILE": str(store), "REPARTEE_RECORDS": "words"}
    async with telephone_system(AGENT, regions=2, environment=own) as system, AsyncExitStack() as stack:
        entered = [stack.enter_async_context(system.calling(carrier, f"+155502{n:02}")) for n in range(20)]
        held = await asyncio.gather(*entered)
        handsets, calls = [handset for handset, _ in held], [call for _, call in held]
        await asyncio.gather(*(speak(handset, 600) for handset in handsets))
        await until(lambda: len(answered(store, " 0 of it before, as my own notes have it.")) == 20)
        assert len(kept(store, "call_checkpoints")) == 20

        killed = time.monotonic()
        system.processes[0].signal(signal.SIGKILL)
        back: dict[str, float] = {}

        def all_back() -> bool:
            for call in calls:
                if len(call.streams) > 1 and call.streams[-1].figures.marks_returned:
                    back.setdefault(call.id, time.monotonic() - killed)
            return len(back) == len(calls)

        await until(all_back)
        assert {system.regions_of(call)[-1] for call in calls} == {system.processes[1].port}
        await until(lambda: len(answered(store, "we were cut off. Where were we?")) == 20)

        await asyncio.gather(*(speak(handset, 600) for handset in handsets))
        await until(lambda: len(remembered(store)) == 20)
        await asyncio.gather(*(handset.say(hang_up=True) for handset in handsets))
        await until(lambda: not kept(store, "call_checkpoints"))
        machine.promise(max(back.values()) <= 3.0, f"connected and greeted anew after {back.values()} s")
