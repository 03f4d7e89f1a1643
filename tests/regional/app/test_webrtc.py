"""A worker's calls by WebRTC: who gets in, what is left behind, and how a call is reached through another worker."""

import asyncio
import ctypes
import json
import re
import socket
import time
from collections import Counter
from ctypes.util import find_library

import pytest
from tests.contract.test_webrtc import SDP, an_offer, asking, hang_up_all
from tests.contract.webrtc_caller import calling_by_webrtc
from tests.promptness import DEADLINE_S, measured
from tests.regional.app.running import TICKET_KEY, Region, region, region_process
from websockets.asyncio.client import connect

from repartee.agent.agent import Agent
from repartee.bench.datagram_relay import relaying
from repartee.bench.line_quality import LineQuality
from repartee.bench.stream_relay import delaying
from repartee.client.webrtc import MediaWishes, connect_media
from repartee_edge import tickets


async def test_who_does_not_connect_gives_the_slot_back(providers: dict[str, str]) -> None:
    settings = {**providers, "REPARTEE_WEBRTC_SETUP_S": "1", "REPARTEE_MAX_CALLS": "1"}
    async with region(settings) as worker, asking(worker) as client:
        begun = await client.post("/v1/realtime/calls", content=an_offer(), headers=SDP)
        assert begun.status_code == 201
        full = await client.post("/v1/realtime/calls", content=an_offer(), headers=SDP)
        assert (full.status_code, full.headers["retry-after"]) == (503, "2")
        await worker.until_idle()


async def test_without_the_extra_the_answer_says_what_to_install(
    providers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "repartee.transport.webrtc.libraries.MODULES",
        {"no_such_module": "pyOpenSSL", "pylibsrtp": "pylibsrtp"},
    )
    async with region(providers) as worker, asking(worker) as client:
        for path in ("/v1/realtime/calls", "/v1/realtime/whip"):
            refused = await client.post(path, content=an_offer(), headers=SDP)
            assert refused.status_code == 501
            assert "repartee[webrtc]" in refused.json()["error"]["message"]


async def test_tickets_are_asked_for(providers: dict[str, str]) -> None:
    settings = {**providers, "REPARTEE_TICKET_KEY": TICKET_KEY}
    keys = tickets.TicketKeys(TICKET_KEY)
    async with region(settings, allow_anonymous=False) as worker, asking(worker) as client:
        refused = await client.post("/v1/realtime/calls", content=an_offer(), headers=SDP)
        assert refused.status_code == 401

        def ticket() -> dict[str, str]:
            return {"X-Repartee-Ticket": tickets.sign(keys, region="local", subject="acme", now=time.time())}

        once = ticket()
        begun = await client.post("/v1/realtime/calls", content=an_offer(), headers={**SDP, **once})
        assert begun.status_code == 201
        again = await client.post("/v1/realtime/calls", content=an_offer(), headers={**SDP, **once})
        assert again.status_code == 401, "a ticket lets in once"
        path = f"{begun.headers['location']}/hangup"
        assert (await client.post(path)).status_code == 401
        assert (await client.post(path, headers=ticket())).status_code == 200


async def test_a_key_has_as_many_calls_at_once_as_it_may(providers: dict[str, str]) -> None:
    """The edge writes the limit into its tickets; the other transports' calls count too."""
    settings = {**providers, "REPARTEE_TICKET_KEY": TICKET_KEY}
    keys = tickets.TicketKeys(TICKET_KEY)
    async with region(settings, allow_anonymous=False) as worker, asking(worker) as client:
        found = []
        for subject in ("acme", "acme", "other"):
            ticket = tickets.sign(keys, region="local", subject=subject, now=time.time(), limit=1)
            headers = {**SDP, "X-Repartee-Ticket": ticket}
            begun = await client.post("/v1/realtime/calls", content=an_offer(), headers=headers)
            found.append((begun.status_code, begun.headers.get("retry-after") is not None))
        assert found == [(201, False), (429, True), (201, False)]


async def test_a_call_is_reached_through_any_worker_of_its_region(providers: dict[str, str]) -> None:
    """A balancer sends what belongs to a call to the other worker: it passes it on."""
    ports = []
    for _ in range(2):
        with socket.create_server(("127.0.0.1", 0)) as probe:
            ports.append(probe.getsockname()[1])

    def settings(port: int) -> dict[str, str]:
        named = {"REPARTEE_TICKET_KEY": TICKET_KEY, "REPARTEE_WORKER_ADDRESS": f"127.0.0.1:{port}"}
        return {**providers, **named}

    async with (
        region(settings(ports[0]), port=ports[0]) as one,
        region(settings(ports[1]), port=ports[1]) as two,
        calling_by_webrtc(one.http) as mine,
        calling_by_webrtc(two.http) as other,
    ):
        url = f"ws://127.0.0.1:{two.port}/v1/realtime?call_id={mine.name}"
        async with connect(url) as side:
            assert json.loads(await side.recv())["session"]["id"] == mine.events[0]["session"]["id"]
        path = f"/v1/realtime/calls?call_id={mine.name}"
        async with calling_by_webrtc(two.http, path) as back:
            assert back.events[0]["session"]["id"] == mine.events[0]["session"]["id"]
            async with asking(two) as client:
                await hang_up_all(client, mine.name)
            await asyncio.wait_for(back.hung_up.wait(), DEADLINE_S)
        await one.until_idle()
        assert two.worker.slots.taken == 1 and not other.hung_up.is_set()
        forged = mine.name.replace(mine.name[10:14], "0a00")
        async with asking(two) as client:
            assert (await client.post(f"/v1/realtime/calls/{forged}/hangup")).status_code == 404


