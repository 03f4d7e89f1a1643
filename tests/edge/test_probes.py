"""What a self-hosted edge finds out about its regions by asking them: who is ready, who takes calls, who is down."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from tests.edge.conftest import API_KEY, TICKET_KEY, FakeRegion, StartEdge, StartRegion, edge_env
from tests.promptness import DEADLINE_S
from websockets.asyncio.client import connect

from repartee_edge import heartbeats, tickets
from repartee_edge.geo import Point
from repartee_edge.health import MAX_PROBE_BYTES
from repartee_edge.regions import Region
from repartee_edge.selfhosted.probes import Probes

BEARER = {"Authorization": f"Bearer {API_KEY}"}


async def until(holds: Callable[[], Any]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not await holds():  # noqa: ASYNC110 (the edge tells only when it is asked)
            await asyncio.sleep(0.05)


class Asked:
    """An edge's answers to somebody who looks after it."""

    def __init__(self, edge: str, http: httpx.AsyncClient) -> None:
        self._edge = f"http://{edge}"
        self._http = http

    async def ready(self) -> tuple[int, list[str]]:
        answer = await self._http.get(f"{self._edge}/readyz")
        return answer.status_code, answer.json()["regions_up"]

    async def chosen(self) -> str | None:
        """The region that a direct session is sent to."""
        answer = await self._http.post(f"{self._edge}/v1/voice/session", headers=BEARER)
        region: str | None = answer.json().get("region")
        return region

    async def session(self) -> str:
        async with connect(f"ws://{self._edge[7:]}/v1/realtime", additional_headers=BEARER) as ws:
            return str(json.loads(await ws.recv())["region"])


async def test_an_edge_is_not_ready_before_a_region_listens_and_is_once_one_does(
    start_region: StartRegion, start_selfhosted: StartEdge
) -> None:
    region = await start_region("near", "dead")
    edge = await start_selfhosted(edge_env(region, REPARTEE_EDGE_PROBE_S="1"))
    async with httpx.AsyncClient(timeout=DEADLINE_S) as http:
        asked = Asked(edge, http)
        assert await asked.ready() == (503, [])
        assert (await http.get(f"http://{edge}/healthz")).status_code == 200
        region.behaviour = "echo"
        await region.start()
        try:
            await until(lambda: _is(asked.ready, (200, ["near"])))
            assert await asked.session() == "near"
        finally:
            await region.stop()
        await until(lambda: _is(asked.ready, (503, [])))


async def test_a_region_that_stops_is_left_out_and_taken_again_when_it_is_back(
    start_region: StartRegion, start_selfhosted: StartEdge
) -> None:
    near, far = FakeRegion("near"), await start_region("far")
    await near.start()
    edge = await start_selfhosted(edge_env(near, far, REPARTEE_EDGE_PROBE_S="1"))
    async with httpx.AsyncClient(timeout=DEADLINE_S) as http:
        asked = Asked(edge, http)
        assert await asked.ready() == (200, ["near", "far"])
        await near.stop()
        await until(lambda: _is(asked.chosen, "far"))
        assert await asked.ready() == (200, ["far"])
        await near.start()
        try:
            await until(lambda: _is(asked.chosen, "near"))
        finally:
            await near.stop()


@pytest.mark.parametrize(
    "answer",
    [
        (200, json.dumps({"ready": True, "admitting": False, "faults": ["deepgram: the key is refused"]})),
        (503, json.dumps({"ready": False, "admitting": False, "draining": True})),
        (503, "not ready: draining"),
        (404, "not found"),
        (200, json.dumps({"admitting": False, "pad": "x" * (MAX_PROBE_BYTES - 100)})),
    ],
)
async def test_callers_go_elsewhere_when_a_region_answers_that_it_takes_none(
    start_region: StartRegion, start_selfhosted: StartEdge, answer: tuple[int, str]
) -> None:
    near, far = await start_region("near"), await start_region("far")
    near.readyz = answer
    edge = await start_selfhosted(edge_env(near, far, REPARTEE_EDGE_PROBE_S="1"))
    async with httpx.AsyncClient(timeout=DEADLINE_S) as http:
        asked = Asked(edge, http)
        await until(lambda: _is(asked.chosen, "far"))
        assert await asked.ready() == (200, ["far"])
        assert await asked.session() == "far"
        assert near.handshakes == []
        far.readyz = answer
        await until(lambda: _is(asked.ready, (503, [])))
        near.readyz = far.readyz = (200, "ready")
        await until(lambda: _is(asked.chosen, "near"))


async def test_a_region_that_answers_without_end_or_never_holds_nobody_up(
    start_region: StartRegion, start_selfhosted: StartEdge
) -> None:
    near, far = await start_region("near"), await start_region("far")
    near.readyz = (200, "x" * 5_000_000)
    edge = await start_selfhosted(edge_env(near, far))
    async with httpx.AsyncClient(timeout=DEADLINE_S) as http:
        assert (await Asked(edge, http).ready())[0] == 200


async def test_one_lost_answer_is_no_loss_and_a_heartbeat_ends_one() -> None:
    listener = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    rounds = asyncio.Queue[frozenset[str]]()
    region = Region("near", Point(0, 0), f"http://127.0.0.1:{port}")
    probes = Probes([region], 0.01, lambda: rounds.put_nowait(probes.down))
    asking = asyncio.create_task(probes.run(asyncio.Event()))
    try:
        async with asyncio.timeout(DEADLINE_S):
            assert [await rounds.get() for _ in range(2)] == [frozenset(), frozenset({"near"})]
            probes.heard_of("near")
            assert probes.down == frozenset() and probes.reports == ()
    finally:
        asking.cancel()
        await asyncio.wait([asking])
        listener.close()


async def test_a_heartbeat_alone_makes_an_edge_ready(
    start_region: StartRegion, start_selfhosted: StartEdge
) -> None:
    edge = await start_selfhosted(edge_env(await start_region("near", "dead"), REPARTEE_EDGE_PROBE_S="60"))
    beat = heartbeats.sign_heartbeat(
        tickets.TicketKeys(TICKET_KEY),
        region="near",
        instance="task-1",
        active=10,
        capacity=10,
        draining=False,
        now=time.time(),
    )
    async with httpx.AsyncClient(timeout=DEADLINE_S) as http:
        sent = await http.post(
            f"http://{edge}/v1/regions/near/heartbeat", headers={"Authorization": f"Bearer {beat}"}
        )
        assert sent.status_code == 204
        assert await Asked(edge, http).ready() == (200, ["near"]), "it is full, and will not stay so"


async def _is(asked: Callable[[], Any], expected: object) -> bool:
    return bool(await asked() == expected)
