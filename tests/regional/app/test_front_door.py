"""What a region takes from those it does not know: over real sockets, in one process and in two."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import suppress

import httpx
import pytest
from tests.promptness import DEADLINE_S, measured
from tests.regional.app.running import RegionProcess, calling, region_process

MEGABYTE = 1_000_000
GET = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n"
HANDSHAKE = (
    b"GET /v1/voice/session HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
)
LATE_S = 1.0
"""How much later than promised a connection may be seen to close on a machine that has nothing else to do."""


@pytest.fixture(scope="module", params=["1", "2"], ids=["one process", "two processes"])
def region(request: pytest.FixtureRequest, providers: dict[str, str]) -> Iterator[RegionProcess]:
    with region_process(providers, "--allow-anonymous", "--workers", request.param) as running:
        deadline = time.monotonic() + 2 * DEADLINE_S
        while time.monotonic() < deadline:
            with suppress(httpx.HTTPError):
                if httpx.get(f"{running.http}/readyz").status_code == 200:
                    break
            time.sleep(0.05)
        yield running


async def answer_to(region: RegionProcess, *pieces: bytes) -> bytes:
    """All that comes back until the region closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", region.port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        async with asyncio.timeout(2 * DEADLINE_S):
            return await reader.read()
    finally:
        writer.close()


async def test_a_header_line_over_8_kib_is_answered_with_431_and_the_connection_closed(
    region: RegionProcess,
) -> None:
    for begun in (GET, HANDSHAKE):
        answer = await answer_to(region, begun + b"X-A: " + b"a" * 9000 + b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 431 ")
        assert b"over 8192 bytes" in answer
    async with calling(region.url) as websocket:
        assert "session.created" in str(await websocket.recv())


async def test_a_handshake_that_its_library_cannot_read_is_answered(region: RegionProcess) -> None:
    for request in (
        HANDSHAKE + b"Content-Length: 5\r\n\r\nhello",
        HANDSHAKE.replace(b"GET", b"POST") + b"\r\n",
        HANDSHAKE + b"X:" + b"a" * 8188 + b"\r\n\r\n",
        HANDSHAKE.replace(b"AAAA==", b"?") + b"\r\n",
    ):
        assert (await answer_to(region, request)).startswith(b"HTTP/1.1 400 ")


async def test_sixty_megabytes_of_short_headers_end_at_64_kib_and_take_no_memory(
    region: RegionProcess,
) -> None:
    await answer_to(region, GET + b"Connection: close\r\n\r\n")
    before = region.memory_bytes()
    for begun in (GET, HANDSHAKE):
        answer = await answer_to(region, begun, *[b"a: b\r\n" * 166_667] * 60)
        assert answer.startswith(b"HTTP/1.1 431 ")
    assert region.memory_bytes() - before < 10 * MEGABYTE


async def test_a_line_of_80_mb_stalls_nobody(region: RegionProcess) -> None:
    machine = measured()
    async with httpx.AsyncClient() as client:
        await client.get(f"{region.http}/healthz")
        before = region.memory_bytes()
        line = asyncio.create_task(answer_to(region, GET + b"X: ", *[b"a" * MEGABYTE] * 80))
        longest_s = 0.0
        while not line.done():
            began = time.monotonic()
            assert (await client.get(f"{region.http}/healthz")).status_code == 200
            longest_s = max(longest_s, time.monotonic() - began)
            await asyncio.sleep(0.01)
    assert (await line).startswith(b"HTTP/1.1 431 ")
    assert region.memory_bytes() - before < 10 * MEGABYTE
    machine.promise(longest_s <= 0.25, f"/healthz took {longest_s:.2f} s")


async def test_half_a_request_is_closed_after_10_s(region: RegionProcess) -> None:
    async def lived_s(begun: bytes) -> float:
        opened_at = time.monotonic()
        await answer_to(region, begun)
        return time.monotonic() - opened_at

    machine = measured()
    post = b"POST /v1/voice/session HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n"
    halves = [b"", b"G", GET, HANDSHAKE, GET + b"X: a", post, post + b"\r\n", GET + b"\r\n" + GET]
    lives = await asyncio.gather(*map(lived_s, halves))
    assert max(lives[:6]) >= 9.9
    machine.promise(max(lives) <= 10 + LATE_S, f"a connection was closed after {max(lives):.1f} s")


async def test_more_connections_than_a_process_takes_shut_nobody_out(providers: dict[str, str]) -> None:
    settings = {**providers, "REPARTEE_MAX_CONNECTIONS": "20"}
    with region_process(settings, "--allow-anonymous") as region:
        idle = [await asyncio.open_connection("127.0.0.1", region.port) for _ in range(60)]
        async with calling(region.url) as websocket:
            assert "session.created" in str(await websocket.recv())
        async with asyncio.timeout(DEADLINE_S):
            for reader, _ in idle[:40]:
                with suppress(ConnectionError):
                    assert await reader.read() == b""
        for _, writer in idle:
            writer.close()
