"""Requests that are made to bring an edge down: each is refused, and the next caller notices nothing."""

import asyncio
import base64
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
import jwt
import pytest
import websockets
from tests.edge.conftest import API_KEY, TICKET_KEY, StartEdge, StartRegion, edge_env
from tests.promptness import DEADLINE_S
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from repartee_edge import heartbeats, tickets
from repartee_edge.request import is_page

BEARER = {"Authorization": f"Bearer {API_KEY}"}
KEYS = tickets.TicketKeys(TICKET_KEY)


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def nested(levels: int) -> str:
    """A token whose header is so deep."""
    return f"{encoded(b'[' * levels)}.e30.x"


def token_with_header(chars: int) -> str:
    """A token, rightly signed, whose encoded header has exactly so many characters."""
    claims = {"iss": tickets.ISSUER, "aud": "near", "sub": "a", "jti": "b", "iat": 100, "exp": 200}

    def made(padding: int) -> str:
        headers = {"kid": tickets.key_id(TICKET_KEY), "pad": "x" * padding}
        return jwt.encode(claims, TICKET_KEY, algorithm=tickets.ALGORITHM, headers=headers)

    return next(t for t in map(made, range(400)) if len(t.partition(".")[0]) == chars)


@asynccontextmanager
async def talking(edge: str, **options: Any) -> AsyncIterator[ClientConnection]:
    options.setdefault("additional_headers", BEARER)
    async with connect(f"ws://{edge}/v1/voice/session", **options) as ws:
        await ws.recv()
        yield ws


async def refused(edge: str, **options: Any) -> int:
    with pytest.raises(websockets.InvalidStatus) as refusal:
        async with talking(edge, **options):
            pass
    return int(refusal.value.response.status_code)


async def test_a_token_that_is_made_of_brackets_costs_nobody_a_call(
    start_region: StartRegion, start_edge: StartEdge
) -> None:
    edge = await start_edge(edge_env(await start_region("near")))
    async with talking(edge) as ws, httpx.AsyncClient(timeout=DEADLINE_S) as http:
        for levels in (6_000, 4_500, 100):
            for prefix in ("", "ek_"):
                token = prefix + nested(levels)
                answer = await http.post(
                    f"http://{edge}/v1/voice/session", headers={"Authorization": f"Bearer {token}"}
                )
                assert answer.status_code in (401, 431)
                offered = [Subprotocol(f"openai-insecure-api-key.{token}"), Subprotocol("realtime")]
                assert await refused(edge, subprotocols=offered, additional_headers={}) in (400, 401, 431)
        await ws.send("still here")
        assert await ws.recv() == "still here"
        async with talking(edge):
            pass


async def test_a_deep_heartbeat_and_a_deep_body_are_refused(
    start_region: StartRegion, start_edge: StartEdge
) -> None:
    edge = await start_edge(edge_env(await start_region("near")))
    deep = encoded(b"[" * 8_000)
    body = b'{"session":' + b'{"a":' * 2_700
    async with httpx.AsyncClient(base_url=f"http://{edge}", timeout=DEADLINE_S) as http:
        for token in (nested(1_000), f"{encoded(b'{}')}.{deep}.x"):
            answer = await http.post(
                "/v1/regions/near/heartbeat", headers={"Authorization": f"Bearer {token}"}
            )
            assert answer.status_code in (401, 431)
        for path in ("/v1/voice/session", "/v1/realtime/client_secrets"):
            answer = await http.post(path, headers=BEARER, content=body)
            assert answer.status_code == 400 and "nested deeper than 64 levels" in answer.text
            answer = await http.post(path, headers=BEARER, content=b"[" * 8_000)
            assert answer.status_code == 400
        assert (await http.get("/healthz")).status_code == 200


async def test_a_long_header_is_refused_before_any_region_is_asked(
    start_region: StartRegion, start_edge: StartEdge
) -> None:
    region = await start_region("near")
    edge = await start_edge(edge_env(region))
    async with httpx.AsyncClient(base_url=f"http://{edge}", headers=BEARER, timeout=DEADLINE_S) as http:
        for _ in range(5):
            status = await refused(edge, additional_headers={**BEARER, "x-a": "a" * 9_000})
            assert status in (400, 431)
        assert region.handshakes == []
        assert (await http.get("/readyz")).status_code == 200
        assert (await http.post("/v1/voice/session")).status_code == 200


