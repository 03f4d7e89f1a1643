"""A recogniser that goes on speaking of a turn and never ends it: the next one hears the turn, and it is answered."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from tests.promptness import DEADLINE_S
from tests.regional.app.running import calling, region, speech, stand_ins
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from repartee.providers import socket_transcriber

REPEATED_S = 0.25
SILENCE = bytes(960)
FASTER = 4
"""A client may send faster than it speaks; what the rule counts is audio."""


def turn_info(event: str, words: str) -> str:
    return json.dumps({"type": "TurnInfo", "event": event, "transcript": words})


@asynccontextmanager
async def drifting() -> AsyncIterator[str]:
    """A server that greets as Flux does, hears a turn begin, and from then on says the same of it for ever."""

    async def session(connection: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            await connection.send(json.dumps({"type": "Connected"}))
            async for message in connection:
                if isinstance(message, bytes) and any(message):
                    break
            await connection.send(turn_info("StartOfTurn", "Can"))
            reading = asyncio.create_task(_read(connection))
            try:
                while True:
                    await connection.send(turn_info("Update", "Can you"))
                    await asyncio.sleep(REPEATED_S)
            finally:
                reading.cancel()

    async with serve(session, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"


async def _read(connection: ServerConnection) -> None:
    with suppress(ConnectionClosed):
        async for _ in connection:
            pass


async def test_its_turn_is_heard_by_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        socket_transcriber, "GRACE_S", -2.0
    )  # of Flux's 5 s: the test takes no longer than it must
    with stand_ins() as environment:
        async with drifting() as url:
            settings = {**environment, "DEEPGRAM_BASE_URL": url, "REPARTEE_STT": "flux,ink-2"}
            async with (
                region(settings) as worker,
                calling(f"{worker.url}?audio=binary&events=repartee") as call,
            ):
                speaking = asyncio.create_task(_speak(call))
                try:
                    async with asyncio.timeout(DEADLINE_S):
                        served = await _served(call)
                finally:
                    speaking.cancel()
            assert served == "cartesia/ink-2"


async def _speak(call: Any) -> None:
    pcm = speech(1_000)
    for start in range(0, len(pcm), 960):
        await call.send(pcm[start : start + 960])
        await asyncio.sleep(0.02)
    while True:
        await call.send(SILENCE)
        await asyncio.sleep(0.02 / FASTER)


async def _served(call: Any) -> str:
    """Who heard the turn that was answered."""
    async for message in call:
        if not isinstance(message, bytes):
            event = json.loads(message)
            if event["type"] == "repartee.turn.latency":
                return str(event["providers"]["stt"])
    raise AssertionError("the call ended")
