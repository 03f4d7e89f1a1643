"""Rare requests, each on a connection of its own, by the same way out as all others.

For what official SDKs ask beside the calls, and for the doctor. Redirects are answers like others.
"""

from collections.abc import AsyncIterator, Callable

import httpx2

from repartee.providers.http_line import HttpLine, Origin
from repartee.providers.open_connections import OpenConnections
from repartee.providers.sockets import tls_context

CONNECT_S = 5.0


class SingleRequests(httpx2.AsyncBaseTransport):
    """A transport for the HTTP client of the official SDKs. Requests fail with the HTTP library's exceptions.

    ``on_open`` is called each time there is a connection, before the request goes out on it.
    """

    def __init__(self, connect_s: float = CONNECT_S, on_open: Callable[[], None] = lambda: None) -> None:
        self._connect_s = connect_s
        self._on_open = on_open
        self._lines = OpenConnections(connect_s)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        line = await HttpLine.open(Origin.of(request.url, tls_context), self._connect_s, self._lines)
        self._on_open()
        try:
            response = await line.send(request)
        except BaseException:
            line.close()
            raise
        return httpx2.Response(
            status_code=response.status_code,
            headers=response.headers,
            stream=_ClosingStream(response.stream, line),
        )

    async def aclose(self) -> None:
        await self._lines.aclose()


class _ClosingStream(httpx2.AsyncByteStream):
    """A response's body, with whose end the connection ends."""

    def __init__(self, stream: object, line: HttpLine) -> None:
        assert isinstance(stream, httpx2.AsyncByteStream)
        self._stream = stream
        self._line = line

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._stream:
            yield part

    async def aclose(self) -> None:
        await self._stream.aclose()
        self._line.close()
