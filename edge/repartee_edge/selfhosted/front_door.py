"""uvicorn's HTTP connection, with bounds on what a client may send, hold and wait for before anybody knows it.

uvicorn bounds neither how long a head may take nor how large one is that comes all at once, and of a handshake that
its WebSocket library cannot read it says nothing. Here such requests are answered and their connections closed.
"""

import asyncio
import json
import logging
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Any, cast

import h11

from repartee_edge.selfhosted.heads import DoorLimits, HeadFault, HeadMeter, HeadTooLarge
from repartee_edge.selfhosted.refusals import Refusals
from repartee_edge.selfhosted.uvicorn_insides import H11Protocol, Inside, has

LINGER_S = 2.0
"""How long a refused client may go on sending, unread, so that it reads its answer before the connection is reset."""

HELD_BYTES = 64 * 1024
"""Bytes that may wait behind a request under way before reading pauses."""

MALFORMED = HeadFault(400, "malformed_request", "This is not a well-formed HTTP request.")
TOO_SLOW = HeadFault(408, "request_timeout", "The request took too long to come.")
BAD_HANDSHAKE = HeadFault(
    400,
    "bad_handshake",
    "This is not a WebSocket handshake: it must be a GET, and nothing may follow its head.",
)

logger = logging.getLogger(__name__)
# uvicorn warns of each request that it cannot read; ``Refusals`` does so at a bounded rate. This logger is not a
# registered one: uvicorn's configuration of logs would reset its level.
_uvicorn_errors = logging.Logger("uvicorn.error", logging.ERROR)
_uvicorn_errors.parent = logging.getLogger("uvicorn.error")


class Room:
    """The connections of one server that are not WebSocket sessions, those that have waited longest first."""

    def __init__(self, limits: DoorLimits) -> None:
        self.limits = limits
        self.refusals = Refusals()
        self._connections: dict[FrontDoor, None] = {}
        self._was_full = False

    def __len__(self) -> int:
        return len(self._connections)

    def enter(self, connection: "FrontDoor") -> None:
        """A connection begins to wait, anew if it is here already. If there are too many, another one goes."""
        self._connections.pop(connection, None)
        self._connections[connection] = None
        if len(self._connections) <= self.limits.connections:
            return
        if not self._was_full:
            self._was_full = True
            logger.warning(
                "more than %d connections at once; closing the longest idle", self.limits.connections
            )
        longest = next(iter(self._connections))
        del self._connections[longest]
        longest.give_way()

    def leave(self, connection: "FrontDoor") -> None:
        """A connection has ended or become a session."""
        self._connections.pop(connection, None)
        self._was_full = self._was_full and len(self._connections) > self.limits.connections // 2


class _CheckedConnection(h11.Connection):
    """Remembers why a request was refused, and refuses a body that is too large before it comes."""

    def __init__(self, limits: DoorLimits) -> None:
        super().__init__(h11.SERVER, limits.head_bytes)
        self._most_bytes = limits.body_bytes
        self.fault = MALFORMED
        self.chunked = False
        self.missing_bytes = 0

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        """As h11 has it."""
        try:
            event = super().next_event()
        except h11.RemoteProtocolError as error:
            self.fault = HeadFault(error.error_status_hint, MALFORMED.code, MALFORMED.message)
            raise
        if isinstance(event, h11.Request):
            self._expect_body(dict(event.headers))
        return event

    def _expect_body(self, headers: dict[bytes, bytes]) -> None:
        self.chunked = b"transfer-encoding" in headers
        self.missing_bytes = self._most_bytes if self.chunked else int(headers.get(b"content-length", b"0"))
        if self.missing_bytes > self._most_bytes:
            self.fault = body_too_large(self._most_bytes)
            raise h11.RemoteProtocolError(self.fault.message, error_status_hint=self.fault.status)


def body_too_large(most_bytes: int) -> HeadFault:
    """The fault of a request whose body is over the limit."""
    return HeadFault(413, "body_too_large", f"The request's body is over {most_bytes} bytes.")


