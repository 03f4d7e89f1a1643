"""A carrier's stream at a region: who gets in, and a call on it, over real sockets."""

import asyncio
import base64
import json
import random
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import websockets
from tests.regional.app.running import TICKET_KEY, Region, region, until
from websockets.asyncio.client import ClientConnection, connect

from repartee.agent.agent import Agent
from repartee.agent.context import CallContext
from repartee.app.telephone import admitted
from repartee_edge.telephone.signatures import BadSignature, stream_token, twilio_signature
from repartee_edge.tickets import TicketError, TicketKeys, sign

TOKEN = "a Twilio auth token"
PUBLIC = "https://eu-west.voice.example.com"
KEYS = {
    "REPARTEE_TICKET_KEY": TICKET_KEY,
    "REPARTEE_REGION": "eu-west",
    "REPARTEE_PUBLIC_URL": PUBLIC,
    "TWILIO_AUTH_TOKEN": TOKEN,
    "TELNYX_PUBLIC_KEY": base64.b64encode(b"k" * 32).decode(),
    "SIGNALWIRE_SIGNING_KEY": "a SignalWire key",
    "VONAGE_SIGNATURE_SECRET": "a Vonage secret",
    "EXOTEL_CREDENTIALS": "user:password",
    "PLIVO_AUTH_TOKEN": "a Plivo token",
}
SILENCE = base64.b64encode(b"\xff" * 160).decode()


def ticket(carrier: str = "twilio", **fields: Any) -> str:
    given = {"region": "eu-west", "now": time.time(), **fields}
    metadata = {"carrier": carrier, "carrier_call_id": "CA1", "phone": "+15550100", "called": "+15550199"}
    return sign(TicketKeys(TICKET_KEY), subject="telephone", metadata=metadata, **given)


def handshake(carrier: str, path: str) -> dict[str, str]:
    """The headers that a carrier sends."""
    url = PUBLIC.replace("https", "wss") + path
    match carrier:
        case "twilio":
            return {"X-Twilio-Signature": twilio_signature(TOKEN, url, [])}
        case "signalwire":
            return {"Authorization": f"Bearer {stream_token('a SignalWire key', url)}"}
        case "vonage":
            return {"Authorization": f"Bearer {stream_token('a Vonage secret', url)}"}
        case "exotel":
            return {"Authorization": f"Basic {base64.b64encode(b'user:password').decode()}"}
    return {}


def path_of(carrier: str = "twilio", given: str | None = None) -> str:
    return f"/v1/telephone/{carrier}/stream/{given or ticket(carrier)}"


async def refused(worker: Region, path: str, headers: Mapping[str, str]) -> tuple[int, str]:
    """How a handshake is refused, before it is accepted."""
    with pytest.raises(websockets.InvalidStatus) as refusal:
        await connect(f"ws://127.0.0.1:{worker.port}{path}", additional_headers=headers, proxy=None)
    return refusal.value.response.status_code, json.loads(refusal.value.response.body)["error"]["code"]


@asynccontextmanager
async def streaming(worker: Region, carrier: str = "twilio") -> AsyncIterator[ClientConnection]:
    path = path_of(carrier)
    address = f"ws://127.0.0.1:{worker.port}{path}"
    async with connect(address, additional_headers=handshake(carrier, path), proxy=None) as socket:
        yield socket


async def begin(socket: ClientConnection, call_id: str = "CA1", encoding: str = "audio/x-mulaw") -> None:
    await socket.send('{"event": "connected", "protocol": "Call", "version": "1.0.0"}')
    start = {
        "streamSid": "MZ1",
        "callSid": call_id,
        "mediaFormat": {"encoding": encoding, "sampleRate": 8000},
    }
    await socket.send(json.dumps({"event": "start", "streamSid": "MZ1", "start": start}))


@pytest.fixture
async def worker(providers: dict[str, str]) -> AsyncIterator[Region]:
    agent = Agent(instructions="Be kind.", greeting="Good day.")

    @agent.on_call_start
    async def greet(ctx: CallContext) -> None:
        known.append(dict(ctx.verified))

    known: list[dict[str, Any]] = []
    async with region({**providers, **KEYS}, agent=agent, allow_anonymous=False) as worker:
        agent_knows[worker.port] = known
        yield worker


agent_knows: dict[int, list[dict[str, Any]]] = {}


