"""The edge's side of a connection to a region: one WebSocket handshake, after which the stream is raw.

Owns the dialling of a region and what counts as its refusal. Must not know of clients or of placement.
"""

import asyncio
import base64
import hashlib
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast
from urllib.parse import urlsplit

import h11

from repartee_edge.connecting import CallerAtFault, DialFailed
from repartee_edge.failover import RegionFault, is_callers
from repartee_edge.regions import Region

ACCEPT_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
MAX_HEAD_BYTES = 64 * 1024
MAX_REFUSAL_BYTES = 16 * 1024

Headers = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Upstream:
    """An open WebSocket to a region, paused for reading. ``early`` is what came right behind the handshake."""

    transport: asyncio.Transport
    headers: tuple[tuple[str, str], ...]
    early: bytes

    def discard(self) -> None:
        self.transport.abort()


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a region answered to a request that is the caller's own fault."""

    status: int
    content_type: str
    body: bytes


class _Handshake(asyncio.Protocol):
    """Sends the request and waits for the end of the answer's head; for a refusal, of its body too."""

    def __init__(self, request: h11.Request, region: str) -> None:
        self._request = request
        self._region = region
        self._connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD_BYTES)
        self._transport: asyncio.Transport | None = None
        self._refusal: h11.Response | None = None
        self._refusal_body = bytearray()
        self.answer: asyncio.Future[Upstream] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A cast and no check: uvloop's transports are none of asyncio's.
        opened = self._transport = cast(asyncio.Transport, transport)
        opened.write(self._connection.send(self._request) or b"")
        opened.write(self._connection.send(h11.EndOfMessage()) or b"")

    def data_received(self, data: bytes) -> None:
        if self.answer.done() or self._transport is None:
            return
        self._connection.receive_data(data)
        try:
            while not self.answer.done():
                event = self._connection.next_event()
                if event is h11.NEED_DATA or event is h11.PAUSED:
                    return
                self._receive(event)
        except h11.RemoteProtocolError:
            self._fail(RegionFault(self._region, "unreachable"))

    def _receive(self, event: object) -> None:
        match event:
            case h11.InformationalResponse(status_code=101):
                self._switched(event)
            case h11.Response() if is_callers(event.status_code):
                self._refusal = event
            case h11.Response():
                self._fail(RegionFault(self._region, "status", event.status_code, _retry_after_s(event)))
            case h11.Data() if len(self._refusal_body) < MAX_REFUSAL_BYTES:
                self._refusal_body += event.data
            case h11.EndOfMessage():
                self._refused()

    def _refused(self) -> None:
        assert self._refusal is not None
        status = self._refusal.status_code
        kind = dict(self._refusal.headers).get(b"content-type", b"text/plain").decode("latin-1")
        refusal = Refusal(status, kind, bytes(self._refusal_body[:MAX_REFUSAL_BYTES]))
        self._end(CallerAtFault(self._region, refusal))

    def _switched(self, event: h11.InformationalResponse) -> None:
        assert self._transport is not None
        headers = tuple((name.decode("ascii"), value.decode("latin-1")) for name, value in event.headers)
        key = next(value for name, value in self._request.headers if name == b"sec-websocket-key")
        if dict(headers).get("sec-websocket-accept") != accept_value(key):
            self._fail(RegionFault(self._region, "unreachable"))
            return
        self._transport.pause_reading()
        self.answer.set_result(Upstream(self._transport, headers, self._connection.trailing_data[0]))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._refusal is not None:
            self._refused()
        self._fail(RegionFault(self._region, "unreachable"))

    def _fail(self, fault: RegionFault) -> None:
        self._end(DialFailed(fault))

    def _end(self, why: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(why)
        if self._transport is not None:
            self._transport.abort()


class Dialler:
    """Opens WebSockets to regions."""

    def __init__(self) -> None:
        self._tls = ssl.create_default_context()

    async def dial(self, region: Region, target: str, headers: Headers) -> Upstream:
        """Ask ``region`` for the WebSocket at ``target`` (path and query) with the client's handshake headers.

        Raises DialFailed or CallerAtFault. There is no deadline here: cancel it, and the connection is closed.
        """
        parts = urlsplit(region.origin)
        tls = parts.scheme == "https"
        fields = [("host", parts.netloc), ("connection", "Upgrade"), *headers]
        try:
            request = h11.Request(method="GET", target=target, headers=fields)
        except h11.LocalProtocolError:
            refusal = Refusal(400, "text/plain", b"this handshake can't be passed on")
            raise CallerAtFault(region.name, refusal) from None
        handshake = _Handshake(request, region.name)
        transport: asyncio.Transport | None = None
        try:
            transport, _ = await asyncio.get_running_loop().create_connection(
                lambda: handshake,
                parts.hostname or "",
                parts.port or (443 if tls else 80),
                ssl=self._tls if tls else None,
            )
            return await handshake.answer
        except OSError:
            raise DialFailed(RegionFault(region.name, "unreachable")) from None
        except asyncio.CancelledError:
            if transport is not None:
                transport.abort()
            raise
        finally:
            if not handshake.answer.done():
                handshake.answer.cancel()


def accept_value(key: bytes) -> str:
    """What a server answers to a Sec-WebSocket-Key (RFC 6455, 4.2.2)."""
    return base64.b64encode(hashlib.sha1(key + ACCEPT_GUID).digest()).decode()


def _retry_after_s(response: h11.Response) -> float | None:
    value = next((value for name, value in response.headers if name == b"retry-after"), b"")
    return float(value) if value.isdigit() else None
