"""WebRTC calls through the self-hosted edge: the POST goes by way of it, media does not."""

import asyncio
import json
import secrets
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from typing import Any

import httpx
from tests.contract.webrtc_caller import calling_by_webrtc
from tests.edge.conftest import TICKET_KEY, StartEdge
from tests.edge.test_with_regions import ACME, system
from tests.promptness import DEADLINE_S
from tests.regional.app.running import RegionProcess, metrics_of, region_process, stand_ins
from tests.regional.rtc.link import CLIENT_IDENTITY
from websockets.asyncio.client import connect

from repartee.rtc import sdp, stun
from repartee.rtc.ice import IceCredentials
from repartee.rtc.ice_caller import IceCaller
from repartee.transport.webrtc.names import WorkerLabel, label_in_ufrag, read_label

BEARER: dict[str, Any] = {"Authorization": f"Bearer {ACME}"}
CALLS = "/v1/realtime/calls?events=repartee"
SDP = {"Content-Type": "application/sdp"}


async def test_a_call_begins_is_steered_and_ends_through_the_edge(start_selfhosted: StartEdge) -> None:
    with stand_ins() as providers:
        settings = {**providers, "REPARTEE_WEBRTC_PORT": "0", "REPARTEE_WEBRTC_ADDRESS": "127.0.0.1"}
        settings |= {"REPARTEE_TURN_URLS": "turn:turn.example.com", "REPARTEE_TURN_SECRET": "a secret"}
        regions = dict.fromkeys(("near", "far"), settings)
        async with system(start_selfhosted, regions) as running, httpx.AsyncClient(headers=BEARER) as http:
            edge = f"http://{running.edge}"
            (servers,) = (await http.get(f"{edge}/v1/realtime/ice_servers")).json()["iceServers"]
            assert servers["urls"] == ["turn:turn.example.com"] and servers["username"].endswith(":acme")
            async with calling_by_webrtc(edge, CALLS, **BEARER) as caller:
                assert caller.name.startswith("rtc_near_")
                await caller.says_something()
                assert (await caller.hears("response.done"))["response"]["status"] == "completed"
                side_band: dict[str, Any] = {"additional_headers": BEARER}
                url = f"ws://{running.edge}/v1/realtime?call_id={caller.name}"
                async with connect(url, **side_band) as side:
                    assert json.loads(await side.recv())["type"] == "session.created"
                hung_up = await http.post(f"{edge}/v1/realtime/calls/{caller.name}/hangup")
                assert hung_up.status_code == 200
                await caller.hung_up.wait()
            unknown = await http.post(f"{edge}/v1/realtime/calls/rtc_mars_{'0' * 36}/hangup")
            assert unknown.status_code == 404
            running.regions["near"].process.kill()
            async with calling_by_webrtc(edge, CALLS, **BEARER) as caller:
                assert caller.name.startswith("rtc_far_"), "the next region takes the call"


class Balancer:
    """Passes connections on to one worker; to another once it is told so, new connections and old ones."""

    def __init__(self, port: int) -> None:
        self.sends_to = port
        self._joined: set[asyncio.StreamWriter] = set()

    async def switch(self, port: int) -> None:
        self.sends_to = port
        joined, self._joined = self._joined, set()
        for writer in joined:
            writer.close()
        for writer in joined:
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, there = await asyncio.open_connection("127.0.0.1", self.sends_to)
        self._joined |= {writer, there}
        await asyncio.gather(self._pass(reader, there), self._pass(back, writer))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65_536):
                writer.write(data)
        writer.close()


@asynccontextmanager
async def balancing(port: int) -> AsyncIterator[tuple[Balancer, str]]:
    balancer = Balancer(port)
    server = await asyncio.start_server(balancer.serve, "127.0.0.1", 0)
    try:
        yield balancer, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        await balancer.switch(0)
        server.close()


def offer_of(ufrag: str) -> str:
    """Always the same peer connection's; another ufrag is a restart."""
    parts = sdp.OfferParts(IceCredentials(ufrag, "x" * 24), CLIENT_IDENTITY.fingerprint, 2, 1)
    return sdp.offer(parts)


