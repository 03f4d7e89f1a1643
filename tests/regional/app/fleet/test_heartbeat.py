"""Heartbeats: what the edge makes of a worker that is busy, slow or draining, sent to a real self-hosted edge."""

import asyncio
import contextlib
import json
import logging
import socket
from collections.abc import AsyncIterator

import httpx
import pytest
import uvicorn
from tests.promptness import DEADLINE_S
from tests.regional.app.running import TICKET_KEY, calling, region, until

from repartee.app.background import one_worker, reporting
from repartee.app.fleet.heartbeat import Heartbeat, HeartbeatSettings, RecentLatency
from repartee.app.settings import read_settings as read_region_settings
from repartee.app.worker import WorkerState
from repartee.telemetry.tally import TurnFigures, TurnTally
from repartee_edge.selfhosted.server import server_config
from repartee_edge.settings import read_settings
from repartee_edge.tickets import TicketKeys

API_KEY = "an-api-key-for-tests"
REGIONS = {
    "regions": [
        {"name": name, "latitude": 50, "longitude": 8, "host": "http://127.0.0.1:9", "enabled": True}
        for name in ("here", "there")
    ]
}


@pytest.fixture
async def edge() -> AsyncIterator[str]:
    """A self-hosted edge in this process; gives its URL."""
    settings = read_settings(
        {"REPARTEE_API_KEY": API_KEY, "REPARTEE_TICKET_KEY": TICKET_KEY}, json.dumps(REGIONS)
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(server_config(settings))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        await until(lambda: server.started)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        await serving


async def seen(edge: str, name: str = "here") -> dict[str, object]:
    """What the edge knows of a region."""
    async with httpx.AsyncClient() as http:
        answer = await http.get(f"{edge}/v1/regions", headers={"Authorization": f"Bearer {API_KEY}"})
    return next(dict(known) for known in answer.json()["regions"] if known["region"] == name)


async def until_seen(edge: str, **expected: object) -> None:
    """Until the edge has been told of the region, and this."""
    async with asyncio.timeout(DEADLINE_S):
        known = await seen(edge)
        while known["reported_at"] is None or not expected.items() <= known.items():
            await asyncio.sleep(0.02)
            known = await seen(edge)


class Sender:
    """A worker in name only, and its heartbeats."""

    def __init__(self, edge: str, name: str = "here", key: str = TICKET_KEY) -> None:
        self.state = WorkerState(active=0, slots=10, ready=True, draining=False)
        self.turns = TurnTally()
        config = HeartbeatSettings(edge, name, TicketKeys(key), every_s=30)
        self.heartbeat = Heartbeat(config, lambda: self.state, self.turns)


@contextlib.asynccontextmanager
async def beating(sender: Sender) -> AsyncIterator[None]:
    """The worker's first heartbeat is on its way; the next is not due while the block lasts."""
    running = asyncio.create_task(sender.heartbeat.run())
    try:
        yield
        assert not running.done()
    finally:
        running.cancel()
        await asyncio.wait([running])


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def test_the_p90_is_of_the_last_five_minutes() -> None:
    recent = RecentLatency()
    assert recent.p90_ms(0) is None
    recent.add(TurnFigures((900.0,)), 0)
    recent.add(TurnFigures((300.0, 310.0)), 200)
    assert recent.p90_ms(300) == 900
    assert recent.p90_ms(301) == 310
    assert recent.p90_ms(501) is None


async def test_the_edge_learns_load_and_latency(edge: str) -> None:
    sender = Sender(edge)
    sender.state = WorkerState(active=4, slots=10, ready=True, draining=False)
    sender.turns.add("answered", 432.0)
    async with beating(sender):
        await until_seen(edge, load=0.4, p90_ms=432.0, draining=False)


async def test_a_worker_that_is_not_warm_yet_is_not_counted_on(edge: str) -> None:
    sender = Sender(edge)
    sender.state = WorkerState(active=0, slots=10, ready=False, draining=False)
    async with beating(sender):
        await asyncio.sleep(0.2)
        assert (await seen(edge))["reported_at"] is None


@pytest.mark.parametrize(
    ("name", "key", "hint"),
    [
        ("here", "another key that is long enough for anybody", "REPARTEE_TICKET_KEY"),
        ("nowhere", TICKET_KEY, "no region of the edge's table"),
    ],
)
async def test_a_refusal_says_what_to_do_and_says_it_once(
    edge: str, name: str, key: str, hint: str, caplog: pytest.LogCaptureFixture
) -> None:
    sender = Sender(edge, name, key)
    async with beating(sender):
        await until(lambda: warnings(caplog))
    async with beating(sender):
        await asyncio.sleep(0.2)
    (told,) = warnings(caplog)
    assert hint in told
    assert key not in told


async def test_an_edge_that_is_not_there_is_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    sender = Sender("http://127.0.0.1:9")
    async with beating(sender):
        await until(lambda: warnings(caplog))
    async with beating(sender):
        await asyncio.sleep(0.2)
    (told,) = warnings(caplog)
    assert "cannot be reached" in told


def reporting_to(edge: str, providers: dict[str, str], *, every_s: int) -> dict[str, str]:
    """A worker's settings."""
    return {
        **providers,
        "REPARTEE_EDGE_URL": edge,
        "REPARTEE_REGION": "here",
        "REPARTEE_TICKET_KEY": TICKET_KEY,
        "REPARTEE_HEARTBEAT_S": str(every_s),
        "REPARTEE_MAX_CALLS": "4",
    }


async def test_a_worker_reports_its_calls_while_it_serves(providers: dict[str, str], edge: str) -> None:
    async with region(reporting_to(edge, providers, every_s=1)) as worker, calling(worker.url) as call:
        await call.recv()
        await until_seen(edge, load=0.25, draining=False)


async def test_a_drain_is_told_at_once(providers: dict[str, str], edge: str) -> None:
    async with region(reporting_to(edge, providers, every_s=60)) as worker, calling(worker.url) as call:
        await call.recv()
        await until_seen(edge, draining=False)
        drain = asyncio.create_task(worker.worker.drain())
        await until_seen(edge, draining=True)
        assert not drain.done()
        await call.close()
        await drain


async def test_a_drain_that_is_over_at_once_is_told_all_the_same(
    providers: dict[str, str], edge: str
) -> None:
    settings = read_region_settings(reporting_to(edge, providers, every_s=60))
    async with region(providers) as running:
        async with reporting(settings, one_worker(running.worker)):
            # Nobody else gets a turn between the beginning of the drain and the end of the reports.
            await running.worker.drain()
        await until_seen(edge, draining=True)
