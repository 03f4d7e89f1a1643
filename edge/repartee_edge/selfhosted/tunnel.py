"""uvicorn's side of a WebSocket that the edge passes on without reading its frames.

``TunnelProtocol`` takes the place of uvicorn's WebSocket implementation: it hands the handshake to the ASGI app as a
``websocket`` scope with the extension ``repartee.tunnel``. The app either denies it, as ASGI says, or joins it to an
open connection to a region.
"""

import asyncio
import logging
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import unquote

import h11
from starlette.websockets import WebSocket
from uvicorn import Config

from repartee_edge.selfhosted.bridge import Bridge
from repartee_edge.selfhosted.pipe import join
from repartee_edge.selfhosted.upstream import MAX_HEAD_BYTES, Upstream
from repartee_edge.selfhosted.uvicorn_insides import ServerState, loaded

EXTENSION = "repartee.tunnel"
# Of the region's handshake answer these reach the client; the rest is about the edge's own connection.
ANSWER_HEADERS = ("sec-websocket-accept", "sec-websocket-protocol", "sec-websocket-extensions")
logger = logging.getLogger(__name__)


class Tunnel:
    """What the app is given in the scope: the client's side of the handshake, still open."""

    def __init__(self, transport: asyncio.Transport, connection: h11.Connection) -> None:
        self._transport = transport
        self._connection = connection
        self.joined = False

    def passes_on(self, header: bytes) -> bool:
        """Whether this header of the handshake is for the region."""
        return True

    async def join(self, upstream: Upstream, region: str) -> None:
        """Answer the client as the region did, then pump bytes both ways until either side ends."""
        answer = [(name, value) for name, value in upstream.headers if name in ANSWER_HEADERS]
        head = [("upgrade", "websocket"), ("connection", "Upgrade"), *answer, ("x-repartee-region", region)]
        self.joined = True
        self._transport.pause_reading()
        switching = h11.InformationalResponse(status_code=101, headers=head, reason="Switching Protocols")
        self._transport.write((self._connection.send(switching) or b"") + upstream.early)
        sent_early = self._connection.trailing_data[0]
        if sent_early:
            upstream.transport.write(sent_early)
        await join(self._transport, upstream.transport)


def tunnel_of(websocket: WebSocket) -> Tunnel | Bridge:
    """The tunnel of a WebSocket that TunnelProtocol took; under another server a bridge."""
    found = websocket.scope.get("extensions", {}).get(EXTENSION)
    return found if isinstance(found, Tunnel) else Bridge(websocket)


class TunnelProtocol(asyncio.Protocol):
    """One client's handshake; uvicorn makes it when a request asks for an upgrade to WebSocket."""

    def __init__(self, config: Config, server_state: ServerState, app_state: dict[str, Any]) -> None:
        self._app = loaded(config)
        self._config = config
        self._state = server_state
        self._app_state = app_state
        self._connection = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)
        self._transport: asyncio.Transport | None = None
        self._task: asyncio.Task[None] | None = None
        self._tunnel: Tunnel | None = None
        self._early_bytes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A cast and no check: uvloop's transports are none of asyncio's.
        self._transport = cast(asyncio.Transport, transport)
        self._state.connections.add(self)  # type: ignore[arg-type]

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        try:
            self._early_bytes += len(data)
            if self._early_bytes > MAX_HEAD_BYTES:
                self._transport.abort()
                return
            self._connection.receive_data(data)
            if self._task is not None:
                return
            event = self._connection.next_event()
        except h11.RemoteProtocolError:
            self._transport.close()
            return
        if isinstance(event, h11.Request):
            self._tunnel = Tunnel(self._transport, self._connection)
            self._connection.next_event()
            self._task = asyncio.get_running_loop().create_task(self._run(self._scope(event)))
            self._state.tasks.add(self._task)
            self._task.add_done_callback(self._finished)

    def connection_lost(self, exc: Exception | None) -> None:
        self._state.connections.discard(self)
        if self._task is not None:
            self._task.cancel()

    def shutdown(self) -> None:
        """uvicorn stops: sessions under way go on until its graceful time-out cancels their tasks."""

    def _scope(self, request: h11.Request) -> dict[str, Any]:
        assert self._transport is not None
        raw_path, _, query = request.target.partition(b"?")
        headers = [(name, value) for name, value in request.headers]
        offered = b",".join(value for name, value in headers if name == b"sec-websocket-protocol").decode(
            "latin-1"
        )
        return {
            "type": "websocket",
            "asgi": {"version": self._config.asgi_version, "spec_version": "2.4"},
            "http_version": "1.1",
            "scheme": "wss" if self._transport.get_extra_info("sslcontext") else "ws",
            "server": self._transport.get_extra_info("sockname"),
            "client": self._transport.get_extra_info("peername"),
            "root_path": self._config.root_path,
            "path": unquote(raw_path.decode("ascii")),
            "raw_path": raw_path,
            "query_string": query,
            "headers": headers,
            "subprotocols": [item.strip() for item in offered.split(",") if item.strip()],
            "state": self._app_state.copy(),
            "extensions": {"websocket.http.response": {}, EXTENSION: self._tunnel},
        }

    async def _run(self, scope: dict[str, Any]) -> None:
        try:
            await self._app(scope, self._receive, self._send)
        except Exception:
            logger.exception("the session's handler failed; ending this session")
            if self._connection.our_state is h11.SEND_RESPONSE:
                await self._deny(500, [], b"")

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._state.tasks.discard(task)
        self._state.connections.discard(self)
        if self._transport is not None and self._tunnel is not None and not self._tunnel.joined:
            self._transport.close()

    async def _receive(self) -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def _send(self, message: Any) -> None:
        assert self._transport is not None
        kind = message["type"]
        if kind == "websocket.http.response.start":
            headers = [*message.get("headers", ()), (b"connection", b"close")]
            self._write_head(message["status"], headers)
        elif kind == "websocket.http.response.body":
            self._write(self._connection.send(h11.Data(data=message.get("body", b""))))
            if not message.get("more_body", False):
                self._write(self._connection.send(h11.EndOfMessage()))
        elif kind == "websocket.close" and self._connection.our_state is h11.SEND_RESPONSE:
            await self._deny(403, [], b"")
        elif kind == "websocket.accept":
            raise RuntimeError("a tunnel is joined to a region, never accepted by the app")

    async def _deny(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        self._write_head(
            status, [*headers, (b"content-length", b"%d" % len(body)), (b"connection", b"close")]
        )
        self._write(self._connection.send(h11.Data(data=body)))
        self._write(self._connection.send(h11.EndOfMessage()))

    def _write_head(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        reason = HTTPStatus(status).phrase.encode()
        self._write(self._connection.send(h11.Response(status_code=status, headers=headers, reason=reason)))

    def _write(self, data: bytes | None) -> None:
        if data and self._transport is not None:
            self._transport.write(data)