def worker_in_first_check(answer: str) -> WorkerLabel | None:
    """Whose call it is, by the first datagram that a caller sends: a check with the answer's credentials."""
    read = sdp.parse(answer)
    mine = IceCredentials("caller01", "x" * 24)
    caller = IceCaller(
        mine, read.ice, [("127.0.0.1", 1)], tie_breaker=1, new_id=lambda: secrets.token_bytes(12), now=0.0
    )
    ((data, _),) = caller.checks(0.0)
    message = stun.parse(data)
    names = message.username if message else None
    label = label_in_ufrag(names[0]) if names else None
    return read_label(label, TICKET_KEY.encode()) if label else None


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [int(probe.getsockname()[1]) for probe in probes]


@contextmanager
def two_workers() -> Iterator[tuple[RegionProcess, RegionProcess]]:
    """Of one region, each with a port that the other knows how to find."""
    with ExitStack() as stack:
        shared = {**stack.enter_context(stand_ins()), "REPARTEE_REGION": "near"}
        shared |= {"REPARTEE_TICKET_KEY": TICKET_KEY, "REPARTEE_WEBRTC_ADDRESS": "127.0.0.1"}
        one, two = (
            stack.enter_context(
                region_process(
                    {**shared, "REPARTEE_WORKER_ADDRESS": f"127.0.0.1:{port}"}, "--port", str(port)
                )
            )
            for port in _free_ports(2)
        )
        yield one, two


async def test_what_belongs_to_a_call_reaches_its_worker_behind_a_balancer(
    start_selfhosted: StartEdge,
) -> None:
    """A restart, a side band and a hang-up arrive at the wrong one of two, by way of the edge."""
    with two_workers() as (one, two):
        async with balancing(one.port) as (balancer, address):
            place = {"name": "near", "latitude": 39, "longitude": -77, "host": address, "enabled": True}
            edge = await start_selfhosted(
                {
                    "REPARTEE_API_KEY": f"acme:{ACME}",
                    "REPARTEE_TICKET_KEY": TICKET_KEY,
                    "REPARTEE_REGIONS": json.dumps({"regions": [place]}),
                    "REPARTEE_EDGE_COLO": "IAD",
                }
            )
            holder = WorkerLabel("127.0.0.1", one.port)
            calls = f"http://{edge}/v1/realtime/calls"
            async with (
                httpx.AsyncClient(headers=BEARER, timeout=DEADLINE_S) as http,
                calling_by_webrtc(f"http://{edge}", CALLS, **BEARER) as caller,
            ):
                async with asyncio.timeout(DEADLINE_S):
                    while (await http.get(f"{two.http}/readyz")).status_code != 200:  # noqa: ASYNC110
                        await asyncio.sleep(0.05)
                begun = await http.post(calls, content=offer_of("caller01"), headers=SDP)
                name = begun.headers["location"].rpartition("/")[2]
                assert worker_in_first_check(begun.text) == holder
                await balancer.switch(two.port)
                asked = {"call_id": name}
                restarted = await http.post(calls, params=asked, content=offer_of("caller02"), headers=SDP)
                assert restarted.status_code == 201, restarted.text
                before, after = sdp.parse(begun.text), sdp.parse(restarted.text)
                assert before.session_id.split()[:2] == after.session_id.split()[:2], "the connection goes on"
                assert before.ice != after.ice and worker_in_first_check(restarted.text) == holder
                assert (await http.post(f"{calls}/{name}/hangup")).status_code == 200
                side_band: dict[str, Any] = {"additional_headers": BEARER}
                async with connect(f"ws://{edge}/v1/realtime?call_id={caller.name}", **side_band) as side:
                    session = json.loads(await side.recv())["session"]
                    assert session["id"] == caller.events[0]["session"]["id"]
                    await side.send(json.dumps({"type": "response.create"}))
                    await caller.hears("response.created")
                assert (await metrics_of(two.http))["repartee_calls_active"] == 0
                assert (await http.post(f"{calls}/{caller.name}/hangup")).status_code == 200
                await asyncio.wait_for(caller.hung_up.wait(), DEADLINE_S)
