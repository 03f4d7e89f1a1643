"""Whatever one caller sends, nobody else waits long: timed from another process, straight at a region."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from tests.promptness import DEADLINE_S, measured
from tests.regional.app.processes.test_parent import until_ready
from tests.regional.app.running import RegionProcess, calling, region_process
from websockets.asyncio.client import ClientConnection
from websockets.frames import Frame, Opcode

WAIT_MS = 250
"""How long another caller may wait."""

MEGABYTE = 1_000_000
GROWTH_MB = 30
"""How much a region may grow by one call that sends 400 MB: 2 MB of it are kept, one item is under way."""

pytestmark = pytest.mark.timeout(5 * DEADLINE_S)


def item(text: str) -> str:
    """A text item of the caller's, as an event."""
    content = [{"type": "input_text", "text": text}]
    message = {"type": "message", "role": "user", "content": content}
    return json.dumps({"type": "conversation.item.create", "item": message})


HANDSHAKE = (
    b"GET /v1/voice/session?audio=binary HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
ITEM = Frame(Opcode.TEXT, item("a").encode()).serialize(mask=True)
EMPTY = b"\x82\x80\0\0\0\0"
PING = b"\x89\x80\0\0\0\0"
FLOODS = {
    "30,000 items of a letter": (ITEM * 300, 100),
    "9 MB of empty frames": (EMPTY * 15_000, 100),
    "300,000 pings": (PING * 10_000, 30),
}
"""What a caller writes, and how often."""


@pytest.fixture(scope="module", params=[1, 2], ids=["one process", "two processes"])
def workers(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture(scope="module")
def region(workers: int, providers: dict[str, str]) -> Iterator[RegionProcess]:
    with region_process(providers, "--allow-anonymous", "--workers", str(workers)) as running:
        asyncio.run(until_ready(running))
        yield running


@asynccontextmanager
async def others(region: RegionProcess, calls: int) -> AsyncIterator[dict[str, Any]]:
    """Callers of another process, one in each process of the region; how they fared is known after the block."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(Path(__file__).with_name("honest_caller.py")),
        region.url,
        str(calls),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    fared: dict[str, Any] = {}
    try:
        assert await asyncio.wait_for(process.stdout.readline(), DEADLINE_S) == b"ready\n"
        yield fared
        said, _ = await asyncio.wait_for(process.communicate(b""), DEADLINE_S)
        assert process.returncode == 0, "another's call was lost"
        fared |= json.loads(said)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def pour(region: RegionProcess, piece: bytes, times: int) -> None:
    """Open a call, write all of that as fast as it is taken, and read until the region ends the call."""
    reader, writer = await asyncio.open_connection("127.0.0.1", region.port)
    writer.write(HANDSHAKE)
    assert (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), DEADLINE_S)).startswith(b"HTTP/1.1 101 ")

    async def write() -> None:
        with suppress(ConnectionError):
            for _ in range(times):
                writer.write(piece)
                await writer.drain()

    async def read() -> None:
        with suppress(ConnectionError):
            while await reader.read(MEGABYTE):
                pass

    writing = asyncio.create_task(write())
    try:
        await asyncio.wait_for(read(), 2 * DEADLINE_S)
    finally:
        writer.transport.abort()
        await writing


async def until_told(call: ClientConnection, event: str) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while (told := json.loads(await call.recv()))["type"] != event:
            assert told["type"] != "error", told["error"]["message"]


@pytest.mark.parametrize("flood", FLOODS)
async def test_nobody_waits_while_one_caller_sends_very_many_messages(
    region: RegionProcess, workers: int, flood: str
) -> None:
    machine = measured()
    async with others(region, workers) as fared:
        await pour(region, *FLOODS[flood])
    assert fared["trips"] > 1
    longest_ms = fared["longest_ms"]
    machine.promise(longest_ms < WAIT_MS, f"another caller waited {longest_ms:.0f} ms during {flood}")


@pytest.mark.parametrize("letters", ["x" * 6_900, "字" * 2_300], ids=["Latin", "Chinese"])
async def test_an_answer_to_the_longest_conversation_holds_up_nobody(
    region: RegionProcess, workers: int, letters: str
) -> None:
    machine = measured()
    async with others(region, workers) as fared, calling(region.url) as call:
        for number in range(300):
            await call.send(item(f"{number} {letters}"))
            await until_told(call, "conversation.item.done")
        for _ in range(3):
            await call.send('{"type": "response.create"}')
            await until_told(call, "response.done")
    longest_ms = fared["longest_ms"]
    machine.promise(
        longest_ms < WAIT_MS, f"another caller waited {longest_ms:.0f} ms for an answer's request"
    )


async def test_400_items_of_a_megabyte_take_little_memory_and_hold_up_nobody(
    region: RegionProcess, workers: int
) -> None:
    event, machine = item("a" * MEGABYTE), measured()
    held = [region.memory_bytes()]
    async with others(region, workers) as fared, calling(region.url) as call:
        for _ in range(400):
            await call.send(event)
            await until_told(call, "conversation.item.done")
            held.append(region.memory_bytes())
    grown = (max(held) - held[0]) / MEGABYTE
    assert grown < GROWTH_MB
    longest_ms = fared["longest_ms"]
    machine.promise(longest_ms < WAIT_MS, f"another caller waited {longest_ms:.0f} ms")
