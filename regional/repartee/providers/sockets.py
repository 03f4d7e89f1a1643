"""WebSocket connections as the adapters need them: sent to without waiting, read without a task.

Owns what a provider's SDK leaves out (liveness, sizes, time limits, non-blocking sends) on the connection class of
``websockets``; the handshake, proxies, TLS, pings and the closing handshake are that library's. Knows no provider's
messages, and no pool.
"""

import asyncio
import contextlib
import functools
import secrets
import ssl
import struct
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI
from websockets.frames import Frame, Opcode
from websockets.protocol import Event, State

from repartee.errors import ProviderError
from repartee.providers.masking import apply_mask
from repartee.providers.open_connections import OpenConnections

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


MASKS_AT_ONCE = 1024
"""Random masks are asked of the system so many at a time: a system call for each costs as much as the masking."""


def _masks() -> Iterator[bytes]:
    while True:
        many = secrets.token_bytes(4 * MASKS_AT_ONCE)
        for at in range(0, len(many), 4):
            yield many[at : at + 4]


_next_mask = _masks().__next__


def client_frame(opcode: Opcode, payload: bytes) -> bytes:
    """A whole message as a client sends it (RFC 6455, 5.2), masked.

    ``websockets`` serialises any frame of either side, with extensions; of the frames that carry a call's audio,
    that is a third of what sending them costs.
    """
    mask = _next_mask()
    size = len(payload)
    if size < 126:
        head = _HEAD.pack(0x80 | opcode, 0x80 | size)
    elif size < 65_536:
        head = _HEAD_16.pack(0x80 | opcode, 0x80 | 126, size)
    else:
        head = _HEAD_64.pack(0x80 | opcode, 0x80 | 127, size)
    return b"".join((head, mask, apply_mask(payload, mask)))


_HEAD = struct.Struct("!BB")
_HEAD_16 = struct.Struct("!BBH")
_HEAD_64 = struct.Struct("!BBQ")

MAX_HELD_MESSAGES = 64
"""Messages kept for a listener that is not there yet (a pooled socket's greeting)."""


class PushedSocket(ClientConnection):
    """A client connection that hands each message to a listener the moment it arrives, and sends at once.

    ``recv()`` and iteration are not for use on it. Everything happens on the event loop's thread.
    """

    def __init__(
        self,
        protocol: ClientProtocol,
        *,
        owner: OpenConnections,
        max_unsent_bytes: int = 2**18,
        room_bytes: int = 2**16,
        **options: Any,
    ) -> None:
        super().__init__(protocol, **options)
        self._owner = owner
        self._max_unsent_bytes = max_unsent_bytes
        self._room_bytes = room_bytes
        self._on_message: Callable[[Message], None] | None = None
        self._on_close: list[Callable[[], None]] = []
        self._held: deque[Message] = deque(maxlen=MAX_HELD_MESSAGES)
        self._fragments: list[bytes] = []
        self.ended = False

    @property
    def is_open(self) -> bool:
        return not self.ended and self.protocol.state is State.OPEN

    @property
    def has_room(self) -> bool:
        """The peer reads what it is sent, or is gone: sending now adds to no pile."""
        return not self.is_open or self.transport.get_write_buffer_size() < self._room_bytes

    def listen(self, on_message: Callable[[Message], None]) -> None:
        """Hand messages to ``on_message`` from now on, beginning with those that came before."""
        self._on_message = on_message
        while self._held:
            on_message(self._held.popleft())

    def listen_no_more(self) -> None:
        """Keep what comes from now on for the next listener."""
        self._on_message = None

    def on_close(self, call: Callable[[], None]) -> None:
        """Call once when the connection has ended, however it did; at the next turn of the loop if it has."""
        if self.ended:
            self.loop.call_soon(call)
        else:
            self._on_close.append(call)

    def push(self, message: bytes | str) -> bool:
        """Send a binary (bytes) or text (str) message without waiting; False if the connection is not open."""
        if not self.is_open:
            return False
        # What waited before counts: one long message on a free socket is no sign of a peer that does not read.
        if self.transport.get_write_buffer_size() > self._max_unsent_bytes:
            self.transport.abort()
            return False
        if isinstance(message, str):
            self.transport.write(client_frame(Opcode.TEXT, message.encode()))
        else:
            self.transport.write(client_frame(Opcode.BINARY, message))
        return True

    def close_soon(self) -> None:
        """Begin the closing handshake and return; the socket is gone after ``close_timeout`` at the latest."""
        if self.is_open:
            with contextlib.suppress(OSError):
                self.protocol.send_close(1000)
                self.send_data()
        if not self.ended:
            self.loop.call_later(self.close_timeout or 0, self.transport.abort)

    def drop(self) -> None:
        """End it at once."""
        self.transport.abort()

    def process_event(self, event: Event) -> None:
        if self.response is not None and isinstance(event, Frame) and event.opcode in _DATA:
            self._take_frame(event)
        else:
            super().process_event(event)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._owner.made(self)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._owner.ended(self)
        self.ended = True
        callbacks, self._on_close = self._on_close, []
        for call in callbacks:
            call()

    def _take_frame(self, frame: Frame) -> None:
        data = bytes(frame.data)
        if self._fragments or not frame.fin:
            self._fragments.append(data)
            if not frame.fin:
                return
            data, self._fragments = b"".join(self._fragments), []
        if self._on_message is None:
            self._held.append(data)
        else:
            self._on_message(data)