ROUND_TRIPS = 7
"""So many are between the POST and the first sound, as it grows with a line's round trip."""


@pytest.mark.parametrize("rtt_ms", [0, 50])
async def test_the_first_sound_of_the_agents_comes_at_once(providers: dict[str, str], rtt_ms: int) -> None:
    """The greeting, measured from the POST: 150 ms and the trips of the POST, ICE, DTLS and the data channel."""
    line, most_ms = LineQuality(rtt_ms=rtt_ms), 150 + ROUND_TRIPS * rtt_ms
    async with (
        region(providers, agent=Agent(instructions="Be kind.", greeting="Hello there.")) as worker,
        relaying(("127.0.0.1", await media_port(worker)), line) as relay,
        delaying(worker.port, line) as near,
    ):
        taken, machine = [], measured()
        for _ in range(5):
            loop = asyncio.get_running_loop()
            begun = loop.time()
            url, wishes = f"http://127.0.0.1:{near}/v1/realtime/calls", MediaWishes(via=relay.address)
            media = await connect_media(url, {}, wishes)
            async with asyncio.timeout(DEADLINE_S):
                while not isinstance(await media.recv(), bytes):
                    pass
            taken.append((loop.time() - begun) * 1000)
            await media.close()
            await worker.until_idle()
    machine.promise(min(taken) <= most_ms, f"the first sound came after {min(taken):.0f} ms, not {most_ms}")


async def test_the_systems_libopus_does_as_well_as_the_extras(
    providers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = find_library("opus")
    if file is None:
        pytest.skip("the system has no libopus: apt-get install libopus0")
    monkeypatch.setattr("repartee.transport.webrtc.peers.load_opus", lambda: ctypes.CDLL(file))
    async with region(providers) as worker, calling_by_webrtc(worker.http) as caller:
        await caller.says_something()
        assert (await caller.hears("response.done"))["response"]["status"] == "completed"
        assert any(caller.heard)


async def test_a_worker_in_a_process_of_its_own_takes_calls_over_tcp(providers: dict[str, str]) -> None:
    settings = {**providers, "REPARTEE_WEBRTC_PORT": "0", "REPARTEE_WEBRTC_ADDRESS": "127.0.0.1"}
    with region_process(settings, "--allow-anonymous") as worker:
        async with calling_by_webrtc(worker.http, tcp=True) as caller:
            await caller.says_something()
            assert (await caller.hears("response.done"))["response"]["status"] == "completed"
            assert any(caller.heard)


async def media_port(worker: Region) -> int:
    """The port that its answers name."""
    async with asking(worker) as client:
        answer = await client.post("/v1/realtime/calls", content=an_offer(), headers=SDP)
        await hang_up_all(client, answer.headers["location"].rpartition("/")[2])
    [port] = set(re.findall(r"a=candidate:\S+ 1 udp \d+ \S+ (\d+) typ host", answer.text))
    return int(port)


async def test_at_10_percent_loss_in_bursts_every_turn_is_answered(providers: dict[str, str]) -> None:
    """The same packets are lost each time. Events are lost too, and sent again."""
    line = LineQuality(loss=0.1, rtt_ms=50, burst=3)
    async with (
        region(providers) as worker,
        relaying(("127.0.0.1", await media_port(worker)), line, seed=7) as relay,
        calling_by_webrtc(worker.http, via=relay.address) as caller,
    ):
        for _ in range(3):
            await caller.says_something()
            assert (await caller.hears("response.done"))["response"]["status"] == "completed"
            await caller.hears("output_audio_buffer.stopped")
        peer = caller.socket.peer
        assert relay.lost > 30 and peer.incoming.recovered + peer.incoming.concealed > 0
        assert peer.outgoing.redundant, "the worker's reports tell of the loss"


async def test_offers_without_media_are_bounded_and_reaped(providers: dict[str, str]) -> None:
    """A hundred at once of callers that never connect: as many as there are slots, and all are given back."""
    settings = {**providers, "REPARTEE_WEBRTC_SETUP_S": "1", "REPARTEE_MAX_CALLS": "20"}
    async with region(settings) as worker, asking(worker) as client:
        posts = [client.post("/v1/realtime/calls", content=an_offer(), headers=SDP) for _ in range(100)]
        begun = Counter(answer.status_code for answer in await asyncio.gather(*posts))
        assert begun == {201: 20, 503: 80}
        await worker.until_idle()
        async with calling_by_webrtc(worker.http) as caller:
            assert caller.types[0] == "session.created"
