"""What operators ask of all regions through the self-hosted edge: figures, their stream, and kept calls."""

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from tests.edge.conftest import TICKET_KEY, StartEdge
from tests.edge.test_with_regions import ACME, PLACES, System, system
from tests.promptness import DEADLINE_S
from tests.regional.app.running import calling, spoken_turn, stand_ins

from repartee_edge import tickets

PATHS = ("/v1/figures", "/v1/figures/stream", "/v1/calls", "/v1/calls/abc", "/v1/calls/abc/recording")
KEY = {"Authorization": f"Bearer {ACME}"}


@pytest.fixture(scope="module")
def providers() -> Iterator[dict[str, str]]:
    with stand_ins() as variables:
        yield variables


def client(running: System) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=f"http://{running.edge}", timeout=DEADLINE_S)


async def test_they_see_all_regions_as_one_and_nobody_else_does(
    start_selfhosted: StartEdge, providers: dict[str, str]
) -> None:
    async with system(start_selfhosted, dict.fromkeys(PLACES, providers)) as running, client(running) as http:
        secret = tickets.sign_client_secret(tickets.TicketKeys(TICKET_KEY), subject="acme", now=time.time())
        for path in PATHS:
            assert (await http.get(path)).status_code == 401
            assert (await http.get(path, headers={"Authorization": "Bearer wrong"})).status_code == 401
            browsers = await http.get(path, headers={"Authorization": f"Bearer {secret}"})
            assert browsers.status_code == 403
            assert browsers.json()["error"]["code"] == "not_for_browsers"
            assert (await http.post(path, headers=KEY)).status_code == 405

        url = f"ws://{running.edge}/v1/voice/session?audio=binary&events=repartee"
        async with calling(url, additional_headers=KEY) as call:
            await spoken_turn(call)
            figures = (await http.get("/v1/figures", headers=KEY)).json()
            assert figures["regions"] == sorted(PLACES)
            assert figures["now"]["calls"] == 1
            listed = (await http.get("/v1/calls", headers=KEY)).json()["calls"]
            assert [one["ended"] for one in listed] == ["in progress"]
            whole = await http.get(f"/v1/calls/{listed[0]['call_id']}", headers=KEY)
            assert whole.json()["call_id"] == listed[0]["call_id"]
            totals: list[dict[str, Any]] = []
            async with asyncio.timeout(DEADLINE_S):
                while not totals:
                    minute = (await http.get("/v1/figures", headers=KEY)).json()["windows"]["1m"]
                    totals = [one for one in minute["latencies"] if one["stage"] == "total"]
            [total] = totals
            assert (total["kind"], total["count"]) == ("plain", 1)
        assert (await http.get("/v1/calls/nobodys", headers=KEY)).status_code == 404
        assert (await http.get("/v1/figures", headers=KEY, params={"by": "colour"})).status_code == 400

        sources, pieces = set[str](), []
        async with http.stream("GET", "/v1/figures/stream", headers=KEY) as stream:
            async for line in stream.aiter_lines():
                if line.startswith("data: "):
                    pieces.append(json.loads(line.removeprefix("data: ")))
                    sources.add(pieces[-1]["source"])
                if len(sources) == len(PLACES):
                    break
        assert sources == {f"{name}/0" for name in PLACES}


async def test_a_region_that_is_away_is_named_and_the_others_go_on(
    start_selfhosted: StartEdge, providers: dict[str, str]
) -> None:
    async with system(start_selfhosted, dict.fromkeys(PLACES, providers)) as running, client(running) as http:
        running.regions["far"].process.kill()
        seen: list[str] = []
        async with http.stream("GET", "/v1/figures/stream", headers=KEY) as stream:
            async for line in stream.aiter_lines():
                if line.startswith("data: "):
                    told = json.loads(line.removeprefix("data: "))
                    seen.append(told["region"])
                if {"near", "far"} <= set(seen):
                    break
        figures = (await http.get("/v1/figures", headers=KEY)).json()
        assert figures["regions"] == ["near"]
