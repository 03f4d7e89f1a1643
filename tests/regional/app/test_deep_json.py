"""Callers who nest JSON deeply, over real sockets: they are told so, their calls go on, and others are served."""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator
from typing import Any

import jwt
import pytest
from tests.promptness import DEADLINE_S
from tests.regional.app.running import TICKET_KEY, Region, calling, region
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import InvalidStatus

from repartee_edge.tickets import ISSUER, key_id

TOOLS = '"tools":[{"type":"function","name":"look","parameters":{"type":"object","const":%s}}]'
"""A schema's constant may be anything, in four levels of the session."""
UPDATE = '{"type":"session.update","session":{"type":"realtime",' + TOOLS + "}}"


@pytest.fixture
async def worker(providers: dict[str, str]) -> AsyncIterator[Region]:
    settings = {**providers, "REPARTEE_TICKET_KEY": TICKET_KEY, "REPARTEE_REGION": "here"}
    async with region(settings) as running:
        yield running


def nested(levels: int) -> str:
    return "[" * levels + "]" * levels


def ticket(number: int, session: str) -> dict[str, str]:
    """A ticket of our own key with these settings, which ``sign`` would not write."""
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": "here", "sub": "a key", "jti": str(number), "iat": now, "exp": now + 60}
    payload = f'{json.dumps(claims)[:-1]}, "ses": {session}}}'.encode()
    token = jwt.PyJWS().encode(payload, TICKET_KEY, algorithm="HS256", headers={"kid": key_id(TICKET_KEY)})
    return {"x-repartee-ticket": token}


async def event(websocket: ClientConnection, *types: str) -> dict[str, Any]:
    """The next event of one of these types."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            said: dict[str, Any] = json.loads(await websocket.recv())
            if said["type"] in types:
                return said


async def test_an_event_of_64_levels_passes_and_a_deeper_one_is_an_error_of_its_own(worker: Region) -> None:
    async with calling(worker.url) as hostile, calling(worker.url) as other:
        await event(hostile, "session.created")
        await event(other, "session.created")
        for levels, kind in (
            (64, None),
            (65, "event_too_deep"),
            (8000, "event_too_deep"),
            (200_000, "event_too_deep"),
        ):
            await hostile.send(UPDATE % nested(levels - 5))
            said = await event(hostile, "error", "session.updated")
            assert said.get("error", {}).get("code") == kind
            if kind:
                assert "64 levels" in said["error"]["message"]
            for caller in (hostile, other):
                await caller.send(UPDATE % "null")
                assert (await event(caller, "error", "session.updated"))["type"] != "error"


async def test_a_ticket_of_64_levels_passes_and_a_deeper_one_is_refused_in_words(worker: Region) -> None:
    instructions = '{"type":"realtime","instructions":"Sing.",' + TOOLS + "}"
    async with calling(worker.url, additional_headers=ticket(1, instructions % nested(64 - 5))) as websocket:
        assert (await event(websocket, "session.created"))["session"]["instructions"] == "Sing."
        for number, levels in enumerate((65 - 5, 2500), 2):
            headers = ticket(number, instructions % nested(levels))
            with pytest.raises(InvalidStatus) as refused:
                async with calling(worker.url, additional_headers=headers):
                    pass
            assert refused.value.response.status_code == 401
            said = json.loads(refused.value.response.body or b"")["error"]
            assert said["code"] == "ticket_malformed"
            assert "deeper than 64 levels" in said["message"]
        await websocket.send(UPDATE % "null")
        await event(websocket, "session.updated")


async def test_callers_who_are_refused_write_nothing_to_the_log(
    worker: Region, caplog: pytest.LogCaptureFixture
) -> None:
    for headers in ({"x-repartee-ticket": "no.tick.et"}, {"Origin": "https://elsewhere.example"}) * 5:
        with pytest.raises(InvalidStatus) as refused:
            async with calling(worker.url, additional_headers=headers):
                pass
        assert refused.value.response.status_code in (401, 403)
        assert refused.value.response.body
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []
