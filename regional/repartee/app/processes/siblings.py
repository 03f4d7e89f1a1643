"""One region's processes ask each other for their figures on UNIX sockets: nobody computes what nobody watches.

Owns the sockets, in the folder that the parent made for its processes. Must not know what figures hold.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from repartee.app.processes.shared_metrics import FOLDER_VARIABLE

Part = Callable[[float], Awaitable[bytes]]
"""What one process says of itself, since a time."""

ANSWER_S = 2.0
"""A process that takes longer is left out."""


@asynccontextmanager
async def telling_siblings(index: int, part: Part) -> AsyncIterator[None]:
    """Answer the region's other processes for as long as the block lasts."""

    async def tell(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, ValueError, TimeoutError):
            async with asyncio.timeout(ANSWER_S):
                writer.write(await part(float(await reader.readline())))
                await writer.drain()
        writer.close()

    path = _path(index)
    path.unlink(missing_ok=True)  # of a process that had this index before, and was killed
    server = await asyncio.start_unix_server(tell, path)
    try:
        yield
    finally:
        server.close()
        path.unlink(missing_ok=True)


async def ask_siblings(index: int, processes: int, since: float) -> list[bytes]:
    """What the others say; one that does not answer in time is left out."""
    others = [number for number in range(processes) if number != index]
    answers = await asyncio.gather(*(_ask(number, since) for number in others))
    return [answer for answer in answers if answer]


async def _ask(index: int, since: float) -> bytes:
    try:
        async with asyncio.timeout(ANSWER_S):
            reader, writer = await asyncio.open_unix_connection(_path(index))
            try:
                writer.write(f"{since!r}\n".encode())
                return await reader.read()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return b""


def _path(index: int) -> Path:
    return Path(os.environ[FOLDER_VARIABLE]) / f"figures-{index}.sock"