_DATA = (Opcode.TEXT, Opcode.BINARY, Opcode.CONT)


@functools.cache
def tls_context() -> ssl.SSLContext:
    """One TLS context a process: making one reads the whole trust store (tens of ms)."""
    return ssl.create_default_context()


def connection_options(
    url: str, settings: SocketSettings, make: Callable[..., ClientConnection]
) -> dict[str, Any]:
    """Keyword arguments for ``websockets``' ``connect``; ``make`` is :func:`make_socket` with its first arguments
    given, or calls it."""
    options: dict[str, Any] = {
        "create_connection": make,
        "compression": None,
        "open_timeout": settings.open_timeout_s,
        "ping_interval": settings.ping_interval_s,
        "ping_timeout": settings.ping_timeout_s,
        "close_timeout": settings.close_timeout_s,
        "max_size": settings.max_message_bytes,
    }
    if url.startswith(("wss:", "https:")):
        options["ssl"] = tls_context()
    return options


def make_socket(
    settings: SocketSettings, owner: OpenConnections, protocol: ClientProtocol, **options: Any
) -> PushedSocket:
    """The connection factory that ``connect`` is given."""
    return PushedSocket(
        protocol,
        owner=owner,
        max_unsent_bytes=settings.max_unsent_bytes,
        room_bytes=settings.room_bytes,
        **options,
    )


async def open_socket(
    url: str, headers: Mapping[str, str], settings: SocketSettings, owner: OpenConnections
) -> PushedSocket:
    """Connect. Raises what :func:`translate` understands: OSError, TimeoutError or ``websockets``' exceptions."""
    options = connection_options(url, settings, functools.partial(make_socket, settings, owner))
    async with owner.dialling():
        socket = await connect(url, additional_headers=dict(headers), **options)
    assert isinstance(socket, PushedSocket)
    return socket


DIAL_ERRORS = (OSError, TimeoutError, InvalidHandshake, InvalidURI, ConnectionClosed)
"""What a failed connection attempt raises; the last if the connection ended before anything was asked on it."""


def translate(
    error: BaseException, *, provider: str, stage: str, base_url: str, detail_headers: tuple[str, ...] = ()
) -> ProviderError:
    """A failed connection attempt in our words. ``detail_headers`` of a refused upgrade say why, provider-wise."""
    status: int | None = None
    retryable = True
    if isinstance(error, InvalidStatus):
        response = error.response
        status = response.status_code
        retryable = status in (408, 429) or status >= 500
        details = [f"{name}: {response.headers[name]}" for name in detail_headers if name in response.headers]
        if not details and response.body:
            details = [bytes(response.body[:200]).decode(errors="replace").strip()]
        said = f" ({'; '.join(details)})" if details else ""
        message = f"{provider} refused the connection with status {status}{said}."
    elif isinstance(error, TimeoutError | asyncio.TimeoutError):
        message = f"{provider} at {base_url} did not answer in time."
    elif isinstance(error, InvalidURI):
        retryable = False
        message = (
            f"{provider}'s base URL {base_url!r} is not a URL one can connect to; use http:// or https://."
        )
    else:
        message = f"{provider} at {base_url} could not be reached: {error}."
    return ProviderError(message, provider=provider, stage=stage, retryable=retryable, status=status)


def websocket_url(base_url: str) -> str:
    """The ``ws(s)://`` form of an ``http(s)://`` base URL, without a trailing slash. Raises ValueError."""
    scheme, separator, rest = base_url.partition("://")
    schemes = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}
    if not separator or scheme not in schemes or not rest:
        raise ValueError(f"base URL {base_url!r} must begin with http:// or https://")
    return f"{schemes[scheme]}://{rest.rstrip('/')}"
