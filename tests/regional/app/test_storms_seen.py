"""All vendors of a region out of order at once: what its operators see, and how soon it is itself again."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from tests.promptness import measured
from tests.regional.app.running import region, stand_ins, until

WATCHED_S = 3.0
TOLD_S = 2.0
RECOVERED_S = 5.0
IDLE_CPU = 0.02
POOLS = ("deepgram", "cartesia-ink-2", "openai", "cartesia", "deepgram-flux-tts", "elevenlabs")


@asynccontextmanager
async def all_faulty(url: str, **fault: Any) -> AsyncIterator[None]:
    async with httpx.AsyncClient() as client:
        answer = await client.post(f"{url}/standins/faults", json={"count": 100_000, **fault})
        assert answer.is_success, answer.text
        try:
            yield
        finally:
            assert (await client.delete(f"{url}/standins/faults")).is_success


@pytest.mark.parametrize(
    ("fault", "status", "asks_for_s"),
    [
        ({"kind": "refuse", "status": 402}, 402, 0.0),
        ({"kind": "refuse"}, 503, 0.0),
        ({"kind": "rate_limited", "retry_after_s": 6}, 429, 6.0),
    ],
    ids=["quota", "outage", "limit"],
)
async def test_what_is_seen_of_it_and_when_it_is_over(
    fault: dict[str, Any], status: int, asks_for_s: float, caplog: pytest.LogCaptureFixture
) -> None:
    machine = measured()
    lists = {"REPARTEE_STT": "flux,ink-2", "REPARTEE_TTS": "cartesia,flux-tts,elevenlabs"}
    with stand_ins() as environment:
        url = environment["DEEPGRAM_BASE_URL"]
        async with all_faulty(url, **fault):
            began = time.time()
            async with region({**environment, **lists}, warm=False) as worker, httpx.AsyncClient() as client:
                await asyncio.sleep(1)
                used_s = time.process_time()
                await asyncio.sleep(WATCHED_S - 1)
                used_s = time.process_time() - used_s
                machine.promise(used_s <= IDLE_CPU * (WATCHED_S - 1), f"{used_s:.3f} s of CPU")
                ready = await client.get(f"{worker.http}/readyz")
                assert ready.status_code == 503
                faults = {one["pool"]: one for one in ready.json()["faults"]}
                assert faults.keys() == set(POOLS)
                assert all(str(status) in one["why"] and one["do"] for one in faults.values())
                told = [one for one in caplog.records if "cannot connect to" in one.getMessage()]
                assert len(told) == len(POOLS), "one line each"
                late_s = max(one.created for one in told) - began
                machine.promise(late_s <= TOLD_S, f"the last was told after {late_s:.1f} s")
                async with httpx.AsyncClient() as board:
                    assert (await board.delete(f"{url}/standins/faults")).is_success
                healed = time.time()
                await until(lambda: worker.worker.ready)
                assert (await client.get(f"{worker.http}/readyz")).status_code == 200
                took_s = time.time() - max(healed, began + asks_for_s)
                machine.promise(took_s <= RECOVERED_S, f"ready after {took_s:.1f} s")
