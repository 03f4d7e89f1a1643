"""Figures and kept calls over HTTP: of one worker, of the processes of a region, and for operators only."""

import json
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import httpx
import pytest
from tests.promptness import DEADLINE_S
from tests.regional.app.processes.test_parent import two_processes, until_active, until_ready, until_told
from tests.regional.app.running import TICKET_KEY, Region, calling, region, spoken_turn, stand_ins

from repartee_edge.tickets import TicketKeys, for_operators, sign

PATHS = ("/v1/figures", "/v1/figures/stream", "/v1/calls", "/v1/calls/abc")


@pytest.fixture(scope="module")
def providers() -> Iterator[dict[str, str]]:
    with stand_ins() as variables:
        yield variables


async def get(address: str, path: str = "/v1/figures", key: str = "", **query: str) -> Any:
    async with httpx.AsyncClient(timeout=DEADLINE_S) as client:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        answer = await client.get(address + path, headers=headers, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def events(address: str, count: int, since: float = 0.0) -> AsyncIterator[Mapping[str, Any]]:
    """So many parts of the stream."""
    async with (
        httpx.AsyncClient(timeout=DEADLINE_S) as client,
        client.stream("GET", f"{address}/v1/figures/stream", params={"since": since}) as answer,
    ):
        assert answer.headers["content-type"].startswith("text/event-stream")
        async for line in answer.aiter_lines():
            if line.startswith("data: "):
                yield json.loads(line.removeprefix("data: "))
                count -= 1
                if not count:
                    return


async def talk(running: Region) -> None:
    async with calling(f"{running.url}?audio=binary&events=repartee") as call:
        await spoken_turn(call)
    await running.until_idle()


async def test_the_figures_of_a_worker_are_those_of_its_metrics(providers: dict[str, str]) -> None:
    async with region(providers) as running:
        await talk(running)
        figures, metrics = await get(running.http), await running.metrics()
        minute = figures["windows"]["1m"]
        [total] = [one for one in minute["latencies"] if one["stage"] == "total"]
        assert total["kind"] == "plain" and total["count"] == 1 and total["over_time"][-1]["count"] == 1
        voice_s = metrics['repartee_voice_to_voice_seconds_sum{kind="plain"}']
        assert total["p50"] == pytest.approx(voice_s * 1000, rel=0.01)
        [outcome] = minute["counts"]["turns"]
        assert minute["counts"]["turns"] == {outcome: metrics[f'repartee_turns_total{{outcome="{outcome}"}}']}
        assert minute["counts"]["calls"] == {"ended": 1}
        assert figures["now"]["calls"] == 0
        assert figures["now"]["slots"] == metrics["repartee_call_slots"]
        for name, pool in figures["now"]["pools"].items():
            assert pool["hits"] == metrics[f'repartee_pool_hits_total{{provider="{name}"}}']
        [slow] = figures["slow_turns"]
        assert slow["voice_to_voice_ms"] == pytest.approx(voice_s * 1000, abs=0.01)
        assert sum(slow["stages_ms"].values()) == pytest.approx(slow["voice_to_voice_ms"], abs=1)
        [call] = (await get(running.http, "/v1/calls"))["calls"]
        whole = await get(running.http, f"/v1/calls/{call['call_id']}")
        assert [one["event"] for one in whole["timeline"]].count("turn") == 1
        assert (await get(running.http, "/v1/calls", before="1000"))["calls"] == []


async def test_the_stream_says_all_at_first_and_then_what_changes(providers: dict[str, str]) -> None:
    async with region(providers) as running:
        await talk(running)
        parts = [part async for part in events(running.http, 2)]
        assert [bool(part["latencies"]["1h"]) for part in parts] == [True, True]
        assert parts[0]["since"] == 0 and parts[1]["since"] > time.time() - 60
        old = [part async for part in events(running.http, 1, since=time.time() + 90_000)]
        assert old[0]["latencies"] == {"1m": [], "1h": [], "24h": []}
        assert old[0]["slow_turns"] == []


async def test_they_are_for_operators_only(providers: dict[str, str]) -> None:
    keys = TicketKeys(TICKET_KEY)
    environment = providers | {
        "REPARTEE_TICKET_KEY": TICKET_KEY,
        "REPARTEE_DASHBOARD_KEY": "a dashboard's key",
    }
    async with (
        region(environment, allow_anonymous=False) as running,
        httpx.AsyncClient(timeout=DEADLINE_S) as client,
    ):
        name = running.worker.settings.region
        callers = sign(keys, region=name, subject="acme", now=time.time())
        for path in PATHS:
            for headers in ({}, {"Authorization": "Bearer wrong"}, {"X-Repartee-Ticket": callers}):
                refused = await client.get(running.http + path, headers=headers)
                assert refused.status_code == 401, path
                assert refused.json()["error"]["code"] == "invalid_api_key"
        await get(running.http, key="a dashboard's key")
        ticket = sign(keys, region=for_operators(name), subject="acme", now=time.time())
        opened = await client.get(f"{running.http}/v1/figures", headers={"X-Repartee-Ticket": ticket})
        assert opened.status_code == 200
        again = await client.get(f"{running.http}/v1/figures", headers={"X-Repartee-Ticket": ticket})
        assert again.status_code == 401  # each ticket once


@pytest.mark.parametrize("query", [{"since": "yesterday"}, {"by": "colour"}])
async def test_a_question_that_means_nothing_is_refused(
    providers: dict[str, str], query: dict[str, str]
) -> None:
    async with region(providers) as running, httpx.AsyncClient(timeout=DEADLINE_S) as client:
        assert (await client.get(f"{running.http}/v1/figures", params=query)).status_code == 400


async def test_a_region_of_two_processes_says_all_that_both_counted(providers: dict[str, str]) -> None:
    with two_processes(providers) as running:
        await until_ready(running)
        async with calling(f"{running.url}?audio=binary") as first, calling(running.url) as second:
            assert first and second
            await until_active(running, 2)
            figures = await get(running.http)
            assert figures["now"]["calls"] == 2
            assert {part["source"] for part in (await get(running.http, form="parts"))["parts"]} == {
                "local/0",
                "local/1",
            }
            sources = {part["source"] async for part in events(running.http, 2)}
            assert sources == {"local/0", "local/1"}
        await until_told(running, "repartee_calls_active", 0)
