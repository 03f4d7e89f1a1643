"""Below the events: binary audio, frames too long, text that is none."""

import asyncio
import json

import pytest
from tests.promptness import DEADLINE_S
from tests.regional.app.running import Region, calling, speech
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_binary_audio_both_ways(worker: Region) -> None:
    async with calling(f"{worker.url}?audio=binary") as websocket:
        audio = speech(500) + bytes(48 * 600)
        for start in range(0, len(audio), 960):
            await websocket.send(audio[start : start + 960])
            await asyncio.sleep(0.02)
        heard, types = bytearray(), []
        async with asyncio.timeout(DEADLINE_S):
            while "response.done" not in types:
                frame = await websocket.recv()
                if isinstance(frame, bytes):
                    heard += frame
                else:
                    types.append(json.loads(frame)["type"])
        assert len(heard) > 24_000
        assert len(heard) % 2 == 0
        assert "response.output_audio.delta" not in types
        assert "response.output_audio.done" in types


async def test_both_paths_lead_to_the_same_session(worker: Region) -> None:
    for path in ("/v1/voice/session", "/v1/realtime"):
        async with calling(f"ws://127.0.0.1:{worker.port}{path}?model=mine") as websocket:
            session = json.loads(await websocket.recv())["session"]
            assert (session["type"], session["model"]) == ("realtime", "mine")


async def test_a_frame_beyond_all_measure_closes_the_socket(worker: Region) -> None:
    # Not as a context: leaving it would abort a transport that asyncio has torn down already, which raises.
    websocket = await connect(worker.url)
    await websocket.recv()
    with pytest.raises(ConnectionClosedError):
        await websocket.send("x" * (31 * 1024 * 1024))
        while True:
            await websocket.recv()
    assert websocket.close_code == 1009
    await worker.until_idle()


async def test_text_that_is_not_utf_8_closes_the_socket(worker: Region) -> None:
    async with calling(worker.url) as websocket:
        await websocket.recv()
        with pytest.raises(ConnectionClosedError):
            await websocket.send(b"\xff\xfe{}", text=True)
            while True:
                await websocket.recv()
        assert websocket.close_code == 1007
    await worker.until_idle()


async def test_a_crowd_that_comes_and_goes_leaves_nothing(worker: Region) -> None:
    async def visit() -> None:
        async with calling(worker.url) as websocket:
            await websocket.recv()

    for _ in range(5):
        await asyncio.gather(*(visit() for _ in range(20)))
    await worker.until_idle()
    assert (await worker.metrics())["repartee_calls_active"] == 0
