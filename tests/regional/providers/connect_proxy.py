"""An HTTP proxy for a test to have in the way: it opens tunnels, to this machine alone, and notes for what."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from tests.regional.tcp_server import tcp


@dataclass
class ConnectProxy:
    """``answer`` is the status line to each CONNECT; a tunnel is opened with 200."""

    answer: str = "HTTP/1.1 200 Connection established"
    url: str = ""
    asked: list[str] = field(default_factory=list)
    authorizations: list[str] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            method, target, _ = head.split("\r\n", 1)[0].split()
            assert method == "CONNECT"
            assert f"\r\nHost: {target}\r\n" in head
            self.asked.append(target)
            self.authorizations += [
                line.partition(": ")[2] for line in head.splitlines() if line.startswith("Proxy-Auth")
            ]
            writer.write(f"{self.answer}\r\n\r\n".encode())
            if " 200 " in self.answer:
                there = await asyncio.open_connection("127.0.0.1", int(target.rpartition(":")[2]))
                try:
                    await asyncio.gather(_pass_on(reader, there[1]), _pass_on(there[0], writer))
                finally:
                    there[1].close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while piece := await reader.read(65_536):
            writer.write(piece)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()


@asynccontextmanager
async def connect_proxy(answer: str = ConnectProxy.answer) -> AsyncIterator[ConnectProxy]:
    proxy = ConnectProxy(answer)
    async with tcp(proxy.serve) as url:
        proxy.url = url
        yield proxy
