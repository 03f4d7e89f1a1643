"""One HTTP/1.1 connection, one request at a time, with as little as possible between its socket and its reader.

Owns what goes over the wire; the parsing is httptools' (llhttp). A token of a streamed reply costs a twentieth of a
millisecond here and half a one through a general HTTP client, which is what decides how many calls share a core. It
goes through a proxy by a tunnel, treats a redirect like any answer, and knows no HTTP/2. Knows neither pool nor
provider; failures are the HTTP library's exceptions, which the official SDKs understand.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import cast

import httptools
import httpx2

from repartee.providers.open_connections import OpenConnections
from repartee.providers.tunnel import dialled

MAX_UNREAD_BYTES = 2**18
"""More than this waiting for the reader, and the peer is made to wait."""

MAX_HEAD_BYTES = 2**16
"""Of an answer's head, with all that may go before it. A server that sends more is broken."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a connection goes; ``tls`` None for plain HTTP."""

    host: str
    port: int
    tls: ssl.SSLContext | None

    @classmethod
    def of(cls, url: httpx2.URL, tls: Callable[[], ssl.SSLContext]) -> "Origin":
        secure = url.scheme == "https"
        return cls(url.host, url.port or (443 if secure else 80), tls() if secure else None)


class HttpLine(asyncio.Protocol):
    """A connection. What :meth:`send` gives must be read to its end, or closed, before the next request."""

    def __init__(self, owner: OpenConnections) -> None:
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._answer: _Answer | None = None
        self._on_close: list[Callable[[], None]] = []
        self._ended = False
        self.has_answered = False
        """A request has been answered on it, whole."""
        self.told_to_close = False
        """The server has said that it ends the connection after this answer (or its answer ends with it)."""

    @classmethod
    async def open(cls, origin: Origin, timeout_s: float, owner: OpenConnections) -> "HttpLine":
        """Connect. Raises httpx2.ConnectError or httpx2.ConnectTimeout."""
        loop = asyncio.get_running_loop()
        try:
            async with owner.dialling(), asyncio.timeout(timeout_s):
                _, line = await loop.create_connection(
                    lambda: cls(owner),
                    sock=await dialled(origin.host, origin.port, secure=origin.tls is not None),
                    ssl=origin.tls,
                    server_hostname=origin.host if origin.tls else None,
                )
        except TimeoutError as error:
            raise httpx2.ConnectTimeout(f"no connection within {timeout_s:g} s") from error
        except OSError as error:
            raise httpx2.ConnectError(str(error)) from error
        return line

    @property
    def is_open(self) -> bool:
        return not self._ended and self._transport is not None and not self._transport.is_closing()

    def on_close(self, call: Callable[[], None]) -> None:
        """Call once when the connection has ended; at the next turn of the loop if it has."""
        if self._ended:
            self._loop.call_soon(call)
        else:
            self._on_close.append(call)

    def close(self) -> None:
        """End the connection at once, whatever is under way on it."""
        if self._transport is not None:
            self._transport.abort()

    close_soon = drop = close
    """HTTP/1.1 has no goodbyes."""

    async def send(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request and wait for the head of its answer. Raises httpx2.TransportError."""
        if self._answer is not None or not self.is_open or self._transport is None:
            raise httpx2.WriteError("the connection is in use or has ended")
        body = await request.aread()
        read_timeout_s = request.extensions.get("timeout", {}).get("read")
        answer = self._answer = _Answer(
            self._transport, read_timeout_s, self._on_complete, self._on_announced
        )
        self._transport.write(_head(request) + body)
        try:
            await answer.head()
        except BaseException:
            self.close()
            raise
        return httpx2.Response(answer.status, headers=answer.headers, stream=answer)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._owner.made(self)

    def data_received(self, data: bytes) -> None:
        if self._answer is None:
            self.close()  # nothing was asked: this is not HTTP, or the end of an answer nobody wanted
        else:
            self._answer.receive(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended = True
        self._owner.ended(self)
        if self._answer is not None:
            self._answer.lost(exc)
        callbacks, self._on_close = self._on_close, []
        for call in callbacks:
            call()

    def _on_complete(self, reusable: bool) -> None:
        self._answer = None
        self.has_answered = self.has_answered or reusable
        if not reusable:
            self.close()

    def _on_announced(self) -> None:
        self.told_to_close = True


def _head(request: httpx2.Request) -> bytes:
    lines = [b"%s %s HTTP/1.1\r\n" % (request.method.encode("ascii"), request.url.raw_path)]
    lines += [b"%s: %s\r\n" % header for header in request.headers.raw]
    lines.append(b"\r\n")
    return b"".join(lines)


class _Answer(httpx2.AsyncByteStream):
    """A response as it arrives: filled by the socket, read by one reader."""

    def __init__(
        self,
        transport: asyncio.Transport,
        read_timeout_s: float | None,
        on_complete: Callable[[bool], None],
        on_announced: Callable[[], None],
    ) -> None:
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self._transport = transport
        self._on_complete = on_complete
        self._on_announced = on_announced
        self._parser = httptools.HttpResponseParser(self)
        self._pieces: deque[bytes] = deque()
        self._unread = 0
        self._head_bytes = 0
        self._has_head = False
        self._complete = False
        self._until_eof = True
        self._error: httpx2.TransportError | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._timeout_s = read_timeout_s
        self._active_at = self._loop.time()
        self._timer = (
            None if read_timeout_s is None else self._loop.call_later(read_timeout_s, self._on_timer)
        )

    # --- the reader's side ---------------------------------------------------------------------------------------

    async def head(self) -> None:
        while not self._has_head:
            await self._more()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            while self._pieces:
                piece = self._pieces.popleft()
                self._unread -= len(piece)
                if self._unread < MAX_UNREAD_BYTES:
                    self._transport.resume_reading()
                yield piece
            if self._complete:
                return
            await self._more()

    async def aclose(self) -> None:
        """Finish with the answer; in the middle of one, that ends the connection."""
        if not self._complete:
            self._finish(reusable=False)

    async def _more(self) -> None:
        if self._error is not None:
            raise self._error
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    # --- the socket's side ---------------------------------------------------------------------------------------

    def receive(self, data: bytes) -> None:
        self._active_at = self._loop.time()
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(httpx2.RemoteProtocolError(f"not HTTP: {error}"))
        if not self._has_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._fail(httpx2.RemoteProtocolError("the answer's head is endless"))
        self._wake()

    def lost(self, exc: Exception | None) -> None:
        if self._has_head and self._until_eof and exc is None:
            self._on_announced()
            self._finish(reusable=False)
        else:
            why = str(exc) if exc is not None else "the server closed the connection"
            self._fail(httpx2.RemoteProtocolError(why))
        self._wake()

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value))
        if name.lower() in (b"content-length", b"transfer-encoding"):
            self._until_eof = False

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()
        if self.status < 200:
            self.headers = []  # "early hints" and the like: the answer is still to come
        else:
            self._has_head = True

    def on_body(self, body: bytes) -> None:
        self._pieces.append(body)
        self._unread += len(body)
        if self._unread >= MAX_UNREAD_BYTES:
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        if self._has_head:
            keeps = self._parser.should_keep_alive()
            if not keeps:
                self._on_announced()
            self._finish(reusable=keeps)

    def _on_timer(self) -> None:
        assert self._timeout_s is not None
        left_s = self._active_at + self._timeout_s - self._loop.time()
        if self._pieces:
            left_s = self._timeout_s  # the reader is slow, not the server
        if left_s > 0:
            self._timer = self._loop.call_later(left_s, self._on_timer)
        else:
            self._fail(httpx2.ReadTimeout(f"nothing received for {self._timeout_s:g} s"))
            self._wake()

    def _fail(self, error: httpx2.TransportError) -> None:
        if not self._complete and self._error is None:
            self._error = error
            self._stop_timer()
            self._on_complete(False)

    def _finish(self, *, reusable: bool) -> None:
        if not self._complete:
            self._complete = True
            self._stop_timer()
            self._on_complete(reusable)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
