"""Providers as far away as real ones: each new connection takes its time, as a TLS handshake over a distance does.

Owns bytes in between and their delay at the start; must not know what is said. For a few calls, not for many.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

HOST = "127.0.0.1"
READ_BYTES = 65_536


@asynccontextmanager
async def distant(port: int, target_port: int, connect_ms: float) -> AsyncIterator[None]:
    """Listen on ``port`` for as long as the block lasts; each connection reaches ``target_port`` ``connect_ms`` after
    it was made. Raises OSError when the port is taken.
    """
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        try:
            await asyncio.sleep(connect_ms / 1000)
            far_reader, far_writer = await asyncio.open_connection(HOST, target_port)
            await asyncio.gather(_pass_on(reader, far_writer), _pass_on(far_reader, writer))
        except OSError:
            writer.close()
        finally:
            serving.discard(task)

    server = await asyncio.start_server(serve, HOST, port, backlog=512)
    try:
        yield
    finally:
        server.close()
        for task in list(serving):
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(READ_BYTES):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()
