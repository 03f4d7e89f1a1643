"""One connection: WebSockets that are answered in the same call that received, and access to the socket below.

Owns uvicorn's protocol classes as the stand-ins use them, and carries faults out. Knows no provider. Messages reach
their handler without a queue or a task in between: a hundred calls send five thousand frames a second.
"""

import json
import time
from collections.abc import Callable
from typing import Any, cast
from urllib.parse import parse_qsl

from websockets.exceptions import InvalidState
from websockets.protocol import State

from repartee.standins.asgi_link import MessageSocket
from repartee.standins.faults import (
    FAULT_HEADER,
    FAULT_QUERY,
    IN_RESPONSE,
    KINDS,
    Fault,
    FaultBoard,
    FaultError,
    FaultGate,
    parse_fault_text,
)
from repartee.standins.stats import ProviderStats
from repartee.standins.uvicorn_insides import HttpToolsProtocol, WebSocketsSansIOProtocol

Scope = dict[str, Any]
UNREAD_LIMIT_BYTES = 8_000_000
"""A peer that lets this much pile up unread is cut off: no queue here is without a bound."""

HANDSHAKE_S = 10.0

AT_CONNECTION = frozenset(KINDS) - frozenset(IN_RESPONSE)
"""The kinds of faults that a connection or a request may have, whatever it is for."""


class DirectWebSocket(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket, whose messages go straight to ``on_message`` once that is set."""

    on_message: Callable[[str | bytes], None] | None = None
    deaf = False
    """Nothing is read or answered any more."""

    on_ping: Callable[[], None] | None = None

    def handle_ping(self) -> None:
        super().handle_ping()
        if self.on_ping is not None:
            self.on_ping()

    def handle_connect(self, event: Any) -> None:
        super().handle_connect(event)
        if hasattr(self, "scope"):
            cast(Scope, self.scope)["extensions"]["standins.socket"] = self

    def shutdown(self) -> None:
        if self.conn.state is State.CLOSING:  # the peer is saying goodbye already
            self.transport.close()
        else:
            super().shutdown()

    def data_received(self, data: bytes) -> None:
        if not self.deaf:
            super().data_received(data)

    def send_receive_event_to_app(self) -> None:
        if self.on_message is None:
            super().send_receive_event_to_app()
            return
        data = self.frames[0] if len(self.frames) == 1 else b"".join(self.frames)
        self.frames = []
        if self.close_sent:
            return
        if self.curr_msg_data_type == "bytes":
            self.on_message(data)
            return
        try:
            text = bytes(data).decode()
        except UnicodeDecodeError:
            self.push_close(1007, "text is not UTF-8")
            return
        self.on_message(text)

    def push(self, text: bytes) -> None:
        """Send one text message now; dropped once the connection is closing."""
        self._push(text, self.conn.send_text)

    def push_bytes(self, data: bytes) -> None:
        """The same with a binary message."""
        self._push(data, self.conn.send_binary)

    def _push(self, data: bytes, send: Callable[[bytes], None]) -> None:
        if self.close_sent or self.deaf or self.transport.is_closing():
            return
        try:
            send(data)
        except InvalidState:
            return
        self.transport.write(b"".join(self.conn.data_to_send()))
        if self.transport.get_write_buffer_size() > UNREAD_LIMIT_BYTES:
            self.transport.abort()

    def push_close(self, code: int, reason: str) -> None:
        """Begin the closing handshake; the peer has ten seconds to answer."""
        if self.close_sent or self.deaf or self.transport.is_closing():
            return
        try:
            self.conn.send_close(code, reason)
        except InvalidState:
            return
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.close_timer = self.loop.call_later(self.close_timeout, self.transport.close)

    def fall_silent(self) -> None:
        """Stay open, but read and answer nothing more: half-open, as seen from the peer."""
        self.deaf = True
        self.transport.pause_reading()


class PlainHttp(HttpToolsProtocol):
    """uvicorn's HTTP, which tells the application the socket below, so that a fault can reset it."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        cast(Scope, self.scope)["extensions"] = {"standins.transport": self.transport}


def headers_of(scope: Scope) -> dict[str, str]:
    """The request's headers, names in lower case; of repeated ones the last."""
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}


def query_of(scope: Scope) -> list[tuple[str, str]]:
    """The query's pairs, decoded; an empty value is kept."""
    return parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)


