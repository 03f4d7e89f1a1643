"""A relay for UDP on this machine that loses and delays datagrams: for WebRTC, which does not care where its peer is.

Each sender has a socket of its own towards the server, as behind a NAT.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

from repartee.bench.line_quality import LineDelay, LineQuality, LossDice

Address = tuple[str, int]


class _Behind(asyncio.DatagramProtocol):
    """One sender's socket towards the server."""

    def __init__(self, relay: "DatagramRelay", caller: Address) -> None:
        self._relay = relay
        self._caller = caller

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self._relay.pass_down(data, self._caller)


class DatagramRelay(asyncio.DatagramProtocol):
    """The relay. ``quality`` may be changed while it runs; ``seed`` decides which datagrams are lost."""

    def __init__(self, server: Address, quality: LineQuality, seed: int) -> None:
        self.passed = 0
        self.lost = 0
        self._server = server
        self._seed = seed
        self._transport: asyncio.DatagramTransport | None = None
        self._behind: dict[Address, asyncio.Task[asyncio.DatagramTransport]] = {}
        self.set_quality(quality)

    @property
    def address(self) -> Address:
        """Where callers send to."""
        assert self._transport is not None
        host, port = self._transport.get_extra_info("sockname")[:2]
        return str(host), int(port)

    def set_quality(self, quality: LineQuality) -> None:
        """From now on."""
        self._up, self._down = LossDice(quality, self._seed), LossDice(quality, self._seed + 1)
        self._up_delay, self._down_delay = LineDelay(quality, self._seed), LineDelay(quality, self._seed + 1)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The callers' side is open."""
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: Address) -> None:
        """From a caller."""
        if self._is_lost(self._up):
            return
        if addr not in self._behind:
            self._behind[addr] = asyncio.ensure_future(self._open(addr))
        loop = asyncio.get_running_loop()
        loop.call_at(self._up_delay.arrives_at(loop.time()), self._pass_up, data, self._behind[addr])

    def pass_down(self, data: bytes, caller: Address) -> None:
        """From the server."""
        if self._is_lost(self._down) or self._transport is None:
            return
        loop = asyncio.get_running_loop()
        loop.call_at(self._down_delay.arrives_at(loop.time()), self._transport.sendto, data, caller)

    def close(self) -> None:
        """Close all sockets."""
        if self._transport is not None:
            self._transport.close()
        for opened in self._behind.values():
            if opened.done() and not opened.cancelled() and opened.exception() is None:
                opened.result().close()
            opened.cancel()

    def _is_lost(self, dice: LossDice) -> bool:
        lost = dice.lost()
        self.lost += lost
        self.passed += not lost
        return lost

    async def _open(self, caller: Address) -> asyncio.DatagramTransport:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(
            lambda: _Behind(self, caller), local_addr=(self.address[0], 0), remote_addr=self._server
        )
        return transport

    def _pass_up(self, data: bytes, opened: "asyncio.Task[asyncio.DatagramTransport]") -> None:
        if opened.done():
            opened.result().sendto(data)
        else:
            opened.add_done_callback(lambda done: done.result().sendto(data))


@asynccontextmanager
async def relaying(
    server: Address, quality: LineQuality, seed: int = 1, *, host: str = "127.0.0.1"
) -> AsyncIterator[DatagramRelay]:
    """A relay in front of ``server``, on any free port of ``host``."""
    relay = DatagramRelay(server, quality, seed)
    await asyncio.get_running_loop().create_datagram_endpoint(lambda: relay, local_addr=(host, 0))
    try:
        yield relay
    finally:
        relay.close()
