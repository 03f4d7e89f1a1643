"""Wires to vendors that a test can cut or hold: a TCP proxy that tells connections apart by the path they ask for."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field


@dataclass(eq=False)
class Strand:
    """One connection through a wire."""

    path: str
    near: asyncio.StreamWriter
    far: asyncio.StreamWriter
    came_back: int = 0

    def abort(self) -> None:
        for writer in (self.near, self.far):
            writer.transport.abort()


@dataclass
class Wire:
    """To one server. ``url`` is its near end."""

    far_port: int
    url: str = ""
    strands: list[Strand] = field(default_factory=list)
    bad_requests: int = 0
    """How often the far end has answered with 400."""

    _cut: set[str] = field(default_factory=set)
    _held: set[str] = field(default_factory=set)
    _cut_after: dict[str, int] = field(default_factory=dict)

    def cut(self, *paths: str) -> None:
        """Reset all connections with these paths, and each that comes later."""
        self._cut.update(paths)
        for strand in [one for one in self.strands if _is_of(one.path, self._cut)]:
            strand.abort()

    def hold(self, *paths: str) -> None:
        """Nothing comes back on them any more, while they stay open."""
        self._held.update(paths)

    def cut_after(self, path: str, size: int) -> None:
        """Reset each connection with this path once so many bytes have come back on it, and each that comes later
        than the first of them."""
        self._cut_after[path] = size

    async def carry(self, near_in: asyncio.StreamReader, near_out: asyncio.StreamWriter) -> None:
        """One connection, to its end."""
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            first = await near_in.readuntil(b"\r\n")
            path = first.split(b" ")[1].decode()
            if _is_of(path, self._cut):
                near_out.transport.abort()
                return
            far_in, far_out = await asyncio.open_connection("127.0.0.1", self.far_port)
            strand = Strand(path, near_out, far_out)
            self.strands.append(strand)
            far_out.write(first)
            ways = [
                asyncio.create_task(self._there(strand, near_in)),
                asyncio.create_task(self._back(strand, far_in)),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                await asyncio.wait(ways, timeout=0.1)  # for what is still under way
            finally:
                self.strands.remove(strand)
                strand.abort()
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)

    async def _there(self, strand: Strand, near_in: asyncio.StreamReader) -> None:
        while data := await near_in.read(65_536):
            if data.startswith(b"POST "):
                strand.path, strand.came_back = data.split(b" ")[1].decode(), 0
            strand.far.write(data)
        strand.far.close()

    async def _back(self, strand: Strand, far_in: asyncio.StreamReader) -> None:
        while data := await far_in.read(65_536):
            if _is_of(strand.path, self._held):
                await asyncio.Event().wait()
            strand.came_back += len(data)
            self.bad_requests += data.startswith(b"HTTP/1.1 400")
            limit = next(
                (size for path, size in self._cut_after.items() if strand.path.startswith(path)), None
            )
            if limit is not None and strand.came_back >= limit:
                strand.abort()
                return
            strand.near.write(data)
        strand.near.close()


def _is_of(path: str, prefixes: set[str]) -> bool:
    return any(path.startswith(prefix) for prefix in prefixes)


@asynccontextmanager
async def wire_to(far_port: int) -> AsyncIterator[Wire]:
    """A wire to a server on this machine."""
    wire = Wire(far_port)
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(wire.carry(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    wire.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield wire
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