def fault_for(
    scope: Scope, provider: str, board: FaultBoard, kinds: frozenset[str] = AT_CONNECTION
) -> Fault | None:
    """The fault this connection or request asks for itself, or else the board's. Raises FaultError."""
    asked = headers_of(scope).get(FAULT_HEADER) or dict(query_of(scope)).get(FAULT_QUERY)
    if asked:
        return parse_fault_text(asked)
    return board.take(provider, kinds)


class Link:
    """One provider's WebSocket connection: accept or refuse, then send; with its fault and its counts."""

    def __init__(
        self, scope: Scope, receive: Any, send: Any, counts: Callable[[], ProviderStats], board: FaultBoard
    ) -> None:
        self.socket: DirectWebSocket | MessageSocket = scope["extensions"].get(
            "standins.socket"
        ) or MessageSocket(send)
        self.headers = headers_of(scope)
        self.query = query_of(scope)
        self.fault: Fault | None = None
        self.error_message: Callable[[Fault], str] | None = None
        self._scope = scope
        self._receive = receive
        self._send = send
        self._counts = counts
        self._board = board
        self._gate = FaultGate(None, 0.0)
        self._opened = False

    async def admit(self, provider: str) -> bool:
        """Take the connect event and find this connection's fault; False: refused, or hung to its end."""
        await self._receive()
        try:
            self.fault = fault_for(self._scope, provider, self._board)
        except FaultError as error:
            await self.refuse(400, {}, {"error": str(error)})
            return False
        if self.fault is not None and self.fault.kind == "hang_at_connect":
            await self._receive()
            return False
        return True

    async def accept(self, on_message: Callable[[str | bytes], None], headers: dict[str, str]) -> None:
        """Complete the handshake; from here on messages go to ``on_message`` (bytes or text)."""
        self.socket.on_message = on_message
        await self._send(
            {"type": "websocket.accept", "headers": [(k.encode(), v.encode()) for k, v in headers.items()]}
        )
        self._gate = FaultGate(self.fault, time.monotonic())
        counts = self._counts()
        counts.opened += 1
        counts.active += 1
        self._opened = True

    async def refuse(self, status: int, headers: dict[str, str], body: object) -> None:
        """Answer the handshake with an HTTP error and a JSON body."""
        self._counts().refused += 1
        content = json.dumps(body).encode()
        fields = {"content-type": "application/json", "connection": "close", **headers}
        await self._send(
            {
                "type": "websocket.http.response.start",
                "status": status,
                "headers": [(k.encode("latin-1"), v.encode("latin-1", "replace")) for k, v in fields.items()],
            }
        )
        await self._send({"type": "websocket.http.response.body", "body": content})

    async def closed(self) -> None:
        """Wait until the connection is gone, whoever closed it."""
        while (message := await self._receive())["type"] != "websocket.disconnect":
            if isinstance(self.socket, MessageSocket) and message["type"] == "websocket.receive":
                self.socket.take(message)
        if isinstance(self.socket, MessageSocket):
            self.socket.end()
        if self._opened:
            self._opened = False
            counts = self._counts()
            counts.active -= 1
            counts.closed += 1

    def send(self, message: str | bytes) -> None:
        """Send one message (JSON, or audio) now, unless this connection's fault has something else in mind."""
        binary = isinstance(message, bytes)
        content = message if isinstance(message, bytes) else message.encode()
        if self._gate.strikes(time.monotonic()) and self.fault is not None:
            self._strike(self.fault, content, binary=binary)
        elif not (self._gate.struck and self.fault is not None and self.fault.kind == "silent"):
            (self.socket.push_bytes if binary else self.socket.push)(content)
            self._counts().messages_out += 1

    def close(self, code: int, reason: str = "") -> None:
        """Close with this code."""
        self.socket.push_close(code, reason)

    def _strike(self, fault: Fault, content: bytes, *, binary: bool) -> None:
        match fault.kind:
            case "malformed":
                (self.socket.push_bytes if binary else self.socket.push)(content[: max(1, len(content) // 2)])
            case "close":
                self.close(fault.code, fault.reason)
            case "drop":
                self.socket.transport.abort()
            case "half_open":
                self.socket.fall_silent()
            case "error" if self.error_message is not None:
                self.socket.push(self.error_message(fault).encode())
