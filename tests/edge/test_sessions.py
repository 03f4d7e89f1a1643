"""Both edges over real sockets: what a caller gets when regions answer, refuse, hang and die."""

import asyncio
import json
import time
from typing import Any

import httpx
import pytest
import websockets
from tests.edge.conftest import API_KEY, TICKET_KEY, FakeRegion, StartEdge, StartRegion, edge_env
from tests.promptness import DEADLINE_S, measured
from websockets.asyncio.client import connect

from repartee_edge import tickets

BEARER = {"Authorization": f"Bearer {API_KEY}"}
KEYS = tickets.TicketKeys(TICKET_KEY)


def session(edge: str, path: str = "/v1/voice/session", **options: Any) -> connect:
    options.setdefault("additional_headers", BEARER)
    return connect(f"ws://{edge}{path}", max_size=8 * 2**20, **options)


async def region_of(edge: str, **options: Any) -> str:
    async with session(edge, **options) as ws:
        return str(json.loads(await ws.recv())["region"])


@pytest.mark.parametrize("path", ["/v1/voice/session", "/v1/realtime?model=repartee&audio=binary"])
async def test_text_and_binary_pass_both_ways_and_the_query_reaches_the_region(
    start_region: StartRegion, start_edge: StartEdge, path: str
) -> None:
    region: FakeRegion = await start_region("near")
    edge = await start_edge(edge_env(region))
    async with session(edge, path) as ws:
        assert json.loads(await ws.recv()) == {"region": "near"}
        big = bytes(range(256)) * 4096
        for message in ("héllo", b"\x00\xff" * 480, big, "x" * 900_000):
            await ws.send(message)
            assert await ws.recv() == message
    assert region.handshakes[0].path == path


async def test_the_region_gets_a_ticket_for_itself_and_none_of_the_clients_own_words(
    start_region: StartRegion, start_edge: StartEdge
) -> None:
    region: FakeRegion = await start_region("near")
    edge = await start_edge(edge_env(region))
    forged = {
        "x-repartee-ticket": "forged",
        "x-forwarded-for": "1.2.3.4",
        "cf-ipcountry": "JP",
        "cookie": "a=b",
        "x-mine": "dropped",
        "openai-beta": "kept",
    }
    assert await region_of(edge, additional_headers={**BEARER, **forged}) == "near"
    headers = region.handshakes[0].headers
    ticket = tickets.verify(KEYS, headers["x-repartee-ticket"], region="near", now=time.time())
    assert ticket.subject == "acme"
    assert headers["openai-beta"] == "kept"
    for name in ("x-mine", "authorization", "x-forwarded-for", "cf-ipcountry", "cookie"):
        assert name not in headers


async def test_close_codes_and_reasons_pass_both_ways(
    start_region: StartRegion, start_edge: StartEdge
) -> None:
    region: FakeRegion = await start_region("near")
    edge = await start_edge(edge_env(region))
    async with session(edge) as ws:
        await ws.recv()
        await ws.send("bye")
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await ws.recv()
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4321, "as asked")
    async with session(edge) as ws:
        await ws.recv()
        await ws.close(4001, "caller left")
    await asyncio.wait_for(region.connections[1].wait_closed(), DEADLINE_S)
    assert (region.connections[1].close_code, region.connections[1].close_reason) == (4001, "caller left")


async def test_a_regions_crash_reaches_the_client_at_once(
    start_region: StartRegion, start_edge: StartEdge
) -> None:
    edge = await start_edge(edge_env(await start_region("near")))
    async with session(edge) as ws:
        await ws.recv()
        await ws.send("crash")
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await asyncio.wait_for(ws.recv(), DEADLINE_S)
        assert closed.value.rcvd is None


async def test_a_clients_crash_reaches_the_region(start_region: StartRegion, start_edge: StartEdge) -> None:
    region: FakeRegion = await start_region("near")
    edge = await start_edge(edge_env(region))
    async with session(edge) as ws:
        await ws.recv()
        ws.transport.abort()
        await asyncio.wait_for(region.connections[0].wait_closed(), DEADLINE_S)
    assert region.connections[0].close_code == 1006


async def test_the_subprotocol_is_negotiated_and_the_secret_stays_at_the_edge(
    start_region: StartRegion, start_edge: StartEdge
) -> None:
    region: FakeRegion = await start_region("near")
    edge = await start_edge(edge_env(region))
    async with httpx.AsyncClient() as http:
        answer = await http.post(f"http://{edge}/v1/realtime/client_secrets", headers=BEARER, json={})
    secret = answer.json()
    assert secret["value"].startswith("ek_") and secret["expires_at"] > time.time() + 500
    offered = ["realtime", f"openai-insecure-api-key.{secret['value']}"]
    async with session(edge, additional_headers={}, subprotocols=offered) as ws:
        assert ws.subprotocol == "realtime"
    assert region.handshakes[0].headers["sec-websocket-protocol"] == "realtime"