class FrontDoor(H11Protocol):
    """One connection, until it becomes a WebSocket.

    A deadline always runs: for the request while it comes, for the answer, for the next request.
    """

    conn: _CheckedConnection

    def __init__(self, *, room: Room, **given: Any) -> None:
        super().__init__(**given)
        self.logger = _uvicorn_errors
        self.conn = _CheckedConnection(room.limits)
        self._room = room
        self._limits = room.limits
        self._meter = HeadMeter(room.limits)
        self._held = bytearray()
        self._is_done = False
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for a head."""
        super().connection_made(transport)
        self._within(self._limits.request_s, self._request_is_late)
        self._room.enter(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing of it stays."""
        self._is_done = True
        self._forget_deadline()
        self._room.leave(self)
        self._held.clear()
        super().connection_lost(exc)

    def eof_received(self) -> None:
        """No more will come: half a head is malformed."""
        if self._meter.has_begun and not self._is_done:
            self._refuse(MALFORMED)

    def shutdown(self) -> None:
        """The server stops."""
        if self._is_done:
            self.transport.close()
        else:
            super().shutdown()

    # Reading: one request at a time. What comes after it waits.

    def data_received(self, data: bytes) -> None:
        """What was read; after a refusal, nobody looks at it."""
        if not self._is_done:
            self._held += data
            self._read_on()

    def _read_on(self) -> None:
        while self._held and not self._is_done and not self.transport.is_closing():
            state = self.conn.their_state
            if state is h11.IDLE:
                self._read_head()
            elif state is h11.SEND_BODY:
                self._read_body()
            else:
                if len(self._held) > HELD_BYTES:
                    self.flow.pause_reading()
                return

    def _read_head(self) -> None:
        if self.cycle is not None and not self._meter.has_begun:
            self._within(self._limits.request_s, self._request_is_late)
        try:
            size = self._meter.take(self._held)
        except HeadTooLarge as error:
            self._refuse(error.fault)
            return
        self._feed(size, ends=not self._meter.has_begun)

    def _read_body(self) -> None:
        size = min(len(self._held), self.conn.missing_bytes)
        self.conn.missing_bytes -= size
        if size:
            self._feed(size, ends=False)
            if self.conn.their_state is not h11.SEND_BODY:
                self._wait_for_the_rest()
        else:
            self._refuse(body_too_large(self._limits.body_bytes))

    def _feed(self, size: int, *, ends: bool) -> None:
        """Have uvicorn read so many bytes; ``ends``: a head ends with them."""
        piece = bytes(self._held[:size])
        del self._held[:size]
        super().data_received(piece)
        if ends:
            self._wait_for_the_rest()

    def _wait_for_the_rest(self) -> None:
        if self._is_done:
            return
        if self.conn.their_state is h11.SEND_BODY:
            # Where a chunked body ends only h11 knows, so nothing may follow one: it could not be measured.
            self.cycle.keep_alive = self.cycle.keep_alive and not self.conn.chunked
            self._within(self._limits.request_s, self._request_is_late)
        elif self.cycle.response_complete:
            self._within(self._limits.request_s, self._request_is_late)
        else:
            self._within(self._limits.response_s, self.transport.abort)

    # Answering.

    def on_response_complete(self) -> None:
        """The answer is written: it has to be read, and then there may be another request."""
        super().on_response_complete()
        if self.transport.get_write_buffer_size():
            self._within(self._limits.response_s, self.transport.abort)
        elif self.conn.their_state is not h11.SEND_BODY:
            self._within(self._limits.request_s, self._request_is_late)
        if not self.transport.is_closing():
            self._room.enter(self)
            self._read_on()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Hand the connection on; a handshake that nobody reads is refused."""
        if event.method != b"GET" or self.conn.missing_bytes or self._held:
            # Frames that come before the answer would be lost: uvicorn does not hand them on.
            self._refuse(BAD_HANDSHAKE)
            return
        super().handle_websocket_upgrade(event)
        session = cast(Any, self.transport.get_protocol())
        if not getattr(session, "handshake_initiated", True):
            # uvicorn's protocol for websockets-sansio took it for no handshake, and would wait for ever.
            self.connections.discard(session)
            self.connections.add(self)
            self.transport.set_protocol(self)
            self._refuse(BAD_HANDSHAKE)
            return
        self._is_done = True
        self._forget_deadline()
        self._room.leave(self)

    def send_400_response(self, msg: str) -> None:
        """Called by uvicorn for what h11 does not take for a request."""
        self._refuse(self.conn.fault)

    def _refuse(self, fault: HeadFault) -> None:
        """Say why and close, in a way that lets a client that is still sending read it."""
        self._room.refusals.add(fault.code, self.loop)
        self._is_done = True
        self._held.clear()
        self._unset_keepalive_if_required()
        self._within(LINGER_S, self.transport.abort)
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()
            if cycle.response_started:
                self.transport.close()
                return
        self.transport.write(_answer(fault))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.flow.resume_reading()

    def give_way(self) -> None:
        """Others need the place."""
        self._is_done = True
        self.transport.abort()

    # Deadlines.

    def _within(self, seconds: float, otherwise: Callable[[], None]) -> None:
        self._forget_deadline()
        self._deadline = self.loop.call_later(seconds, otherwise)

    def _forget_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _request_is_late(self) -> None:
        has_answer = self.cycle is not None and self.cycle.response_complete
        if self._meter.has_begun or (self.conn.their_state is h11.SEND_BODY and not has_answer):
            self._refuse(TOO_SLOW)
        else:
            self.transport.close()


def _answer(fault: HeadFault) -> bytes:
    error = {"type": "invalid_request_error", "code": fault.code, "message": fault.message}
    body = json.dumps({"error": error}).encode()
    head = (
        f"HTTP/1.1 {fault.status} {HTTPStatus(fault.status).phrase}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
    )
    return head.encode() + body


def front_door(limits: DoorLimits) -> type[asyncio.Protocol] | str:
    """What ``uvicorn.Config`` takes as ``http``, for one server with these limits; uvicorn's own protocol where it
    cannot be built upon."""
    if not has(Inside.FRONT_DOOR):
        return "h11"
    return cast(type[asyncio.Protocol], partial(FrontDoor, room=Room(limits)))