async def test_a_browser_that_goes_on_sending_long_headers_takes_the_edge_from_nobody(
    start_region: StartRegion, start_edge: StartEdge
) -> None:
    region = await start_region("near")
    edge = await start_edge(edge_env(region, await start_region("far")))
    token = tickets.sign_client_secret(KEYS, subject="acme", now=time.time())
    offered = [Subprotocol(f"openai-insecure-api-key.{token}"), Subprotocol("realtime")]
    async with httpx.AsyncClient(base_url=f"http://{edge}", headers=BEARER, timeout=DEADLINE_S) as http:
        for name in ("x-a", "user-agent", "accept-language", "traceparent", "openai-beta") * 3:
            long = {"subprotocols": offered, "additional_headers": {name: "a" * 9_000}}
            assert await refused(edge, **long, user_agent_header=None) in (400, 431)
            assert (await http.get("/readyz")).json()["regions_up"] == ["near", "far"]
            assert (await http.post("/v1/voice/session")).json()["region"] == "near"
        assert region.handshakes == []


@pytest.mark.parametrize(
    "status", ["400", "402", "403", "406", "409", "411", "413", "422", "426", "429", "431", "451"]
)
async def test_a_clients_fault_counts_against_no_region(
    start_region: StartRegion, start_edge: StartEdge, status: str
) -> None:
    near, far = await start_region("near", status), await start_region("far", status)
    edge = await start_edge(edge_env(near, far))
    for _ in range(4):
        assert await refused(edge) == int(status)
    async with httpx.AsyncClient(base_url=f"http://{edge}", headers=BEARER, timeout=DEADLINE_S) as http:
        assert (await http.get("/readyz")).json()["regions_up"] == ["near", "far"]
        assert (await http.post("/v1/voice/session")).json()["region"] == "near"


async def test_a_request_that_every_region_fails_at_takes_no_region_from_others(
    start_region: StartRegion, start_edge: StartEdge
) -> None:
    near, far = await start_region("near", "500"), await start_region("far", "503")
    edge = await start_edge(edge_env(near, far))
    for _ in range(3):
        assert await refused(edge) == 503
    assert len(near.handshakes) == len(far.handshakes) == 3
    near.behaviour = far.behaviour = "echo"
    async with talking(edge):
        assert len(near.connections) == 1


@pytest.mark.parametrize(
    "status", ["401", "404", "405", "407", "408", "410", "421", "425", "500", "501", "503", "307"]
)
async def test_a_region_at_fault_is_passed_over_and_left_alone(
    start_region: StartRegion, start_edge: StartEdge, status: str
) -> None:
    near, far = await start_region("near", status), await start_region("far")
    edge = await start_edge(edge_env(near, far))
    for _ in range(2):
        async with talking(edge):
            pass
    assert (len(near.handshakes), len(far.handshakes)) == (1, 2)


async def test_a_path_in_another_spelling_reaches_a_region_as_it_is_written_here(
    start_region: StartRegion, start_selfhosted: StartEdge
) -> None:
    region = await start_region("near")
    edge = await start_selfhosted(edge_env(region))
    async with connect(f"ws://{edge}/%761/voice%2Fsession?model=a%20b", additional_headers=BEARER) as ws:
        await ws.recv()
    assert [shake.path for shake in region.handshakes] == ["/v1/voice/session?model=a%20b"]


async def test_one_browser_token_gets_two_calls_in_all_regions_together(
    start_region: StartRegion, start_selfhosted: StartEdge
) -> None:
    edge = await start_selfhosted(edge_env(await start_region("near"), await start_region("far")))
    token = tickets.sign_client_secret(KEYS, subject="acme", now=time.time())
    offered = [Subprotocol(f"openai-insecure-api-key.{token}"), Subprotocol("realtime")]
    browser: dict[str, Any] = {"subprotocols": offered, "additional_headers": {}}
    async with AsyncExitStack() as calls:
        for _ in range(2):
            await calls.enter_async_context(talking(edge, **browser))
        assert await refused(edge, **browser) == 429
        await calls.enter_async_context(talking(edge))  # the key itself has calls of its own
    async with talking(edge, **browser):
        pass


async def test_tickets_say_whose_calls_are_counted_and_how_many_there_may_be(
    start_region: StartRegion, start_edge: StartEdge
) -> None:
    region = await start_region("near")
    edge = await start_edge(edge_env(region, REPARTEE_CALLS_PER_KEY="7"))
    token = tickets.sign_client_secret(KEYS, subject="acme", now=time.time())
    async with talking(edge):
        pass
    async with talking(edge, additional_headers={"Authorization": f"Bearer {token}"}):
        pass
    found = [
        tickets.verify(KEYS, shake.headers["x-repartee-ticket"], region="near", now=time.time())
        for shake in region.handshakes
    ]
    assert [ticket.limit for ticket in found] == [7, 2]
    assert found[0].subject == "acme" and found[1].subject.startswith("acme:")


