"""The one port that all WebRTC calls of a worker share: UDP, and ICE-TCP on the same number.

Owns the sockets and the connections' timers. The floor below (rtc) knows what datagrams mean, the floor above whose
calls they belong to. Sending never waits: if a socket does not take a datagram at once, it is lost, as datagrams
are.
"""

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from repartee.rtc.demultiplexer import Demultiplexer
from repartee.rtc.framing import Deframer, FrameTooLong, framed
from repartee.rtc.peer import Peer, PeerEvent
from repartee.rtc.stun import Address

log = logging.getLogger(__name__)

DATAGRAMS_AT_ONCE = 128
"""So many are read before other calls' work has its turn."""

READ_BYTES = 2_048
RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024
SENDING_STREAM_BYTES = 64 * 1024
"""What may wait for a connection of ICE-TCP; beyond that datagrams are lost."""

STREAM_CHECK_S = 5.0
"""A connection that has shown no call's password by then is closed."""

MOST_STREAMS = 1_024

Take = Callable[[list[PeerEvent]], None]


@dataclass(slots=True)
class _Attached:
    take: Take
    timer: asyncio.TimerHandle | None = None
    due: float = 0.0


class MediaPort:
    """Made inside the running loop; ``host`` and ``port`` are bound at once. Raises OSError if they are taken."""

    def __init__(self, host: str, port: int, *, streams: bool = True) -> None:
        self._loop = asyncio.get_running_loop()
        self._demultiplexer = Demultiplexer()
        self._attached: dict[Peer, _Attached] = {}
        self._streams: dict[Address, asyncio.Transport] = {}
        self._server: asyncio.Server | None = None
        self._socket, self._listener = _bound(host, port, streams)
        self.dropped = 0
        """Datagrams that a socket did not take."""

    def __repr__(self) -> str:
        return f"<MediaPort {self.port}: {self._demultiplexer!r}, {len(self._streams)} streams>"

    @property
    def port(self) -> int:
        """The port's number."""
        return int(self._socket.getsockname()[1])

    @property
    def streams(self) -> bool:
        """ICE-TCP is there too."""
        return self._listener is not None

    async def open(self) -> None:
        """Begin to listen."""
        self._loop.add_reader(self._socket.fileno(), self._readable)
        if self._listener is not None:
            self._server = await self._loop.create_server(lambda: _Stream(self), sock=self._listener)

    async def aclose(self) -> None:
        """Stop listening, and forget all connections."""
        self._loop.remove_reader(self._socket.fileno())
        self._socket.close()
        if self._server:
            self._server.close()
        for stream in list(self._streams.values()):
            stream.abort()
        for peer in list(self._attached):
            self.detach(peer)

    def attach(self, peer: Peer, take: Take) -> None:
        """Serve this connection; ``take`` gets what comes of it, and must not wait or raise."""
        self._attached[peer] = _Attached(take)
        self._demultiplexer.add(peer)
        self.drive(peer)

    def renamed(self, peer: Peer) -> None:
        """The connection has new credentials."""
        self._demultiplexer.add(peer)

    def detach(self, peer: Peer) -> None:
        """Send what it still has to say, then serve it no more."""
        self._send_from(peer)
        attached = self._attached.pop(peer, None)
        if attached and attached.timer:
            attached.timer.cancel()
        self._demultiplexer.remove(peer)

    def drive(self, peer: Peer) -> None:
        """Send what the connection has to send, and see that it is woken in time."""
        self._send_from(peer)
        attached = self._attached.get(peer)
        if attached is None or peer.left is not None:
            return
        due = peer.deadline
        if attached.timer is not None:
            if attached.due <= due:
                return  # it will look again then
            attached.timer.cancel()
        attached.due = due
        attached.timer = self._loop.call_later(max(0.0, due - time.monotonic()), self._wake, peer)

    def _wake(self, peer: Peer) -> None:
        attached = self._attached.get(peer)
        if attached is None:
            return
        attached.timer = None
        events = peer.tick(time.monotonic())
        self.drive(peer)
        if events:
            attached.take(events)

    # --- datagrams -----------------------------------------------------------------------------------------------

    def _readable(self) -> None:
        receive = self._socket.recvfrom
        for _ in range(DATAGRAMS_AT_ONCE):
            try:
                data, source = receive(READ_BYTES)
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionError:
                continue  # the answer to something that was sent: its receiver is gone, which its checks will show
            self.receive(data, source[:2])

    def receive(self, data: bytes, source: Address) -> bool:
        """A datagram has come; whether it belongs to a call."""
        try:
            found = self._demultiplexer.receive(data, source, time.monotonic())
        except Exception:  # a fault here must not end other calls' media
            log.exception("a datagram of %d bytes could not be handled; dropping it", len(data))
            return False
        if found is None:
            return False
        peer, events = found
        if events:
            attached = self._attached.get(peer)
            if attached is not None:
                attached.take(events)
        self.drive(peer)
        return True

    def _send_from(self, peer: Peer) -> None:
        for data, target in peer.take_outgoing():
            if len(target) == 3:
                self._send_stream(data, target)
                continue
            try:
                self._socket.sendto(data, target)
            except (BlockingIOError, InterruptedError):
                self.dropped += 1
            except Exception:  # no route, a full table: the line is bad, and the checks will show it
                self.dropped += 1

    # --- streams -------------------------------------------------------------------------------------------------

    def _send_stream(self, data: bytes, target: Address) -> None:
        stream = self._streams.get(target)
        if stream is None or stream.get_write_buffer_size() > SENDING_STREAM_BYTES:
            self.dropped += 1
            return
        stream.write(framed(data))

    def stream_opened(self, source: Address, stream: asyncio.Transport) -> None:
        """A connection of ICE-TCP has been accepted."""
        if len(self._streams) >= MOST_STREAMS:
            stream.abort()
            return
        self._streams[source] = stream
        self._loop.call_later(STREAM_CHECK_S, self._check_stream, source, stream)

    def stream_closed(self, source: Address, stream: asyncio.Transport | None) -> None:
        """It is gone."""
        if self._streams.get(source) is stream:
            self._streams.pop(source, None)

    def _check_stream(self, source: Address, stream: asyncio.Transport) -> None:
        if self._streams.get(source) is stream and not self._demultiplexer.knows(source):
            stream.abort()


