"""The self-hosted edge before two real regions: what one caller, or one region's provider, can do to all others."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import httpx
import pytest
import websockets
from tests.edge.conftest import TICKET_KEY, StartEdge
from tests.edge.test_hostile import OUT_OF_THE_FOLDER, answer_to
from tests.promptness import DEADLINE_S
from tests.regional.app.running import RegionProcess, metrics_of, region_process, stand_ins
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from repartee_edge import tickets

ACME, OTHER = "sk-acme", "sk-other"
PLACES = {"near": -77, "far": -72}
SLOTS = 6


@pytest.fixture(scope="module")
def providers() -> Iterator[dict[str, str]]:
    with stand_ins() as variables:
        yield variables


@dataclass(frozen=True)
class System:
    """Two regions by name, and the authority of the edge before them."""

    regions: dict[str, RegionProcess]
    edge: str

    async def taken(self) -> int:
        """Calls in both regions."""
        figures = [await metrics_of(each.http) for each in self.regions.values()]
        return int(sum(each["repartee_calls_active"] for each in figures))

    @asynccontextmanager
    async def calling(self, key: str, **options: Any) -> AsyncIterator[ClientConnection]:
        options = {"additional_headers": {"Authorization": f"Bearer {key}"}, **options}
        async with connect(f"ws://{self.edge}/v1/voice/session", open_timeout=DEADLINE_S, **options) as call:
            assert json.loads(await call.recv())["type"] == "session.created"
            yield call

    async def lets_in(self, key: str, **options: Any) -> None:
        """Calls until one gets in: the slots of calls that have just ended are free a moment later."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                try:
                    async with self.calling(key, **options):
                        return
                except websockets.InvalidStatus as refused:
                    assert refused.response.status_code == 429

    async def refusal(self, key: str, **options: Any) -> int:
        with pytest.raises(websockets.InvalidStatus) as refused:
            async with self.calling(key, **options):
                pass
        return int(refused.value.response.status_code)


def region_of(call: ClientConnection) -> str:
    assert call.response is not None
    return str(call.response.headers["x-repartee-region"])


@asynccontextmanager
async def system(
    start_selfhosted: StartEdge, environments: dict[str, dict[str, str]], **settings: str
) -> AsyncIterator[System]:
    async with AsyncExitStack() as stack:
        regions = {}
        for name, environment in environments.items():
            own = {
                "REPARTEE_REGION": name,
                "REPARTEE_TICKET_KEY": TICKET_KEY,
                "REPARTEE_MAX_CALLS": str(SLOTS),
                "REPARTEE_WARM_CALLS": "1",
            }
            regions[name] = stack.enter_context(region_process(environment | own))
        table = [
            {"name": name, "latitude": 39, "longitude": PLACES[name], "host": each.http, "enabled": True}
            for name, each in regions.items()
        ]
        edge = await start_selfhosted(
            {
                "REPARTEE_API_KEY": f"acme:{ACME},other:{OTHER}",
                "REPARTEE_TICKET_KEY": TICKET_KEY,
                "REPARTEE_REGIONS": json.dumps({"regions": table}),
                "REPARTEE_EDGE_COLO": "IAD",
                "REPARTEE_EDGE_PROBE_S": "1",
                **settings,
            }
        )
        async with asyncio.timeout(DEADLINE_S), httpx.AsyncClient(timeout=DEADLINE_S) as http:
            while len((await http.get(f"http://{edge}/readyz")).json()["regions_up"]) < len(regions):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        yield System(regions, edge)


async def many(running: System, stack: AsyncExitStack, key: str, count: int, **options: Any) -> list[int]:
    """So many calls at once; those that get in stay. The status of each."""

    async def one() -> int:
        try:
            await stack.enter_async_context(running.calling(key, **options))
        except websockets.InvalidStatus as refused:
            return int(refused.response.status_code)
        return 101

    return await asyncio.gather(*(one() for _ in range(count)))


