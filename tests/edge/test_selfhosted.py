"""What only the self-hosted edge has: metrics, back-pressure, geoip2, trusted proxies, the start and its faults."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from tests.edge.conftest import API_KEY, FakeRegion, StartRegion, edge_env
from websockets.asyncio.client import connect

Start = Callable[..., Awaitable[str]]
BEARER = {"Authorization": f"Bearer {API_KEY}"}


async def test_a_client_that_does_not_read_stops_the_region_and_memory_stays_bounded(
    start_region: StartRegion, start_selfhosted: Start
) -> None:
    region: FakeRegion = await start_region("near")
    edge = await start_selfhosted(edge_env(region))
    async with connect(f"ws://{edge}/v1/voice/session", additional_headers=BEARER, max_queue=1) as ws:
        await ws.recv()
        server = region.connections[0]
        sending = asyncio.create_task(_send_many(server, 400))
        done, _ = await asyncio.wait([sending], timeout=0.5)
        assert not done, "40 MB went into a client that reads nothing"
        for _ in range(400):
            await ws.recv()
        await asyncio.wait_for(sending, 5)


async def _send_many(connection: Any, messages: int) -> None:
    for _ in range(messages):
        await connection.send(bytes(100_000))
