"""What `repartee edge`, in a process of its own, takes from those it does not know: over real sockets."""

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from tests.edge.conftest import StartRegion, edge_env
from tests.free_ports import free_port
from tests.promptness import DEADLINE_S, measured

MEGABYTE = 1_000_000
GROWTH_BYTES = 10 * MEGABYTE
STALL_S = 0.25
HEAD_S, LATE_S = 10.0, 1.0
"""How long a head may take to come, and how much later a connection may be seen to close."""

GET = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n"
UPGRADE = (
    b"GET /v1/voice/session HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
)


@pytest.fixture
async def edge(start_region: StartRegion, tmp_path: Path) -> AsyncIterator[tuple[int, int]]:
    """The port and the process id of an edge that is ready."""
    env, port = edge_env(await start_region("near")), free_port()
    regions = tmp_path / "regions.json"
    regions.write_text(env.pop("REPARTEE_REGIONS"))
    program = str(Path(sys.executable).parent / "repartee")
    command = [program, "edge", "--port", str(port), "--regions", str(regions)]
    process = await asyncio.create_subprocess_exec(*command, env={**env, "PATH": os.environ["PATH"]})
    try:
        async with asyncio.timeout(DEADLINE_S), httpx.AsyncClient() as http:
            while not await healthy(http, port):  # noqa: ASYNC110 - a process tells by its port
                await asyncio.sleep(0.05)
        yield port, process.pid
    finally:
        process.terminate()
        await asyncio.wait_for(process.wait(), DEADLINE_S)


async def healthy(http: httpx.AsyncClient, port: int) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return (await http.get(f"http://127.0.0.1:{port}/healthz")).status_code == 200
    return False


def memory_bytes(pid: int) -> int:
    if not Path("/proc/self/statm").exists():
        pytest.skip("only Linux tells what a process holds")
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def answer_to(port: int, *pieces: bytes) -> bytes:
    """All that comes back until the edge closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        async with asyncio.timeout(2 * DEADLINE_S):
            return await reader.read()
    finally:
        writer.close()


@pytest.mark.parametrize("begun", [GET, UPGRADE], ids=["request", "handshake"])
async def test_a_line_of_80_mb_stalls_nobody_and_takes_no_memory(edge: tuple[int, int], begun: bytes) -> None:
    port, pid = edge
    machine, longest_s, trips = measured(), 0.0, 0
    async with httpx.AsyncClient() as http:
        assert await healthy(http, port)
        before = memory_bytes(pid)
        line = asyncio.create_task(answer_to(port, begun + b"X: ", *[b"a" * MEGABYTE] * 80))
        while not line.done():
            began = time.monotonic()
            assert await healthy(http, port)
            longest_s, trips = max(longest_s, time.monotonic() - began), trips + 1
            await asyncio.sleep(0.01)
    assert (await line).startswith(b"HTTP/1.1 431 ") and trips
    assert memory_bytes(pid) - before < GROWTH_BYTES
    machine.promise(longest_s <= STALL_S, f"/healthz took {longest_s:.2f} s")


async def test_sixty_megabytes_of_short_headers_take_no_memory(edge: tuple[int, int]) -> None:
    port, pid = edge
    await answer_to(port, GET + b"Connection: close\r\n\r\n")
    before = memory_bytes(pid)
    for begun in (GET, UPGRADE):
        answer = await answer_to(port, begun, *[b"a: b\r\n" * 166_667] * 60)
        assert answer.startswith(b"HTTP/1.1 431 ")
    assert memory_bytes(pid) - before < GROWTH_BYTES


async def test_half_a_request_is_closed_after_10_s(edge: tuple[int, int]) -> None:
    async def lived_s(begun: bytes) -> float:
        opened_at = time.monotonic()
        await answer_to(edge[0], begun)
        return time.monotonic() - opened_at

    machine = measured()
    lives = await asyncio.gather(*map(lived_s, [b"", b"G", GET, UPGRADE, GET + b"X: a"]))
    assert min(lives) >= HEAD_S - 0.1
    machine.promise(max(lives) <= HEAD_S + LATE_S, f"a connection was closed after {max(lives):.1f} s")
