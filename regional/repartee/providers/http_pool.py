"""HTTP connections that are warm when a request needs one: a transport for the HTTP client of the official SDKs.

Owns one :class:`~repartee.pool.pool.Pool` of single connections, each warmed by a cheap GET. The client's own pool
can't do this: it opens a socket only while requests overlap, and loses one, unreplaced, with every stream that is
closed early (HTTP/1.1 has no other way to cancel). Here a lost one is replaced in the background, and the pool's
figures are the same as every other provider's.
"""

import ssl
from collections.abc import AsyncIterable, AsyncIterator, Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

import httpx2

from repartee.errors import ProviderError
from repartee.pool.lease import Lease
from repartee.pool.policy import PoolSettings
from repartee.pool.pool import Pool
from repartee.providers.http_line import HttpLine, Origin


@dataclass(frozen=True, slots=True)
class WarmUp:
    """The cheap request that opens and keeps a connection, and who to name when it fails."""

    url: str
    headers: Mapping[str, str]
    provider: str
    stage: str
    timeout_s: float = 5.0


class LineConnector:
    """Opens, keeps and closes lines for the pool."""

    def __init__(self, warm_up: WarmUp, tls: Callable[[], ssl.SSLContext]) -> None:
        self._warm_up = warm_up
        self._tls = tls

    async def dial(self, *, urgent: bool) -> HttpLine:
        line: HttpLine | None = None
        try:
            line = await self._open()
            if urgent:
                return line
            status, said = await self._get(line)
        except httpx2.TransportError as error:
            raise self._error(f"could not be reached at {self._warm_up.url} ({error})", True, None) from error
        except BaseException:
            if line is not None:
                line.close()
            raise
        if status in (401, 403):
            line.close()
            raise self._error(f"refused the API key (status {status}): {said}", False, status)
        return line

    async def _open(self) -> HttpLine:
        origin = Origin.of(httpx2.URL(self._warm_up.url), self._tls)
        return await HttpLine.open(origin, self._warm_up.timeout_s)

    def is_open(self, connection: HttpLine) -> bool:
        return connection.is_open

    def on_lost(self, connection: HttpLine, call: Callable[[], None]) -> None:
        connection.on_close(call)

    def keep_alive(self, connection: HttpLine) -> Coroutine[Any, Any, bool]:
        return self._check(connection)

    def close(self, connection: HttpLine) -> None:
        connection.close()

    async def _check(self, line: HttpLine) -> bool:
        try:
            status, _ = await self._get(line)
        except httpx2.TransportError:
            return False
        return status < 500

    async def _get(self, line: HttpLine) -> tuple[int, str]:
        warm_up = self._warm_up
        timeout = httpx2.Timeout(warm_up.timeout_s).as_dict()
        request = httpx2.Request(
            "GET", warm_up.url, headers=dict(warm_up.headers), extensions={"timeout": timeout}
        )
        response = await line.send(request)
        try:
            body = await response.aread()
        finally:
            await response.aclose()
        return response.status_code, body[:200].decode(errors="replace")

    def _error(self, what: str, retryable: bool, status: int | None) -> ProviderError:
        warm_up = self._warm_up
        return ProviderError(
            f"{warm_up.provider} {what}",
            provider=warm_up.provider,
            stage=warm_up.stage,
            retryable=retryable,
            status=status,
        )


class _LeasedStream(httpx2.AsyncByteStream):
    """A response's body; the connection goes back when it is closed, for reuse only if it was read to its end."""

    def __init__(self, stream: AsyncIterable[bytes], lease: Lease[HttpLine]) -> None:
        self._stream = stream
        self._lease = lease
        self._finished = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._stream:
            yield part
        self._finished = True

    async def aclose(self) -> None:
        try:
            if isinstance(self._stream, httpx2.AsyncByteStream):
                await self._stream.aclose()
        finally:
            self._lease.release(reusable=self._finished)


class PooledTransport(httpx2.AsyncBaseTransport):
    """Sends each request over a warm connection of its own.

    Requests fail with the pool's errors (ProviderError, PoolTimeout) beside the HTTP library's.
    """

    def __init__(
        self, name: str, warm_up: WarmUp, settings: PoolSettings, tls: Callable[[], ssl.SSLContext]
    ) -> None:
        self.pool: Pool[HttpLine] = Pool(name, LineConnector(warm_up, tls), settings)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        lease = await self.pool.acquire()
        try:
            response = await lease.connection.send(request)
        except BaseException:
            lease.release(reusable=False)
            raise
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        return httpx2.Response(
            status_code=response.status_code,
            headers=response.headers,
            stream=_LeasedStream(response.stream, lease),
            extensions=response.extensions,
        )

    async def aclose(self) -> None:
        await self.pool.aclose()
