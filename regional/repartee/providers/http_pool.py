"""HTTP connections that are warm when a request needs one: a transport for the HTTP client of the official SDKs.

Connections are single, each warmed by a cheap GET. The client's own pool
can't do this: it opens a socket only while requests overlap, and loses one, unreplaced, with every stream that is
closed early (HTTP/1.1 has no other way to cancel). Here a lost one is replaced in the background, and the pool's
figures are the same as every other provider's.
"""

import contextlib
import ssl
from collections.abc import AsyncIterable, AsyncIterator, Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

import httpx2
import msgspec

from repartee.errors import ProviderError
from repartee.pool.faults import MOST_WORDS
from repartee.pool.lease import Lease
from repartee.providers.chat_transfer import is_page
from repartee.providers.http_line import HttpLine, Origin
from repartee.providers.open_connections import OpenConnections
from repartee.providers.redirects import Moved, is_redirect, same_origin
from repartee.providers.vendor_errors import VendorErrors, is_retryable, retry_after_s
from repartee.wire import outside_json


@dataclass(frozen=True, slots=True)
class WarmUp:
    """The cheap request that opens and keeps a connection, and whose errors are raised when it fails.

    ``probe`` is a request such as a call makes, small: it decides where the cheap one is refused, since a key that
    may not do the one often may do the other. POSTed as JSON to ``probe_url``. ``learn`` hears of a body that is
    refused, with the status, the parameter at fault and the words; True: ask again with what ``probe`` gives now.
    """

    url: str
    headers: Mapping[str, str]
    errors: VendorErrors
    probe_url: str
    probe: Callable[[], Mapping[str, Any]]
    learn: Callable[[Mapping[str, Any], int, str | None, str], bool]
    timeout_s: float = 5.0
    probe_timeout_s: float = 5.0


class LineConnector:
    """Opens, keeps and closes lines for the pool."""

    def __init__(self, warm_up: WarmUp, tls: Callable[[], ssl.SSLContext], lines: OpenConnections) -> None:
        self._warm_up = warm_up
        self._errors = warm_up.errors
        self._tls = tls
        self._lines = lines
        self._moved = Moved(warm_up.errors)
        self._harmless = 0
        """The status with which the cheap request is refused although a call's is not."""
        self.keeps_open = True

    async def dial(self, *, urgent: bool) -> HttpLine:
        self._moved.check()
        line: HttpLine | None = None
        try:
            line = await self._open()
            if not urgent:
                line = await self._tried(line)
        except httpx2.TransportError as error:
            if line is not None:
                line.close()
            what = f"could not be reached at {self._warm_up.url}: {error or type(error).__name__}"
            raise self._errors.error(what) from error
        except BaseException:
            if line is not None:
                line.close()
            raise
        return line

    async def _tried(self, line: HttpLine) -> HttpLine:
        """The line, or another one, once the server has answered as it would a call. Raises ProviderError."""
        answer = await self._get(line)
        if answer.is_page:
            line.close()
            raise self._errors.error(f"answered with a web page at {self._warm_up.url}: {answer.said}")
        if answer.is_passing_fault:
            line.close()
            raise self._refused(answer, f"answers with status {answer.status} ({answer.said})")
        if is_redirect(answer.status) and not same_origin(answer.location, self._warm_up.url):
            line.close()
            raise self.redirected(answer.status, answer.location, self._warm_up.url)
        if answer.status >= 300 and answer.status != self._harmless:
            if not line.is_open:
                line = await self._open()
            await self._probe(line)
            self._harmless = answer.status
        self.keeps_open = not line.told_to_close
        return line

    async def _probe(self, line: HttpLine) -> None:
        """Ask as a call does: once, as it costs a few tokens."""
        try:
            answer = await self._asked(line)
        except BaseException:
            line.close()
            raise
        if answer.is_page:
            line.close()
            raise self._errors.error(f"answered with a web page at {self._warm_up.probe_url}: {answer.said}")
        if answer.status >= 300:
            line.close()
            if is_redirect(answer.status):
                raise self.redirected(answer.status, answer.location, self._warm_up.probe_url)
            what = (
                "refused the API key" if answer.status in (401, 403) else "refused a request such as a call's"
            )
            raise self._refused(answer, f"{what} (status {answer.status}): {answer.said}")

    async def _asked(self, line: HttpLine) -> "_Answered":
        """The answer to a call's request, without the parameters that the server turns out not to take."""
        warm_up = self._warm_up
        headers = {**warm_up.headers, "Content-Type": "application/json"}
        while True:
            asked = warm_up.probe()
            body = msgspec.json.encode(asked)
            answer = await self._send(line, "POST", warm_up.probe_url, headers, body, warm_up.probe_timeout_s)
            if not (line.is_open and warm_up.learn(asked, answer.status, answer.param, answer.said)):
                return answer

    async def probe(self) -> None:
        """Make a request such as a call's, on a line of its own. Raises ProviderError."""
        try:
            line = await self._open()
            await self._probe(line)
        except httpx2.TransportError as error:
            what = f"could not be asked at {self._warm_up.probe_url}: {error or type(error).__name__}"
            raise self._errors.error(what) from error
        line.close()

    def redirected(self, status: int, location: str | None, asked: str) -> ProviderError:
        """The error for an answer that redirects; nobody asks there again for a while."""
        return self._moved.redirected(status, location, asked)

    async def _open(self) -> HttpLine:
        origin = Origin.of(httpx2.URL(self._warm_up.url), self._tls)
        return await HttpLine.open(origin, self._warm_up.timeout_s, self._lines)

    def is_open(self, connection: HttpLine) -> bool:
        return connection.is_open

    def has_answered(self, connection: HttpLine) -> bool:
        return connection.has_answered

    def why_lost(self, connection: HttpLine) -> ProviderError | None:
        if connection.told_to_close:
            return None
        return self._errors.error("closed a connection before it could be used")

    def on_lost(self, connection: HttpLine, call: Callable[[], None]) -> None:
        connection.on_close(call)

    def keep_alive(self, connection: HttpLine) -> Coroutine[Any, Any, bool]:
        return self._check(connection)

    def close(self, connection: HttpLine) -> None:
        connection.close()

    async def _check(self, line: HttpLine) -> bool:
        try:
            answer = await self._get(line)
        except httpx2.TransportError:
            return False
        redirects = is_redirect(answer.status) and answer.status != self._harmless
        return not (answer.is_passing_fault or redirects)

    async def _get(self, line: HttpLine) -> "_Answered":
        warm_up = self._warm_up
        return await self._send(line, "GET", warm_up.url, warm_up.headers, b"", warm_up.timeout_s)

    async def _send(
        self, line: HttpLine, method: str, url: str, headers: Mapping[str, str], body: bytes, timeout_s: float
    ) -> "_Answered":
        extensions = {"timeout": {"read": timeout_s}}
        request = httpx2.Request(
            method, url, headers=dict(headers), content=body or None, extensions=extensions
        )
        response = await line.send(request)
        try:
            body = await response.aread()
        finally:
            await response.aclose()
        said, param = _words(body)
        where = response.headers.get("location")
        page = response.status_code < 300 and is_page(response.headers)
        return _Answered(response.status_code, said, param, retry_after_s(response.headers), where, page)

    def _refused(self, answer: "_Answered", what: str) -> ProviderError:
        return self._errors.error(what, status=answer.status, retry_after_s=answer.retry_after_s)