class _Stream(asyncio.Protocol):
    """One connection of ICE-TCP."""

    def __init__(self, port: MediaPort) -> None:
        self._port = port
        self._deframer = Deframer()
        self._source: Address = ("", 0, "tcp")
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        stream = cast(asyncio.Transport, transport)  # uvloop's is one by its methods, not by its class
        self._transport = stream
        host, port = transport.get_extra_info("peername")[:2]
        self._source = (host, port, "tcp")
        with contextlib.suppress(Exception):
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._port.stream_opened(self._source, stream)

    def data_received(self, data: bytes) -> None:
        try:
            datagrams = self._deframer.feed(data)
        except FrameTooLong:
            if self._transport:
                self._transport.abort()
            return
        for datagram in datagrams:
            self._port.receive(datagram, self._source)

    def connection_lost(self, exc: Exception | None) -> None:
        self._port.stream_closed(self._source, self._transport)


def _bound(host: str, port: int, streams: bool) -> tuple[socket.socket, socket.socket | None]:
    """A UDP socket and, on the same number, a listening TCP socket."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for attempt in range(20):
        datagrams = socket.socket(family, socket.SOCK_DGRAM)
        datagrams.setblocking(False)
        listener = None
        with contextlib.ExitStack() as undo:
            undo.callback(datagrams.close)
            datagrams.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
            datagrams.bind((host, port))
            if streams:
                listener = socket.socket(family, socket.SOCK_STREAM)
                undo.callback(listener.close)
                listener.setblocking(False)
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    listener.bind((host, datagrams.getsockname()[1]))
                except Exception:
                    if port or attempt == 19:
                        raise
                    continue  # that number is taken for TCP: another one
            undo.pop_all()
            return datagrams, listener
    raise AssertionError("unreachable")
