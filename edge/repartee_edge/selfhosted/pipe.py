"""Two TCP streams joined: what one side sends is written to the other as it comes, without looking at it.

After the WebSocket handshake an edge has nothing to say in the frames, so it does not parse them: masks, fragments,
close codes, pings and compression are between the client and its region. What waits for a slow reader is bounded:
past BUFFER_HIGH_BYTES the other side is no longer read.
"""

import asyncio
import socket

BUFFER_HIGH_BYTES = 256 * 1024
FLUSH_S = 10.0
KEEPALIVE_IDLE_S = 30
KEEPALIVE_INTERVAL_S = 10
KEEPALIVE_PROBES = 3


class _End(asyncio.Protocol):
    """One side of a pipe; ``_other`` is the transport of the other."""

    def __init__(self, other: asyncio.Transport, ended: asyncio.Future[None]) -> None:
        self._other = other
        self._ended = ended
        self.data_received = other.write  # type: ignore[method-assign]

    def pause_writing(self) -> None:
        self._other.pause_reading()

    def resume_writing(self) -> None:
        if not self._other.is_closing():
            self._other.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._other.is_closing():
            # What is still buffered may hold a close frame: let it out, but not for ever.
            self._other.close()
            asyncio.get_running_loop().call_later(FLUSH_S, self._other.abort)
        if not self._ended.done():
            self._ended.set_result(None)


async def join(client: asyncio.Transport, region: asyncio.Transport) -> None:
    """Pump bytes both ways until either side ends; both are closed then, and also when this is cancelled.

    Both transports must be paused for reading; whatever was read from them before must have been passed on.
    """
    ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    for transport, other in ((client, region), (region, client)):
        transport.set_write_buffer_limits(high=BUFFER_HIGH_BYTES)
        transport.set_protocol(_End(other, ended))
        detect_dead_peer(transport)
    try:
        for transport in (client, region):
            if not transport.is_closing():
                transport.resume_reading()
            else:
                return
        await ended
    finally:
        for transport in (client, region):
            transport.close()


def detect_dead_peer(transport: asyncio.Transport) -> None:
    """Ask the kernel to notice a peer that is gone without a word, within about a minute."""
    sock = transport.get_extra_info("socket")
    if sock is None or not hasattr(socket, "TCP_KEEPIDLE"):
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_IDLE_S)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, KEEPALIVE_PROBES)