async def test_one_browser_token_cannot_take_all_slots_of_two_regions(
    start_selfhosted: StartEdge, providers: dict[str, str]
) -> None:
    async with system(start_selfhosted, dict.fromkeys(PLACES, providers)) as running:
        keys = tickets.TicketKeys(TICKET_KEY)
        token = tickets.sign_client_secret(keys, subject="acme", now=time.time())
        offered = [Subprotocol(f"openai-insecure-api-key.{token}"), Subprotocol("realtime")]
        browser: dict[str, Any] = {"subprotocols": offered, "additional_headers": {}}
        async with AsyncExitStack() as calls:
            found = await many(running, calls, "", 2 * SLOTS + 4, **browser)
            assert found.count(101) == 2 and found.count(429) == len(found) - 2
            # Straight at the regions, with the tickets that the edge gives it: two calls in each, no more.
            async with httpx.AsyncClient(base_url=f"http://{running.edge}", timeout=DEADLINE_S) as http:
                for _ in range(2 * SLOTS):
                    given = (
                        await http.post("/v1/voice/session", headers={"Authorization": f"Bearer {token}"})
                    ).json()
                    ticket = {"Authorization": f"Bearer {given['token']}"}
                    try:
                        await calls.enter_async_context(
                            connect(given["url"], additional_headers=ticket, open_timeout=DEADLINE_S)
                        )
                    except websockets.InvalidStatus as refused:
                        assert refused.response.status_code == 429
            assert await running.taken() <= 4
            async with running.calling(OTHER), running.calling(ACME):
                pass
        await running.lets_in("", **browser)


async def test_one_key_cannot_take_all_slots_of_two_regions(
    start_selfhosted: StartEdge, providers: dict[str, str]
) -> None:
    limit = 2 * SLOTS - 2
    env = dict.fromkeys(PLACES, providers)
    async with system(start_selfhosted, env, REPARTEE_CALLS_PER_KEY=str(limit)) as running:
        async with AsyncExitStack() as calls:
            found = await many(running, calls, ACME, 2 * SLOTS + 4)
            assert found.count(101) == limit and found.count(429) == len(found) - limit
            assert await running.taken() == limit
            async with running.calling(OTHER):
                assert await running.refusal(ACME) == 429
        await running.lets_in(ACME)


class Recogniser:
    """Flux, as far as a pool meets it. While it ``refuses``, it takes nobody and drops whom it has."""

    def __init__(self) -> None:
        self.refuses = False
        self.open: set[ServerConnection] = set()

    def answer(self, _connection: ServerConnection, _request: Request) -> Response | None:
        if not self.refuses:
            return None
        return Response(402, HTTPStatus(402).phrase, Headers({"content-length": "2"}), b"no")

    async def handle(self, connection: ServerConnection) -> None:
        self.open.add(connection)
        await connection.send(json.dumps({"type": "Connected", "request_id": "a", "sequence_id": 1}))
        await connection.wait_closed()
        self.open.discard(connection)

    async def fail(self) -> None:
        self.refuses = True
        await asyncio.gather(*(connection.close(1011, "internal") for connection in list(self.open)))


async def test_callers_reach_the_other_region_while_one_has_no_recogniser(
    start_selfhosted: StartEdge, providers: dict[str, str]
) -> None:
    recogniser = Recogniser()
    async with serve(recogniser.handle, "127.0.0.1", 0, process_request=recogniser.answer) as server:
        url = f"http://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
        env = {"near": {**providers, "DEEPGRAM_BASE_URL": url}, "far": providers}
        async with (
            system(start_selfhosted, env) as running,
            httpx.AsyncClient(base_url=f"http://{running.edge}", timeout=DEADLINE_S) as http,
        ):
            async with running.calling(ACME) as call:
                assert region_of(call) == "near"
            await recogniser.fail()
            for _ in range(SLOTS):
                async with running.calling(ACME) as call:
                    assert json.loads(await _silence_answered(call))["type"]
            await _until_chosen(http, "far")
            async with running.calling(ACME) as call:
                assert region_of(call) == "far"
            async with asyncio.timeout(DEADLINE_S):
                while (await http.get("/readyz")).json()["regions_up"] != ["far"]:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            recogniser.refuses = False
            await _until_chosen(http, "near")


