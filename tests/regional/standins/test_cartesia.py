"""Cartesia's stand-in through Cartesia's own SDK, over a real socket, in the light mode."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from cartesia import AsyncCartesia
from tests.promptness import DEADLINE_S
from websockets.exceptions import ConnectionClosed, InvalidStatus

from repartee.standins import cartesia as standin
from repartee.standins.pcm import peak
from repartee.standins.server import Running, StandInSettings, serve

Client = Callable[..., AbstractAsyncContextManager[AsyncCartesia]]
FORMAT = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 24000}
CONTEXT: dict[str, Any] = {
    "model_id": "sonic-3",
    "voice": {"mode": "id", "id": "someone"},
    "output_format": FORMAT,
    "max_buffer_delay_ms": 0,
}


@asynccontextmanager
async def connected(client: AsyncCartesia) -> AsyncIterator[Any]:
    connection = await client.tts.websocket_connect(
        websocket_connection_options={"compression": None}
    ).enter()
    try:
        yield connection
    finally:
        await connection.close()


async def receive(context: Any) -> list[Any]:
    async with asyncio.timeout(DEADLINE_S):
        return [message async for message in context.receive()]


def audio(messages: list[Any]) -> bytes:
    return b"".join(message.audio for message in messages if message.type == "chunk")


async def test_text_in_pieces_becomes_audio_and_word_times(running: Running, cartesia: Client) -> None:
    async with cartesia(running) as client, connected(client) as connection:
        context = connection.context(**CONTEXT, add_timestamps=True)
        await context.push("We open at eight thirty.")
        await context.push(" On weekdays we are here until six.")
        await context.no_more_inputs()
        messages = await receive(context)
    assert messages[-1].type == "done"
    pcm = audio(messages)
    assert len(pcm) / 48000 == pytest.approx(58 * 0.062, abs=0.1)
    assert peak(pcm[:480]) > 1000
    words = [m.word_timestamps for m in messages if m.type == "timestamps"]
    assert [word for times in words for word in times.words][:6] == [
        "We",
        "open",
        "at",
        "eight",
        "thirty.",
        "On",
    ]
    starts = [start for times in words for start in times.start]
    assert starts == sorted(starts)
    assert words[-1].end[-1] == pytest.approx(len(pcm) / 48000, abs=0.05)


@pytest.mark.parametrize(
    ("encoding", "rate_hz", "sample_bytes"),
    [("pcm_f32le", 44100, 4), ("pcm_mulaw", 8000, 1), ("pcm_alaw", 8000, 1), ("pcm_s16le", 48000, 2)],
)
async def test_raw_formats(
    running: Running, cartesia: Client, encoding: str, rate_hz: int, sample_bytes: int
) -> None:
    async with cartesia(running) as client, connected(client) as connection:
        output = {"container": "raw", "encoding": encoding, "sample_rate": rate_hz}
        context = connection.context(**CONTEXT | {"output_format": output})
        await context.push("We open at eight thirty.")
        await context.no_more_inputs()
        messages = await receive(context)
    assert len(audio(messages)) / rate_hz / sample_bytes == pytest.approx(24 * 0.062, abs=0.01)


async def test_a_flush_is_confirmed_after_its_audio(running: Running, cartesia: Client) -> None:
    async with cartesia(running) as client, connected(client) as connection:
        context = connection.context(**CONTEXT | {"max_buffer_delay_ms": 3000})
        await context.push("No end of a sentence", flush=True)
        await context.push("and more")
        await context.no_more_inputs()
        messages = await receive(context)
    kinds = [message.type for message in messages]
    flushed = kinds.index("flush_done")
    assert messages[flushed].flush_id == 1
    assert {message.flush_id for message in messages[:flushed]} == {1}
    assert {m.flush_id for m in messages[flushed + 1 :] if m.type == "chunk"} == {2}


async def test_text_is_buffered_up_to_a_sentence_or_the_delay(running: Running, cartesia: Client) -> None:
    async with cartesia(running) as client, connected(client) as connection:
        context = connection.context(**CONTEXT | {"max_buffer_delay_ms": 150}, add_timestamps=True)
        for text in ("Half past", " three.", " And then"):
            await context.push(text)
        await asyncio.sleep(0.3)
        await context.push(" goodbye")
        await context.no_more_inputs()
        words = [m.word_timestamps.words for m in await receive(context) if m.type == "timestamps"]
    assert words == [["Half", "past", "three."], ["And", "then"], ["goodbye"]]


async def test_contexts_share_a_socket_and_a_cancelled_one_falls_silent(cartesia: Client) -> None:
    async with (
        serve(StandInSettings(profile="budget", light=True)) as running,
        cartesia(running) as client,
        connected(client) as connection,
    ):
        for number in range(10):
            await connection.send(request(f"c{number}", "We open at eight thirty."))
        await connection.send({"cancel": True, "context_id": "c3"})
        seen: dict[str, list[Any]] = {}
        async with asyncio.timeout(DEADLINE_S):
            while sum(messages[-1].type == "done" for messages in seen.values()) < 9:
                message = await connection.recv()
                seen.setdefault(message.context_id, []).append(message)
        assert "c3" not in seen
        assert running.state.stats.of("cartesia").cancelled == 1


def request(context_id: str, text: str, **more: Any) -> dict[str, Any]:
    return {**CONTEXT, "context_id": context_id, "transcript": text, "continue": False, **more}


async def test_audio_is_paced_as_the_profile_says(cartesia: Client) -> None:
    async with (
        serve(StandInSettings(profile="budget", light=True)) as running,
        cartesia(running) as client,
        connected(client) as connection,
    ):
        started = time.monotonic()
        await connection.send(request("c", "We open at eight thirty."))
        times = []
        async with asyncio.timeout(DEADLINE_S):
            while (message := await connection.recv()).type != "done":
                times.append(time.monotonic() - started)
                assert message.context_id == "c"
    assert times[0] >= 0.099
    assert times[-1] >= 0.099 + 1.3 / 4


async def test_a_context_without_more_text_expires(running: Running, cartesia: Client) -> None:
    async with cartesia(running) as client, connected(client) as connection:
        await connection.send(request("c", "Wait.") | {"continue": True})
        async with asyncio.timeout(DEADLINE_S):
            while (message := await connection.recv()).type != "done":
                assert message.type == "chunk"


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"voice": "someone"}, "voice"),
        ({"model_id": "parrot"}, "model_id"),
        ({"output_format": FORMAT | {"sample_rate": 12345}}, "sample_rate"),
        ({"output_format": {"container": "mp3"}}, "output_format"),
        ({"max_buffer_delay_ms": 9000}, "max_buffer_delay_ms"),
        ({"transcript": None}, "transcript"),
    ],
)
async def test_mistakes_are_answered(
    running: Running, cartesia: Client, changes: dict[str, Any], complaint: str
) -> None:
    async with cartesia(running) as client, connected(client) as connection:
        await connection._connection.send(json.dumps(request("c", "Hello.") | changes))
        async with asyncio.timeout(DEADLINE_S):
            error = await connection.recv()
    assert (error.type, error.status_code, error.context_id) == ("error", 400, "c")
    assert complaint in error.message


async def test_a_bad_key_and_a_missing_version_are_refused(running: Running, cartesia: Client) -> None:
    async with cartesia(running, "bad-key") as client:
        with pytest.raises(InvalidStatus) as caught:
            await client.tts.websocket_connect().enter()
        assert caught.value.response.status_code == 401
    async with cartesia(running) as client:
        with pytest.raises(InvalidStatus) as unversioned:
            await client.tts.websocket_connect(extra_headers={"cartesia-version": ""}).enter()
        assert unversioned.value.response.status_code == 400


async def test_an_idle_socket_is_closed(
    running: Running, cartesia: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standin, "IDLE_S", 0.1)
    async with cartesia(running) as client, connected(client) as connection:
        with pytest.raises(ConnectionClosed):
            async with asyncio.timeout(DEADLINE_S):
                await connection.recv()
