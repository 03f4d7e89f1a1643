"""Who gets in: slots under a rush, tickets in all their forms and with all their faults."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import httpx
import pytest
from tests.promptness import DEADLINE_S
from tests.regional.app.running import TICKET_KEY, Region, calling, region, until
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from repartee.agent.agent import Agent
from repartee.agent.context import CallContext
from repartee.app.admission import Slots, TicketGate, ticket_in
from repartee.errors import AdmissionRefused
from repartee_edge.tickets import SeenTickets, TicketError, TicketKeys, sign

KEYS = TicketKeys(TICKET_KEY)
HERE = "eu-west"


def ticket(**changes: object) -> str:
    told = {"region": HERE, "subject": "key_1", "now": time.time(), **changes}
    keys = told.pop("keys", KEYS)
    return sign(keys, **told)  # type: ignore[arg-type]


async def refusal(url: str, headers: Mapping[str, str] | None = None) -> tuple[int, str, str | None]:
    """Status, error code and Retry-After of an upgrade that is refused."""
    with pytest.raises(InvalidStatus) as caught:
        async with calling(url, additional_headers=headers):
            pass
    response = caught.value.response
    body = response.body.decode()
    return response.status_code, body, response.headers.get("Retry-After")


# --- slots -------------------------------------------------------------------------------------------------------


def test_a_slot_is_taken_for_as_long_as_it_is_held() -> None:
    slots = Slots(1)
    with slots.one():
        with pytest.raises(AdmissionRefused, match="full"), slots.one():
            pass
        assert repr(slots) == "<Slots: 1 of 1>"
    with slots.one():
        pass


def test_a_slot_comes_back_whatever_happens() -> None:
    slots = Slots(1)
    with pytest.raises(RuntimeError), slots.one():
        raise RuntimeError
    assert slots.taken == 0


def test_none_are_given_while_draining() -> None:
    slots = Slots(5)
    slots.draining = True
    with pytest.raises(AdmissionRefused, match="being replaced"), slots.one():
        pass


async def test_a_rush_fills_the_slots_and_not_one_more(providers: dict[str, str]) -> None:
    async with region({**providers, "REPARTEE_MAX_CALLS": "50"}) as worker:
        accepted, answers, over = asyncio.Event(), Counter[str](), asyncio.Event()

        async def caller() -> None:
            try:
                async with calling(worker.url, open_timeout=DEADLINE_S) as websocket:
                    await websocket.recv()
                    answers["accepted"] += 1
                    accepted.set()
                    await over.wait()
            except InvalidStatus as error:
                assert error.response.status_code == 503
                assert int(error.response.headers["Retry-After"]) >= 1
                answers["refused"] += 1
                refused_by.append(time.monotonic())

        refused_by: list[float] = []
        began = time.monotonic()
        callers = [asyncio.create_task(caller()) for _ in range(500)]
        await until(lambda: answers.total() == 500)
        assert answers == {"accepted": 50, "refused": 450}
        assert max(refused_by) - began < 5
        figures = await worker.metrics()
        assert figures["repartee_calls_active"] == figures["repartee_call_slots"] == 50
        assert figures['repartee_calls_total{outcome="refused"}'] == 450
        over.set()
        await asyncio.gather(*callers)
        await worker.until_idle()
        async with calling(worker.url) as websocket:
            await websocket.recv()


async def test_a_caller_who_turns_away_at_once_costs_no_slot(providers: dict[str, str]) -> None:
    async with region({**providers, "REPARTEE_MAX_CALLS": "2"}) as worker:
        for _ in range(10):
            _, writer = await asyncio.open_connection("127.0.0.1", worker.port)
            writer.write(
                b"GET /v1/voice/session HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
            )
            await writer.drain()
            writer.transport.abort()
        await worker.until_idle()
        async with calling(worker.url), calling(worker.url):
            pass


# --- tickets, one by one -----------------------------------------------------------------------------------------


def gate(*, allow_anonymous: bool = False, keys: TicketKeys | None = KEYS) -> TicketGate:
    return TicketGate(HERE, keys, allow_anonymous, SeenTickets())


@pytest.mark.parametrize(
    ("headers", "subprotocols", "token"),
    [
        ({"x-repartee-ticket": "a"}, [], "a"),
        ({"authorization": "Bearer a"}, [], "a"),
        ({"authorization": "bearer  a "}, [], "a"),
        ({}, ["realtime", "openai-insecure-api-key.a"], "a"),
        ({"x-repartee-ticket": "a", "authorization": "Bearer b"}, ["openai-insecure-api-key.c"], "a"),
        ({"authorization": "Basic a"}, [], None),
        ({"authorization": "Bearer"}, [], None),
        ({}, ["realtime"], None),
    ],
)
def test_where_a_ticket_may_be(headers: dict[str, str], subprotocols: list[str], token: str | None) -> None:
    assert ticket_in(headers, subprotocols) == token


def test_a_ticket_lets_in_once() -> None:
    checked, token = gate(), ticket()
    let_in = checked.check({"x-repartee-ticket": token}, [], time.time())
    assert let_in is not None
    assert let_in.subject == "key_1"
    with pytest.raises(TicketError) as caught:
        checked.check({"x-repartee-ticket": token}, [], time.time())
    assert caught.value.reason == "replayed"


def test_without_a_key_only_anonymous_callers_are_possible() -> None:
    assert gate(allow_anonymous=True, keys=None).check({"authorization": "Bearer dev"}, [], 0.0) is None
    with pytest.raises(TicketError):
        gate(keys=None).check({"authorization": "Bearer dev"}, [], 0.0)


# --- tickets, over a socket --------------------------------------------------------------------------------------

BAD: dict[str, Callable[[], str]] = {
    "malformed": lambda: "not.a.ticket",
    "forged": lambda: ticket(keys=TicketKeys("another key that is also long enough, surely")),
    "expired": lambda: ticket(now=time.time() - 3_600),
    "wrong_region": lambda: ticket(region="us-east"),
}


@pytest.fixture
async def guarded(providers: dict[str, str]) -> AsyncIterator[Region]:
    settings = {**providers, "REPARTEE_TICKET_KEY": TICKET_KEY, "REPARTEE_REGION": HERE}
    async with region(settings, allow_anonymous=False) as worker:
        yield worker


async def test_bad_tickets_are_refused_and_counted(guarded: Region) -> None:
    for reason, make in BAD.items():
        status, body, _ = await refusal(guarded.url, {"x-repartee-ticket": make()})
        assert (status, f"ticket_{reason}" in body) == (401, True)
    assert (await refusal(guarded.url))[0] == 401
    figures = await guarded.metrics()
    counted = {reason: figures[f'repartee_tickets_refused_total{{reason="{reason}"}}'] for reason in BAD}
    assert counted == {"malformed": 2, "forged": 1, "expired": 1, "wrong_region": 1}
    assert guarded.worker.slots.taken == 0


async def test_a_ticket_used_twice_is_refused_and_counted(guarded: Region) -> None:
    headers = {"x-repartee-ticket": ticket()}
    async with calling(guarded.url, additional_headers=headers):
        status, body, _ = await refusal(guarded.url, headers)
        assert (status, "ticket_replayed" in body) == (401, True)
    assert (await guarded.metrics())['repartee_tickets_refused_total{reason="replayed"}'] == 1


async def test_a_ticket_works_as_header_bearer_and_subprotocol(guarded: Region) -> None:
    async with calling(guarded.url, additional_headers={"x-repartee-ticket": ticket()}) as websocket:
        await websocket.recv()
    async with calling(guarded.url, additional_headers={"Authorization": f"Bearer {ticket()}"}) as websocket:
        await websocket.recv()
    offered = [Subprotocol("realtime"), Subprotocol(f"openai-insecure-api-key.{ticket()}")]
    async with calling(guarded.url, subprotocols=offered) as websocket:
        assert websocket.subprotocol == "realtime"
        await websocket.recv()


async def test_the_key_before_still_lets_in(providers: dict[str, str]) -> None:
    settings = {
        **providers,
        "REPARTEE_TICKET_KEY": "the new key, which is long enough too, as it must be",
        "REPARTEE_TICKET_KEY_PREVIOUS": TICKET_KEY,
        "REPARTEE_REGION": HERE,
    }
    async with (
        region(settings, allow_anonymous=False) as worker,
        calling(worker.url, additional_headers={"x-repartee-ticket": ticket()}) as websocket,
    ):
        await websocket.recv()


async def test_a_ticket_brings_words_about_the_call_and_settings(providers: dict[str, str]) -> None:
    agent, known = Agent(instructions="Be kind."), list[tuple[Mapping[str, Any], Mapping[str, Any]]]()

    @agent.on_call_start
    async def note(context: CallContext) -> None:
        known.append((context.verified, context.metadata))

    settings = {**providers, "REPARTEE_TICKET_KEY": TICKET_KEY, "REPARTEE_REGION": HERE}
    told = {"customer": "8", "plan": "gold"}
    token = ticket(metadata={"customer": "7"}, session={"instructions": "From the edge.", "metadata": told})
    async with (
        region(settings, allow_anonymous=False, agent=agent) as worker,
        calling(worker.url, additional_headers={"x-repartee-ticket": token}) as websocket,
    ):
        session = json.loads(await websocket.recv())["session"]
    assert known == [({"customer": "7"}, {"customer": "7", "plan": "gold"})]
    assert "metadata" not in session, "OpenAI's sessions have none"
    assert session["instructions"] == "From the edge."


async def test_a_region_gives_no_tokens_unless_anonymous_callers_are_let_in(guarded: Region) -> None:
    async with httpx.AsyncClient() as client:
        for path in ("/v1/voice/session", "/v1/realtime/client_secrets"):
            assert (await client.post(guarded.http + path)).status_code == 401


async def test_anonymous_callers_are_given_tokens_that_work(providers: dict[str, str]) -> None:
    settings = {**providers, "REPARTEE_TICKET_KEY": TICKET_KEY}
    async with region(settings) as worker, httpx.AsyncClient() as client:
        told = (await client.post(f"{worker.http}/v1/voice/session")).json()
        assert told.keys() == {"url", "token", "region", "expires_at"}
        assert told["url"] == worker.url
        async with calling(told["url"], additional_headers={"Authorization": f"Bearer {told['token']}"}):
            pass
        secret = (await client.post(f"{worker.http}/v1/realtime/client_secrets")).json()
        assert secret["value"]