async def _chosen(http: httpx.AsyncClient) -> str | None:
    answer = await http.post("/v1/voice/session", headers={"Authorization": f"Bearer {ACME}"})
    region: str | None = answer.json().get("region")
    return region


async def _until_chosen(http: httpx.AsyncClient, name: str) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while await _chosen(http) != name:  # noqa: ASYNC110 (the edge tells only when it is asked)
            await asyncio.sleep(0.05)


async def _silence_answered(call: ClientConnection) -> str | bytes:
    """The session works: it answers an event."""
    await call.send(json.dumps({"type": "session.update", "session": {"type": "realtime"}}))
    return await call.recv()


async def test_long_and_many_headers_of_one_browser_take_the_regions_from_nobody(
    start_selfhosted: StartEdge, providers: dict[str, str]
) -> None:
    async with system(start_selfhosted, dict.fromkeys(PLACES, providers)) as running:
        keys = tickets.TicketKeys(TICKET_KEY)
        token = tickets.sign_client_secret(keys, subject="acme", now=time.time())
        offered = [Subprotocol(f"openai-insecure-api-key.{token}"), Subprotocol("realtime")]
        passed_on = ("user-agent", "accept-language", "traceparent", "tracestate", "openai-beta")
        async with httpx.AsyncClient(base_url=f"http://{running.edge}", timeout=DEADLINE_S) as http:
            for attempt in range(6):
                # Each passes at the edge; with the ticket that the edge adds, they may be too much for a region.
                lengths = (9_000, 8_150, 8_000, 5_000)
                headers = [
                    (name, "a" * (lengths[attempt % 4] - len(name))) for name in passed_on for _ in range(2)
                ]
                try:
                    async with connect(
                        f"ws://{running.edge}/v1/voice/session?a={'a' * 8_000}",
                        subprotocols=offered,
                        additional_headers=headers[: 7 + attempt],
                        user_agent_header=None,
                    ):
                        pass
                except websockets.InvalidStatus as refused:
                    assert refused.response.status_code in (400, 414, 431)
                ready = await http.get("/readyz")
                assert (ready.status_code, ready.json()["regions_up"]) == (200, ["near", "far"])
                assert await _chosen(http) == "near"


async def test_no_spelling_shows_a_regions_metrics_at_the_edge(
    start_selfhosted: StartEdge, providers: dict[str, str]
) -> None:
    async with system(start_selfhosted, {"near": providers}) as running:
        for path in OUT_OF_THE_FOLDER:
            head = f"GET {path} HTTP/1.1\r\nhost: {running.edge}\r\nconnection: close\r\n\r\n"
            answer = await answer_to(running.edge, head)
            assert answer.startswith("HTTP/1.1 404 ") and "repartee_" not in answer, path
        page = await answer_to(
            running.edge, f"GET / HTTP/1.1\r\nhost: {running.edge}\r\nconnection: close\r\n\r\n"
        )
        assert page.startswith("HTTP/1.1 200 ")


async def test_a_model_that_no_region_has_takes_no_region_from_others(
    start_selfhosted: StartEdge, providers: dict[str, str]
) -> None:
    async with (
        system(start_selfhosted, dict.fromkeys(PLACES, providers)) as running,
        httpx.AsyncClient(base_url=f"http://{running.edge}", timeout=DEADLINE_S) as http,
    ):
        for model in ("nonsense", "gpt-realtime", "a" * 3_000):
            for _ in range(3):
                headers = {"Authorization": f"Bearer {OTHER}"}
                with contextlib.suppress(websockets.InvalidStatus):
                    async with connect(
                        f"ws://{running.edge}/v1/realtime?model={model}", additional_headers=headers
                    ):
                        pass
                assert await _chosen(http) == "near"
