"""A provider far away: connections take their time, what is said on them does not."""

import asyncio
import time

from tests.free_ports import free_port
from tests.promptness import DEADLINE_S, measured

from repartee.bench.distance import HOST, distant


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(100):
        writer.write(data)
    writer.close()


async def test_only_the_connection_takes_long() -> None:
    near = free_port(2)
    async with await asyncio.start_server(echo, HOST, near) as server:
        async with distant(near + 1, near, connect_ms=150):
            began = time.monotonic()
            reader, writer = await asyncio.open_connection(HOST, near + 1)
            writer.write(b"one")
            assert await reader.readexactly(3) == b"one"
            assert time.monotonic() - began >= 0.15
            again, machine = time.monotonic(), measured()
            writer.write(b"two")
            assert await reader.readexactly(3) == b"two"
            took_s = time.monotonic() - again
            writer.write_eof()
            assert await reader.read() == b""
            writer.close()
            machine.promise(took_s < 0.14, f"what followed took {took_s * 1000:.0f} ms")
        server.close()


async def test_a_provider_that_is_not_there_hangs_up() -> None:
    near = free_port(2)
    async with distant(near + 1, near, connect_ms=1):
        reader, writer = await asyncio.open_connection(HOST, near + 1)
        assert await asyncio.wait_for(reader.read(), DEADLINE_S) == b""
        writer.close()
