"""WebSocket connections as the adapters need them: sent to without waiting, read without a task.

Owns what a provider's SDK leaves out (liveness, sizes, time limits, non-blocking sends) around the connection of
``websockets``; the handshake, proxies, TLS, frames, pings and the closing handshake are that library's. Knows no
provider's messages, and no pool.
"""

import asyncio
import functools
import ssl
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.client import ClientProtocol
from websockets.frames import Frame
from websockets.protocol import State

from repartee.providers.open_connections import OpenConnections
from repartee.providers.websockets_insides import PushingConnection

Message = bytes
"""A whole message as it came, text not decoded: msgspec reads the bytes."""


@dataclass(frozen=True, slots=True)
class SocketSettings:
    """Limits of a provider socket. A peer that answers no ping is dropped after at most
    ``ping_interval_s + ping_timeout_s + close_timeout_s``."""

    open_timeout_s: float = 5.0
    ping_interval_s: float = 5.0
    ping_timeout_s: float = 5.0
    close_timeout_s: float = 1.0
    max_message_bytes: int = 4 * 2**20
    max_unsent_bytes: int = 2**18
    """More than this waiting to be sent means that the peer has stopped reading."""

    room_bytes: int = 2**16
    """Who can wait sends more only while less than this waits to be sent (1.4 s of audio)."""


MAX_HELD_MESSAGES = 64
"""Messages kept for a listener that is not there yet (a pooled socket's greeting)."""


class PushedSocket:
    """A client connection that hands each message to a listener the moment it arrives, and sends at once.

    Everything happens on the event loop's thread. How it reads depends on the library
    (:mod:`~repartee.providers.websockets_insides`); :class:`~repartee.providers.task_socket.TaskSocket` is the way
    that works with any version.
    """

    def __init__(self, settings: SocketSettings, owner: OpenConnections) -> None:
        self._settings = settings
        self._owner = owner
        self._connection: ClientConnection | None = None
        self._protocol: ClientProtocol | None = None
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._on_message: Callable[[Message], None] | None = None
        self._on_close: list[Callable[[], None]] = []
        self._held: deque[Message] = deque(maxlen=MAX_HELD_MESSAGES)
        self._fragments: list[bytes] = []
        self._goodbye: tuple[int | None, str] | None = None
        self._has_closed = False
        self.ended = False

    def connection(self, protocol: ClientProtocol, **options: Any) -> ClientConnection:
        """Make the library's connection, which this one is the outside of; called once, by its ``connect``."""
        self._protocol = protocol
        self._connection = PushingConnection(protocol, reader=self, **options)
        return self._connection

    def opened(self) -> None:
        """The handshake is done."""

    @property
    def is_open(self) -> bool:
        return not self.ended and self._protocol is not None and self._protocol.state is State.OPEN

    @property
    def close_code(self) -> int | None:
        """The code that the connection was closed with (1006: none came); None while it is open."""
        return self._connection.close_code if self._connection else None

    @property
    def close_reason(self) -> str | None:
        """What was said with the code."""
        return self._connection.close_reason if self._connection else None

    @property
    def goodbye(self) -> tuple[int | None, str]:
        """The code and the reason that the peer closes with, from its first word of that on."""
        return self._goodbye or (self.close_code, self.close_reason or "")

    @property
    def has_room(self) -> bool:
        """The peer reads what it is sent, or is gone: sending now adds to no pile."""
        return self._unsent_bytes < self._settings.room_bytes or not self.is_open

    @property
    def _unsent_bytes(self) -> int:
        return self._transport.get_write_buffer_size() if self._transport else 0

    def listen(self, on_message: Callable[[Message], None]) -> None:
        """Hand messages to ``on_message`` from now on, beginning with those that came before."""
        self._on_message = on_message
        while self._held:
            on_message(self._held.popleft())

    def listen_no_more(self) -> None:
        """Keep what comes from now on for the next listener."""
        self._on_message = None

    def on_close(self, call: Callable[[], None]) -> None:
        """Call once when the peer says goodbye, or the connection has ended otherwise; at the next turn of the loop
        if that was before."""
        if self.ended or self._has_closed:
            self._loop.call_soon(call)
        else:
            self._on_close.append(call)

    def push(self, message: bytes | str) -> bool:
        """Send a binary (bytes) or text (str) message without waiting; False if the connection is not open."""
        if not self.is_open:
            return False
        # What waited before counts: one long message on a free socket is no sign of a peer that does not read.
        if self._unsent_bytes > self._settings.max_unsent_bytes:
            self.drop()
            return False
        self._send(message)
        return True

    def _send(self, message: bytes | str) -> None:
        assert self._protocol is not None and self._transport is not None
        if isinstance(message, str):
            self._protocol.send_text(message.encode())
        else:
            self._protocol.send_binary(message)
        self._transport.write(b"".join(self._protocol.data_to_send()))

    def close_soon(self) -> None:
        """Begin the closing handshake and return; the socket is gone after ``close_timeout_s`` at the latest."""
        if self.is_open and self._protocol is not None and self._transport is not None:
            self._protocol.send_close(1000)
            self._transport.write(b"".join(self._protocol.data_to_send()))
        if not self.ended and self._transport is not None:
            self._loop.call_later(self._settings.close_timeout_s, self._transport.abort)

    def drop(self) -> None:
        """End it at once."""
        if self._transport is not None:
            self._transport.abort()

    async def close(self) -> None:
        """Close in good order; returns when the connection has ended."""
        if self._connection is not None:
            await self._connection.close()

    async def wait_closed(self) -> None:
        """Returns when the connection has ended."""
        if self._connection is not None:
            await self._connection.wait_closed()

    # --- called by the connection --------------------------------------------------------------------------------

    def on_made(self, transport: asyncio.Transport) -> None:
        """There is a socket."""
        self._transport = transport
        self._owner.made(self)

    def on_frame(self, frame: Frame) -> None:
        """A frame has come."""
        data = bytes(frame.data)
        if self._fragments or not frame.fin:
            self._fragments.append(data)
            if not frame.fin:
                return
            data, self._fragments = b"".join(self._fragments), []
        self._take(data)

    def on_lost(self) -> None:
        """The socket is gone."""
        self._owner.ended(self)
        self.ended = True
        self._tell_closed()

    def on_goodbye(self, code: int, reason: str) -> None:
        """The peer begins to close: nothing more comes, though the socket takes a while to end."""
        self._goodbye = (code, reason)
        self._tell_closed()

    def _tell_closed(self) -> None:
        self._has_closed = True
        callbacks, self._on_close = self._on_close, []
        for call in callbacks:
            call()

    def _take(self, message: Message) -> None:
        if self._on_message is None:
            self._held.append(message)
        else:
            self._on_message(message)


@functools.cache
def tls_context() -> ssl.SSLContext:
    """One TLS context a process: making one reads the whole trust store (tens of ms)."""
    return ssl.create_default_context()


def websocket_url(base_url: str) -> str:
    """The ``ws(s)://`` form of an ``http(s)://`` base URL, without a trailing slash. Raises ValueError."""
    scheme, separator, rest = base_url.partition("://")
    schemes = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}
    if not separator or scheme not in schemes or not rest:
        raise ValueError(f"base URL {base_url!r} must begin with http:// or https://")
    return f"{schemes[scheme]}://{rest.rstrip('/')}"
