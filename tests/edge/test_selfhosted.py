"""What only the self-hosted edge has: metrics, back-pressure, geoip2, trusted proxies, the start and its faults."""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import mmdb_writer
import netaddr  # type: ignore[import-untyped]
import pytest
from tests.edge.conftest import API_KEY, TICKET_KEY, FakeRegion, StartRegion, edge_env
from tests.free_ports import free_port
from tests.promptness import DEADLINE_S
from websockets.asyncio.client import connect

from repartee_edge.heartbeats import sign_heartbeat
from repartee_edge.selfhosted.clients import DatabaseError, Locator, client_address
from repartee_edge.settings import read_settings
from repartee_edge.tickets import TicketKeys

Start = Callable[..., Awaitable[str]]
SETTINGS = {
    "REPARTEE_API_KEY": "dev",
    "REPARTEE_TICKET_KEY": TICKET_KEY,
    "REPARTEE_TRUSTED_PROXIES": "10.0.0.0/8",
}
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
        await asyncio.wait_for(sending, DEADLINE_S)


async def _send_many(connection: Any, messages: int) -> None:
    for _ in range(messages):
        await connection.send(bytes(100_000))


@pytest.fixture(scope="module")
def city_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A MaxMind City database that knows three networks."""
    writer = mmdb_writer.MMDBWriter(ip_version=6, database_type="GeoLite2-City", ipv4_compatible=True)
    for network, country, continent, latitude, longitude in (
        ("203.0.113.0/24", "JP", "AS", 35.7, 139.7),
        ("198.51.100.0/24", "GB", "EU", 51.5, -0.1),
        ("2001:db8::/32", "BR", "SA", -23.5, -46.6),
    ):
        place = {
            "country": {"iso_code": country},
            "continent": {"code": continent},
            "location": {"latitude": latitude, "longitude": longitude},
        }
        writer.insert_network(netaddr.IPSet([network]), place)
    path = tmp_path_factory.mktemp("mmdb") / "city.mmdb"
    writer.to_db_file(str(path))
    return path


def test_an_address_is_looked_up_in_any_city_database(city_database: Path) -> None:
    locator = Locator(city_database)
    tokyo = locator.locate("203.0.113.9", direct=False)
    assert (tokyo.country, tokyo.continent, tokyo.latitude) == ("JP", "AS", 35.7)
    assert locator.locate("2001:db8::1", direct=True).country == "BR"
    for unknown in ("192.0.2.1", "not an address", ""):
        assert locator.locate(unknown, direct=False).country is None
    assert locator.database == "GeoLite2-City"
    locator.close()


def test_a_file_that_is_no_database_stops_the_start_with_a_sentence(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.mmdb"
    wrong.write_text("hello")
    for path, words in ((wrong, "not a MaxMind database"), (tmp_path / "none.mmdb", "there is no file")):
        with pytest.raises(DatabaseError, match=words):
            Locator(path)


async def test_a_caller_behind_a_trusted_proxy_is_sent_by_its_own_address(
    start_region: StartRegion, start_selfhosted: Callable[..., Awaitable[str]], city_database: Path
) -> None:
    tokyo, london = await start_region("tokyo"), await start_region("london")
    regions = [
        {"name": "tokyo", "latitude": 35, "longitude": 139, "host": tokyo.origin, "enabled": True},
        {"name": "london", "latitude": 51, "longitude": 0, "host": london.origin, "enabled": True},
    ]
    table = json.dumps({"regions": regions})
    for trusted, expected in (("127.0.0.0/8", ["tokyo", "london", "tokyo"]), ("10.0.0.0/8", ["london"] * 3)):
        env = {**edge_env(), "REPARTEE_REGIONS": table, "REPARTEE_TRUSTED_PROXIES": trusted}
        env["REPARTEE_EDGE_COLO"] = "" if trusted.startswith("127") else "LHR"
        edge = await start_selfhosted(env, city_database)
        chosen = []
        for hops in ("203.0.113.9", "203.0.113.9, 198.51.100.7", "198.51.100.7, 203.0.113.9"):
            headers = {**BEARER, "X-Forwarded-For": hops}
            async with connect(f"ws://{edge}/v1/voice/session", additional_headers=headers) as ws:
                chosen.append(json.loads(await ws.recv())["region"])
        assert chosen == expected


@pytest.mark.parametrize(
    ("forwarded", "address"),
    [
        ("", "10.0.0.1"),
        ("1.2.3.4", "1.2.3.4"),
        ("9.9.9.9, 1.2.3.4, 10.0.0.2", "1.2.3.4"),
        ("nonsense", "10.0.0.1"),
        ("1.2.3.4, nonsense, 10.0.0.2", "10.0.0.2"),
    ],
)
def test_only_what_trusted_proxies_added_counts(forwarded: str, address: str) -> None:
    trusted = read_settings(SETTINGS).trusted_proxies
    assert client_address("10.0.0.1", {"x-forwarded-for": forwarded}, trusted) == address
    assert client_address("8.8.8.8", {"x-forwarded-for": forwarded}, trusted) == "8.8.8.8"


async def test_metrics_count_sessions_faults_and_refusals(
    start_region: StartRegion, start_selfhosted: Start
) -> None:
    dead, alive = await start_region("dead", "dead"), await start_region("alive")
    edge = await start_selfhosted(edge_env(dead, alive))
    async with httpx.AsyncClient(base_url=f"http://{edge}") as http:
        async with connect(f"ws://{edge}/v1/voice/session", additional_headers=BEARER) as ws:
            await ws.recv()
            during = (await http.get("/metrics")).text
        assert 'repartee_edge_sessions{region="alive"} 1.0' in during
        assert 'repartee_edge_region_faults_total{kind="unreachable",region="dead"} 1.0' in during
        assert 'repartee_edge_connect_seconds_count{region="alive"} 1.0' in during
        await _until(http, 'repartee_edge_sessions{region="alive"} 0.0')


async def _until(http: httpx.AsyncClient, line: str) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while line not in (await http.get("/metrics")).text:  # noqa: ASYNC110 (over HTTP there is no event)
            await asyncio.sleep(0.01)


async def test_a_rate_limit_answers_429_with_the_time_to_wait(
    start_region: StartRegion, start_selfhosted: Start
) -> None:
    edge = await start_selfhosted(edge_env(await start_region("near"), REPARTEE_RATE_PER_KEY="2"))
    async with httpx.AsyncClient(base_url=f"http://{edge}", headers=BEARER) as http:
        answers = [await http.post("/v1/voice/session") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert 0 < int(answers[-1].headers["retry-after"]) <= 31


async def test_heartbeats_move_callers_away_from_a_draining_region(
    start_region: StartRegion, start_selfhosted: Start
) -> None:
    first, second = await start_region("first"), await start_region("second")
    edge = await start_selfhosted(edge_env(first, second))
    token = sign_heartbeat(
        TicketKeys(TICKET_KEY),
        region="first",
        instance="t",
        active=0,
        capacity=9,
        draining=True,
        now=time.time(),
    )
    async with httpx.AsyncClient(base_url=f"http://{edge}") as http:
        beat = await http.post("/v1/regions/first/heartbeat", headers={"authorization": f"Bearer {token}"})
        assert beat.status_code == 204
        direct = await http.post("/v1/voice/session", headers=BEARER)
    assert direct.json()["region"] == "second"


async def test_a_handshake_that_never_ends_or_is_too_large_is_dropped(
    start_region: StartRegion, start_selfhosted: Start
) -> None:
    edge = await start_selfhosted(edge_env(await start_region("hang", "hang")))
    host, port = edge.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = "GET /v1/voice/session HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    keys = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nAuthorization: Bearer dev\r\n"
    writer.write(f"{head}{keys}\r\n".encode() + bytes(200_000))
    with contextlib.suppress(ConnectionError):
        answer = await asyncio.wait_for(reader.read(), DEADLINE_S)
        assert answer.startswith(b"HTTP/1.1 400 "), "what came before the answer was kept without bound"
    writer.close()


@pytest.mark.parametrize(
    "padding", [b"X-A: " + b"a" * 9000 + b"\r\n", b"a: b\r\n" * 100_000], ids=["line", "many"]
)
async def test_a_head_that_is_too_large_is_refused_before_a_region_is_asked(
    padding: bytes, start_region: StartRegion, start_selfhosted: Start
) -> None:
    edge = await start_selfhosted(edge_env(await start_region("up")))
    host, port = edge.split(":")
    for path in (b"/v1/voice/session", b"/healthz"):
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(
            b"GET %b HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n%b\r\n"
            % (path, padding)
        )
        answer = await asyncio.wait_for(reader.read(), DEADLINE_S)
        writer.close()
        assert answer.startswith(b"HTTP/1.1 431 ")


def test_the_command_names_every_fault_and_shows_no_trace() -> None:
    done = subprocess.run(
        [Path(sys.executable).parent / "repartee", "edge", "--regions", "/nowhere.json"],
        env={"PATH": os.environ["PATH"], "REPARTEE_RATE_PER_IP": "many"},
        capture_output=True,
        text=True,
        check=False,
    )
    words = done.stderr
    assert done.returncode != 0 and "Traceback" not in words
    for part in (
        "/nowhere.json",
        "REPARTEE_API_KEY is not set",
        "REPARTEE_TICKET_KEY is not set",
        "REPARTEE_RATE_PER_IP",
    ):
        assert part in words


async def test_the_command_serves_sessions_as_it_is_installed(
    start_region: StartRegion, tmp_path: Path
) -> None:
    """The whole command in a process of its own, on the loop that it chooses."""
    region, port = await start_region("near"), free_port()
    env = edge_env(region)
    regions = tmp_path / "regions.json"
    regions.write_text(env.pop("REPARTEE_REGIONS"))
    command = [
        str(Path(sys.executable).parent / "repartee"),
        "edge",
        "--port",
        str(port),
        "--regions",
        str(regions),
    ]
    process = await asyncio.create_subprocess_exec(*command, env={**env, "PATH": os.environ["PATH"]})
    try:
        async with asyncio.timeout(DEADLINE_S), httpx.AsyncClient() as http:
            while not await _ready(http, port):  # noqa: ASYNC110 (a process tells by its port)
                await asyncio.sleep(0.05)
            async with connect(f"ws://127.0.0.1:{port}/v1/realtime", additional_headers=BEARER) as ws:
                await ws.recv()
                await ws.send(bytes(960))
                assert await ws.recv() == bytes(960)
    finally:
        process.terminate()
        assert await asyncio.wait_for(process.wait(), DEADLINE_S) in (0, -15)


async def _ready(http: httpx.AsyncClient, port: int) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return (await http.get(f"http://127.0.0.1:{port}/readyz")).status_code == 200
    return False