async def test_a_region_that_admits_nobody_is_left_out(
    start_region: StartRegion, start_edge: StartEdge
) -> None:
    near, far = await start_region("near"), await start_region("far")
    edge = await start_edge(edge_env(near, far))
    beat = heartbeats.sign_heartbeat(
        KEYS,
        region="near",
        instance="task-1",
        active=0,
        capacity=10,
        draining=False,
        now=time.time(),
        admitting=False,
        faults=["deepgram: the key is refused"],
    )
    async with httpx.AsyncClient(base_url=f"http://{edge}", timeout=DEADLINE_S) as http:
        sent = await http.post("/v1/regions/near/heartbeat", headers={"Authorization": f"Bearer {beat}"})
        assert sent.status_code == 204
        deadline = time.monotonic() + DEADLINE_S  # a Worker reads the reports every few seconds
        while (await http.post("/v1/voice/session", headers=BEARER)).json()["region"] != "far":
            assert time.monotonic() < deadline
            await asyncio.sleep(0.2)


FOREIGN = [{"origin": "https://evil.example"}, {"host": "evil.example"}]


@pytest.mark.parametrize("headers", FOREIGN)
async def test_with_the_key_dev_only_this_machines_pages_are_served(
    start_region: StartRegion, start_edge: StartEdge, headers: dict[str, str]
) -> None:
    edge = await start_edge(edge_env(await start_region("near")))
    async with httpx.AsyncClient(base_url=f"http://{edge}", timeout=DEADLINE_S) as http:
        answer = await http.post("/v1/voice/session", headers={**BEARER, **headers})
        assert answer.status_code == 403 and answer.json()["error"]["code"] == "origin_refused"
    if "origin" in headers:
        assert await refused(edge, origin=headers["origin"]) == 403
        async with talking(edge, origin="http://localhost:8787"):
            pass


async def test_further_origins_are_let_in_by_name(start_region: StartRegion, start_edge: StartEdge) -> None:
    env = edge_env(await start_region("near"), REPARTEE_ALLOWED_ORIGINS="https://me.tunnel.example")
    edge = await start_edge(env)
    async with talking(edge, origin="https://me.tunnel.example"):
        pass


async def test_a_key_of_ones_own_serves_pages_of_anywhere(
    start_region: StartRegion, start_edge: StartEdge
) -> None:
    edge = await start_edge(edge_env(await start_region("near")) | {"REPARTEE_API_KEY": "acme:sk-own"})
    async with talking(
        edge, origin="https://shop.example", additional_headers={"Authorization": "Bearer sk-own"}
    ):
        pass


OUT_OF_THE_FOLDER = [
    "/page/../metrics",
    "/page/%2e%2e/metrics",
    "/page/..%2fmetrics",
    "/page/.%2e/metrics",
    "/page/x/../../metrics",
    "/page/..\\metrics",
    "/page/%5c..%5cmetrics",
    "/page//metrics",
    "/page/.hidden",
    "/page/",
]


@pytest.mark.parametrize("path", OUT_OF_THE_FOLDER)
def test_a_path_that_leads_out_of_the_pages_folder_is_no_page(path: str) -> None:
    assert not is_page(path)
    assert not is_page(path.replace("%2e", ".").replace("%2f", "/").replace("%5c", "\\"))


async def test_no_spelling_leads_from_the_page_to_a_regions_metrics(
    start_region: StartRegion, start_selfhosted: StartEdge
) -> None:
    region = await start_region("near")
    edge = await start_selfhosted(edge_env(region))
    for path in OUT_OF_THE_FOLDER:
        answer = await answer_to(edge, f"GET {path} HTTP/1.1\r\nhost: {edge}\r\nconnection: close\r\n\r\n")
        assert answer.startswith("HTTP/1.1 404 "), path
        assert "page of near" not in answer and "there is nothing at" in answer
    assert {request.path for request in region.requests} <= {"/readyz"}


async def answer_to(edge: str, request: str) -> str:
    """All that comes back to these bytes, which no client library has put right."""
    host, _, port = edge.partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(request.encode())
    async with asyncio.timeout(DEADLINE_S):
        answer = await reader.read()
    writer.close()
    return answer.decode()


@pytest.mark.parametrize("path", ["/", "/page/main.js", "/page/a-b/c.d_e.css"])
def test_the_pages_own_files_are(path: str) -> None:
    assert is_page(path)