async def test_a_call_is_greeted_in_mu_law_by_an_agent_that_knows_who_calls(worker: Region) -> None:
    async with streaming(worker) as socket:
        await begin(socket)
        audio, marks = b"", 0
        while not marks or len(audio) < 1_600:
            said = json.loads(await asyncio.wait_for(socket.recv(), 20))
            assert said["streamSid"] == "MZ1"
            if said["event"] == "media":
                audio += base64.b64decode(said["media"]["payload"])
            else:
                marks += 1
                await socket.send(json.dumps(said))
            await socket.send(json.dumps({"event": "media", "media": {"payload": SILENCE}}))
    await worker.until_idle()
    [verified] = agent_knows[worker.port]
    assert verified["phone"] == "+15550100" and verified["called"] == "+15550199"
    assert verified["carrier"] == "twilio"


@pytest.mark.parametrize("carrier", ["twilio", "telnyx", "signalwire", "plivo", "vonage", "exotel"])
async def test_each_carriers_handshake(worker: Region, carrier: str) -> None:
    async with streaming(worker, carrier) as socket:
        assert socket.response is not None and socket.response.status_code == 101
    path = path_of(carrier)
    if handshake(carrier, path):
        assert await refused(worker, path, {}) == (403, "bad_signature")
        wrong = {name: f"{value[:-4]}AAA=" for name, value in handshake(carrier, path).items()}
        assert await refused(worker, path, wrong) == (403, "bad_signature")
    forged = path_of(carrier, ticket(carrier)[:-4] + "AAAA")
    assert await refused(worker, forged, handshake(carrier, forged)) == (401, "ticket_forged")
    await worker.until_idle()


async def test_a_handshake_signed_for_another_address_is_refused(worker: Region) -> None:
    path = path_of()
    for url in (f"wss://elsewhere.example{path}", f"https://eu-west.voice.example.com{path}", path):
        signature = {"X-Twilio-Signature": twilio_signature(TOKEN, url, [])}
        assert await refused(worker, path, signature) == (403, "bad_signature")
    url = f"wss://eu-west.voice.example.com:443{path}"
    headers = {"X-Twilio-Signature": twilio_signature(TOKEN, url, []), "X-Forwarded-Host": "internal.proxy"}
    async with connect(f"ws://127.0.0.1:{worker.port}{path}", additional_headers=headers, proxy=None):
        pass


async def test_a_ticket_is_good_for_one_stream_of_its_carrier_in_its_region_and_its_time(
    worker: Region,
) -> None:
    path = path_of()
    headers = handshake("twilio", path)
    async with connect(f"ws://127.0.0.1:{worker.port}{path}", additional_headers=headers, proxy=None):
        assert await refused(worker, path, headers) == (401, "ticket_replayed")
    for given, code in (
        (ticket(now=time.time() - 100), "ticket_expired"),
        (ticket(region="us-east"), "ticket_wrong_region"),
        (ticket("telnyx"), "ticket_forged"),
        (sign(TicketKeys(TICKET_KEY), region="eu-west", subject="key", now=time.time()), "ticket_forged"),
    ):
        path = path_of(given=given)
        assert await refused(worker, path, handshake("twilio", path)) == (401, code)
    assert await refused(worker, "/v1/telephone/nobody/stream/x", {}) == (403, "bad_signature")


@pytest.mark.parametrize(
    ("call_id", "encoding", "why"),
    [("CA2", "audio/x-mulaw", "another call"), ("CA1", "audio/opus", "audio/opus")],
)
async def test_a_stream_that_is_no_use_is_closed_with_the_reason(
    worker: Region, call_id: str, encoding: str, why: str
) -> None:
    async with streaming(worker) as socket:
        await begin(socket, call_id, encoding)
        with pytest.raises(websockets.ConnectionClosedError) as closed:
            await asyncio.wait_for(socket.recv(), 20)
    assert closed.value.rcvd is not None and closed.value.rcvd.code == 1003
    assert why in closed.value.rcvd.reason
    await worker.until_idle()


async def test_a_stream_that_does_not_begin_is_closed_in_time_whatever_else_it_says(
    providers: dict[str, str],
) -> None:
    environment = {**providers, **KEYS, "REPARTEE_TELEPHONE_START_S": "1"}
    async with region(environment, allow_anonymous=False) as worker:
        for noise in ("", '{"event": "media", "media": {"payload": "//8="}}', "{", '{"event": "stop"}'):
            async with streaming(worker) as socket:
                if noise:
                    await socket.send(noise)
                with pytest.raises(websockets.ConnectionClosedError) as closed:
                    await asyncio.wait_for(socket.recv(), 20)
                assert closed.value.rcvd is not None and closed.value.rcvd.code == 1003
                assert "did not begin" in closed.value.rcvd.reason
        await worker.until_idle()