async def test_a_key_may_come_as_a_subprotocol(start_region: StartRegion, start_edge: StartEdge) -> None:
    edge = await start_edge(edge_env(await start_region("near")))
    offered = ["realtime", f"openai-insecure-api-key.{API_KEY}"]
    assert await region_of(edge, additional_headers={}, subprotocols=offered) == "near"
    for headers in ({}, {"Authorization": "Bearer wrong"}):
        with pytest.raises(websockets.InvalidStatus) as refused:
            await region_of(edge, additional_headers=headers)
        assert refused.value.response.status_code == 401
        body = json.loads(refused.value.response.body or b"")
        assert body["error"]["code"] == "invalid_api_key" and "wrong" not in body["error"]["message"]


@pytest.mark.parametrize("behaviour", ["hang", "dead", "503", "307", "401", "404", "500"])
async def test_a_region_that_fails_is_passed_over(
    start_region: StartRegion, start_edge: StartEdge, behaviour: str
) -> None:
    first, second = await start_region("first", behaviour), await start_region("second")
    edge = await start_edge(edge_env(first, second))
    machine, started = measured(), time.perf_counter()
    assert await region_of(edge) == "second"
    first_call_s = time.perf_counter() - started
    assert await region_of(edge) == "second"
    assert len(first.handshakes) <= 1, "the second caller paid again"
    machine.promise(first_call_s < 0.8 + 0.2, f"the first caller got through after {first_call_s:.2f} s")


async def test_past_five_regions_that_fail_each_in_its_own_way(
    start_region: StartRegion, start_edge: StartEdge
) -> None:
    kinds = ["hang", "503", "dead", "307", "401", "echo"]
    regions = [await start_region(f"r{i}", kind) for i, kind in enumerate(kinds)]
    edge = await start_edge(edge_env(*regions))
    assert await region_of(edge) == "r5"


async def test_nothing_acceptable_is_a_503_that_says_why(
    start_region: StartRegion, start_edge: StartEdge
) -> None:
    first, second = await start_region("first", "dead"), await start_region("second", "503")
    edge = await start_edge(edge_env(first, second))
    with pytest.raises(websockets.InvalidStatus) as refused:
        await region_of(edge)
    answer = refused.value.response
    body = json.loads(answer.body or b"")
    assert answer.status_code == 503 and answer.headers["retry-after"] == "7"
    assert (
        "first can't be reached" in body["error"]["message"]
        and "second answered 503" in body["error"]["message"]
    )


async def test_the_page_comes_from_the_nearest_region_that_answers(
    start_region: StartRegion, start_edge: StartEdge
) -> None:
    edge = await start_edge(edge_env(await start_region("first", "dead"), await start_region("second")))
    async with httpx.AsyncClient() as http:
        for path in ("/", "/page/app.js"):
            answer = await http.get(f"http://{edge}{path}")
            assert (answer.status_code, answer.text) == (200, "page of second")
            assert answer.headers["content-type"] == "text/html"


async def test_a_browser_that_has_the_page_already_is_told_so(
    start_region: StartRegion, start_edge: StartEdge
) -> None:
    edge = await start_edge(edge_env(await start_region("near")))
    async with httpx.AsyncClient() as http:
        answer = await http.get(f"http://{edge}/page/app.js", headers={"if-none-match": '"v1"'})
    assert (answer.status_code, answer.text) == (304, "")


async def test_http_answers(start_region: StartRegion, start_edge: StartEdge) -> None:
    edge = await start_edge(edge_env(await start_region("near")))
    async with httpx.AsyncClient(base_url=f"http://{edge}") as http:
        assert (await http.get("/healthz")).status_code == 200
        assert (await http.get("/readyz")).json()["regions_up"] == ["near"]
        assert (await http.get("/nothing/here")).status_code == 404
        assert (await http.get("/v1/voice/session", headers=BEARER)).status_code == 426
        assert (await http.delete("/v1/voice/session")).status_code == 405
        listed = (await http.get("/v1/regions", headers=BEARER)).json()["regions"]
        assert [region["region"] for region in listed] == ["near"]
        direct = (
            await http.post("/v1/voice/session", headers=BEARER, json={"metadata": {"who": "me"}})
        ).json()
    assert direct["region"] == "near" and direct["url"].startswith("ws://127.0.0.1:")
    ticket = tickets.verify(KEYS, direct["token"], region="near", now=time.time())
    assert ticket.metadata == {"who": "me"} and ticket.expires_at == direct["expires_at"]


async def test_a_request_that_is_itself_wrong_is_answered_by_the_region_and_trips_no_breaker(
    start_region: StartRegion, start_edge: StartEdge
) -> None:
    first, second = await start_region("first", "400"), await start_region("second")
    edge = await start_edge(edge_env(first, second))
    for _ in range(2):
        with pytest.raises(websockets.InvalidStatus) as refused:
            await region_of(edge)
        assert refused.value.response.status_code == 400 and refused.value.response.body == b"no"
    assert (len(first.handshakes), len(second.handshakes)) == (2, 0)
