"""A WebSocket client that costs next to nothing to send with: frames are laid out once and written many times.

Owns the connection's bytes; the protocol itself is the `websockets` library's, without its I/O. For load generators:
frames are masked with zeros, which hides nothing from an intermediary, so it must only talk to servers of one's own.
"""

import asyncio
from collections.abc import Callable
from typing import cast
from urllib.parse import urlsplit

from websockets.client import ClientProtocol
from websockets.frames import OP_BINARY, OP_CLOSE, OP_TEXT, Frame, Opcode
from websockets.http11 import Response
from websockets.uri import parse_uri

from repartee.client.faults import CallFailed, broken_off, refused, unreachable

FIN = 0x80
MASKED = 0x80
ZERO_MASK = bytes(4)
MAX_MESSAGE_BYTES = 2**22

Receiver = Callable[[bytes, bool], None]
"""Takes a message's payload and whether it is text."""


def laid_out(payload: bytes, *, text: bool) -> bytes:
    """A whole message as the bytes of one masked frame."""
    opcode = OP_TEXT if text else OP_BINARY
    size = len(payload)
    if size < 126:
        length = bytes([MASKED | size])
    elif size < 65_536:
        length = bytes([MASKED | 126]) + size.to_bytes(2, "big")
    else:
        length = bytes([MASKED | 127]) + size.to_bytes(8, "big")
    return bytes([FIN | opcode]) + length + ZERO_MASK + payload


class LeanSocket(asyncio.Protocol):
    """One connection; ``receive`` is called with every message as it comes."""

    def __init__(self, url: str, api_key: str, receive: Receiver) -> None:
        self.url = url
        self.closed: str | None = None
        self._receive = receive
        self._key = api_key
        self._protocol = ClientProtocol(parse_uri(url), max_size=MAX_MESSAGE_BYTES)
        self._transport: asyncio.Transport | None = None
        self._opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._partial: list[Frame] = []

    async def opened(self, timeout_s: float) -> None:
        """Wait for the handshake. Raises CallFailed."""
        try:
            await asyncio.wait_for(self._opened, timeout_s)
        except TimeoutError as error:
            raise unreachable(self.url, error) from None

    def write(self, frame: bytes) -> None:
        """Send a frame made by :func:`laid_out`; dropped once the connection is closed."""
        if self.closed is None and self._transport is not None:
            self._transport.write(frame)

    def close(self) -> None:
        """Close in good order."""
        if self.closed is None and self._transport is not None:
            self._protocol.send_close(1000)
            self._flush()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by name
        request = self._protocol.connect()
        if self._key:
            request.headers["Authorization"] = f"Bearer {self._key}"
        self._protocol.send_request(request)
        self._flush()

    def data_received(self, data: bytes) -> None:
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            if isinstance(event, Response):
                self._answered(event)
            elif isinstance(event, Frame):
                self.take(event)
        self._flush()

    def eof_received(self) -> None:
        self._protocol.receive_eof()
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = self.closed or "the connection was lost"
        if not self._opened.done():
            self._opened.set_exception(unreachable(self.url, exc or ConnectionResetError("closed at once")))
        elif not self._opened.cancelled():
            self._opened.exception()

    def _answered(self, response: Response) -> None:
        if self._opened.done():
            return
        if self._protocol.handshake_exc is None:
            self._opened.set_result(None)
        else:
            body = bytes(response.body or b"").decode("utf-8", "replace")
            retry_after = response.headers.get("Retry-After")
            self._opened.set_exception(refused(self.url, response.status_code, body, retry_after))

    def take(self, frame: Frame) -> None:
        """A frame has come: a whole message, a piece of one, or the end."""
        if frame.opcode is OP_CLOSE:
            code = int.from_bytes(bytes(frame.data)[:2], "big") if frame.data else None
            self.closed = str(broken_off(code, bytes(frame.data)[2:].decode("utf-8", "replace")))
        elif frame.opcode in (OP_TEXT, OP_BINARY, Opcode.CONT):
            if frame.fin and not self._partial:
                self._receive(bytes(frame.data), frame.opcode is OP_TEXT)
                return
            self._partial.append(frame)
            if frame.fin:
                whole = b"".join(bytes(part.data) for part in self._partial)
                is_text = self._partial[0].opcode is OP_TEXT
                self._partial = []
                self._receive(whole, is_text)

    def _flush(self) -> None:
        assert self._transport is not None
        for data in self._protocol.data_to_send():
            if data:
                self._transport.write(data)
            else:
                self._transport.close()


async def open_socket(url: str, api_key: str, receive: Receiver, *, timeout_s: float = 15.0) -> LeanSocket:
    """Connect to a ws:// URL. Raises CallFailed."""
    parts = urlsplit(url)
    if parts.scheme != "ws" or not parts.hostname:
        raise CallFailed(f"A load is put on ws:// addresses only, not on {url}.")
    loop = asyncio.get_running_loop()
    try:
        _, socket = await asyncio.wait_for(
            loop.create_connection(
                lambda: LeanSocket(url, api_key, receive), parts.hostname, parts.port or 80
            ),
            timeout_s,
        )
    except (OSError, TimeoutError) as error:
        raise unreachable(url, error) from None
    await socket.opened(timeout_s)
    return socket