@dataclass(frozen=True, slots=True)
class _Answered:
    """A request's answer: its status, its words, the parameter at fault, for how long it asks to be left alone, and
    where it redirects to."""

    status: int
    said: str
    param: str | None
    retry_after_s: float | None
    location: str | None
    is_page: bool = False
    """It says that all is well, and is a page for people: an address that is not the API's, or a portal's."""

    @property
    def is_passing_fault(self) -> bool:
        """The server, and not the request, is at fault, or it wants to be asked less."""
        return self.status >= 400 and is_retryable(self.status)


def _words(answer: bytes) -> tuple[str, str | None]:
    """What a refusal says, and of which parameter: as in OpenAI's form of errors, or its text as it is."""
    with contextlib.suppress(msgspec.MsgspecError):
        fault = _REFUSAL.decode(answer).error
        if fault.message:
            return fault.message[:MOST_WORDS], fault.param
    return " ".join(answer[:MOST_WORDS].decode(errors="replace").split()), None


class _Fault(msgspec.Struct):
    message: str = ""
    param: str | None = None


class _Refusal(msgspec.Struct):
    error: _Fault


_REFUSAL = outside_json.Decoder[_Refusal](_Refusal)


class _LeasedStream(httpx2.AsyncByteStream):
    """A response's body; the connection goes back when it is closed, for reuse only if it was read to its end."""

    def __init__(
        self, stream: AsyncIterable[bytes], lease: Lease[HttpLine], connector: LineConnector
    ) -> None:
        self._stream = stream
        self._lease = lease
        self._connector = connector
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
            if self._finished and self._lease.connection.is_open:
                self._connector.keeps_open = True
            self._lease.release(reusable=self._finished)


class PooledTransport(httpx2.AsyncBaseTransport):
    """Sends each request over a warm connection of its own, which ``acquire`` gives.

    Requests fail with its errors (ProviderError, PoolTimeout) beside the HTTP library's. An answer that redirects is
    refused: to follow it would be to ask the same host for another's path.
    """

    def __init__(
        self, acquire: Callable[[], Coroutine[Any, Any, Lease[HttpLine]]], connector: LineConnector
    ) -> None:
        self._acquire = acquire
        self._connector = connector

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        lease = await self._acquire()
        try:
            response = await lease.connection.send(request)
        except BaseException:
            lease.release(reusable=False)
            raise
        if is_redirect(response.status_code):
            await response.aclose()
            lease.release(reusable=False)
            raise self._connector.redirected(
                response.status_code, response.headers.get("location"), str(request.url)
            )
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        return httpx2.Response(
            status_code=response.status_code,
            headers=response.headers,
            stream=_LeasedStream(response.stream, lease, self._connector),
            extensions=response.extensions,
        )