async def test_a_second_start_and_single_bytes_of_audio_leave_the_call_as_it_was(worker: Region) -> None:
    async with streaming(worker) as socket:
        await begin(socket)
        await begin(socket, call_id="CA2", encoding="audio/opus")
        for byte in range(200):
            payload = base64.b64encode(bytes([byte])).decode()
            await socket.send(json.dumps({"event": "media", "media": {"payload": payload}}))
        for digit in ("", "12", "x", None, 7):
            await socket.send(json.dumps({"event": "dtmf", "dtmf": {"digit": digit}}))
        media = 0
        while media < 5:
            said = json.loads(await asyncio.wait_for(socket.recv(), 20))
            assert said["streamSid"] == "MZ1"
            media += said["event"] == "media"
    await worker.until_idle()


async def test_a_calls_next_stream_is_known_while_the_one_before_it_still_ends(worker: Region) -> None:
    async with streaming(worker) as first:
        await begin(first)
        await asyncio.wait_for(first.recv(), 20)
        async with streaming(worker) as second:
            await begin(second)
            await asyncio.wait_for(second.recv(), 20)
            line = worker.worker.telephone_lines["CA1"]
            await first.close()
            await until(lambda: worker.worker.slots.taken == 1)
            assert worker.worker.telephone_lines["CA1"] is line
        await until(lambda: not worker.worker.telephone_lines)


async def test_a_full_region_says_so_before_it_accepts(providers: dict[str, str]) -> None:
    async with region({**providers, **KEYS, "REPARTEE_MAX_CALLS": "1"}, allow_anonymous=False) as worker:
        async with streaming(worker):
            path = path_of()
            assert await refused(worker, path, handshake("twilio", path)) == (503, "server_busy")
        await worker.until_idle()
        async with streaming(worker):
            pass
        await worker.until_idle()


async def test_without_a_carriers_key_no_stream_of_its_is_taken(providers: dict[str, str]) -> None:
    environment = {**providers, **KEYS, "TWILIO_AUTH_TOKEN": ""}
    async with region(environment, allow_anonymous=False) as worker:
        path = path_of()
        headers = {"X-Twilio-Signature": twilio_signature("", f"wss://eu-west.voice.example.com{path}", [])}
        assert await refused(worker, path, headers) == (403, "bad_signature")


class Handshake:
    """As much of a WebSocket as is looked at before it is accepted."""

    def __init__(self, carrier: str, path: str, headers: Mapping[str, str]) -> None:
        self.path_params = {"carrier": carrier, "ticket": path.rpartition("/")[2]}
        self.url = SimpleNamespace(path=path)
        self.headers = {name.lower(): value for name, value in headers.items()}


@pytest.mark.parametrize("kind", ["forged", "replayed", "expired", "wrongly addressed"])
async def test_of_5_000_handshakes_that_are_not_right_none_is_accepted(worker: Region, kind: str) -> None:
    """1,250 of each kind; as many webhooks in the edge's tests: 10,000 in all."""
    rng, accepted = random.Random(kind), 0
    used = [ticket() for _ in range(25)]
    for given in used:
        path = path_of(given=given)
        admitted(worker.worker, Handshake("twilio", path, handshake("twilio", path)), "twilio")  # type: ignore[arg-type]
    for _ in range(1_250):
        carrier, now = "twilio", time.time()
        given = ticket()
        path = path_of(given=given)
        headers = handshake(carrier, path)
        if kind == "replayed":
            path = path_of(given=rng.choice(used))
            headers = handshake(carrier, path)
        elif kind == "expired":
            path = path_of(given=ticket(now=now - rng.randrange(61, 10**6)))
            headers = handshake(carrier, path)
        elif kind == "wrongly addressed":
            carrier = rng.choice(["twilio", "telnyx", "vonage", "plivo"])
            other = rng.choice([name for name in ("twilio", "telnyx", "exotel") if name != carrier])
            wrong = rng.choice([ticket(carrier, region="us-east"), ticket(other)])
            path = path_of(carrier, wrong)
            headers = handshake(carrier, path)
        else:
            text = rng.choice([given, headers["X-Twilio-Signature"]])
            at = rng.randrange(len(text) - 4)
            changed = text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :]
            if text == given:
                path = path_of(given=changed)
                headers = handshake(carrier, path)
            else:
                headers = {"X-Twilio-Signature": changed}
        try:
            admitted(worker.worker, Handshake(carrier, path, headers), carrier)  # type: ignore[arg-type]
            accepted += 1
        except (BadSignature, TicketError):
            pass
    assert accepted == 0
