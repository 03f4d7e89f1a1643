"""A client's WebSocket connection, as uvicorn speaks the protocol, with a shorter way for its messages and a budget.

ASGI wakes a task for every message, and uvicorn stops reading from the connection until that task has taken it. At
a message every 20 ms that is more work than handling the message. So an application that takes messages without
waiting can have each handed over where it is read, and can send without waiting if nothing is in the way; it finds
both in the scope.

One read can hold 40,000 frames. So the connection takes only so many in one turn of the event loop, and then reads
nothing more until the other connections have had their turns. It disconnects a client that keeps sending more than
a call needs. Every frame counts, whatever is in it: pings, fragments and empty frames take as long as words.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

from websockets.exceptions import InvalidState
from websockets.frames import Frame
from websockets.http11 import Request
from websockets.protocol import State

from repartee.app.congestion import ask_for_bbr
from repartee.providers.websockets_insides import unmask
from repartee.transport import close_codes
from repartee.wire.allowance import Allowance
from repartee_edge.selfhosted.uvicorn_insides import (
    ClientDisconnected,
    Inside,
    WebSocketsSansIOProtocol,
    has,
)

log = logging.getLogger(__name__)

Take = Callable[[str | bytes], None]
"""Takes a message, text or binary."""

EXTENSION = "repartee.shortcuts"
"""Where an application finds its connection's :class:`Shortcuts`, in ``scope["extensions"]``."""

MAX_FRAGMENTS = 4096
"""A message may come in so many frames."""

COUNTED_AT_ONCE = 25
"""Frames are held against a client's allowance in such numbers: it is one of thousands, and counting costs time."""

LINGER_S = 1.0
"""After the server has closed a connection by itself, what still comes is read and thrown away for so long: closing
a socket with unread data in it destroys the close frame on its way."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What one connection may take of the process. Frames of all kinds count as messages."""

    loop_messages: int = 64
    """So many are taken in one turn of the event loop ..."""

    loop_ms: float = 5.0
    """... or as many as take so long; then reading pauses, for as long as the turn took."""

    messages_per_s: float = 500.0
    """A client that sends more is disconnected ..."""

    burst_s: float = 10.0
    """... once it has used up what it did not use of the last so many seconds."""


def _keep(take: Take | None) -> None:
    """Leave the messages where they are: they are received."""


def _refuse(message: str | bytes) -> bool:
    """Have the message sent the usual way."""
    return False


@dataclass(frozen=True, slots=True)
class Shortcuts:
    """A connection's :meth:`ClientSocket.hand_over` and :meth:`ClientSocket.push`; without effect as they stand here,
    for servers that have none."""

    hand_over: Callable[[Take | None], None] = _keep
    push: Callable[[str | bytes], bool] = _refuse


class ClientSocket(WebSocketsSansIOProtocol):
    """One connection."""

    budget = Budget()
    _take: Take | None = None
    _unread = b""
    """What was read and not taken yet."""
    _uncounted = 0
    """Frames that have not been held against the client's allowance yet."""
    _missing = 0
    """Bytes of the frame begun last that are still to come."""
    _pause: asyncio.Handle | None = None
    """Ends the pause in reading."""
    _pong = b""
    """The answer to the last ping, kept while the client reads nothing."""
    _ended = False
    """The server has closed the connection by itself."""

    def handle_connect(self, event: Request) -> None:
        """Begin the handshake; the application, a task, sees the scope as it is after this."""
        self._allowance = Allowance(self.budget.messages_per_s, self.budget.burst_s)
        super().handle_connect(event)
        if self.response.status_code == 101:
            extensions: dict[str, Any] = self.scope["extensions"]
            extensions[EXTENSION] = Shortcuts(self.hand_over, self.push)
            ask_for_bbr(self.transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._unread = b""
        if self._pause:
            self._pause.cancel()
        super().connection_lost(exc)

    # --- reading -------------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """What was read: as a rule one whole frame of audio, for which there is a way past the general parser."""
        if self._ended:
            return
        if not self.handshake_initiated:
            super().data_received(data)
        elif not self._unread and self._at_rest and (message := whole_message(data)) is not None:
            if self._allowed():
                assert self._take is not None
                self._take(message)
        else:
            self._unread += data
            self._take_unread()

    def hand_over(self, take: Take | None) -> None:
        """From now on ``take`` gets each message as it comes, once those that came before have been received.

        It must not raise or wait. None takes it back.
        """
        self._take = take
        self._resume_soon()

    async def receive(self) -> Any:
        """The next message that is not handed over."""
        message = await super().receive()
        self._resume_soon()
        return message

    @property
    def _at_rest(self) -> bool:
        """Messages are handed over, and none is half read, waiting, or the last."""
        between = not self._missing and not self.frames and self.queue.empty()
        return between and self._take is not None and self.conn.state is State.OPEN and not self.close_sent

    @property
    def _may_take(self) -> bool:
        """The application can be given a message."""
        return self.handshake_complete and not self.read_paused and not self._ended

    def _allowed(self) -> bool:
        """Whether the client may send one more frame; if not, it is disconnected."""
        self._uncounted += 1
        if self._uncounted < COUNTED_AT_ONCE:
            return True
        self._uncounted = 0
        if self._allowance.take(time.monotonic(), COUNTED_AT_ONCE):
            return True
        most = self.budget.messages_per_s
        self._disconnect(close_codes.FLOODING, f"A call may send {most:g} messages a second, pings included.")
        return False

    def _take_unread(self) -> None:
        """Take what was read, as far as this turn's budget goes."""
        if self._pause:
            self._pause_reading()  # uvicorn has resumed it
            return
        began = time.monotonic()
        at, over = self._take_frames(self._unread, began + self.budget.loop_ms / 1000)
        self._unread = self._unread[at:]
        took_s = time.monotonic() - began
        if over or took_s * 1000 > self.budget.loop_ms:
            self._pause = self.loop.call_later(took_s, self._resume)
            self._pause_reading()
        elif self._unread and not self._may_take:
            self._pause_reading()

    def _take_frames(self, data: bytes, until: float) -> tuple[int, bool]:
        """Take the frames in ``data``; how far they were taken, and whether it was the budget that ended it."""
        at = frames = 0
        while at < len(data) and self._may_take:
            end = at + self._missing
            if not self._missing:
                head = frame_head(data, at)
                if head is None:
                    break
                if frames == self.budget.loop_messages or time.monotonic() > until:
                    return at, True
                if not self._allowed():
                    break
                frames += 1
                end = head[0] + _MASK_BYTES + head[1]
            piece = data[at:end]
            at += len(piece)
            self._take_piece(piece, end - at)
        return at, False

    def _take_piece(self, piece: bytes, missing: int) -> None:
        """Take a frame, or a part of one of which ``missing`` bytes are still to come."""
        if not missing and self._at_rest and (message := whole_message(piece)) is not None:
            assert self._take is not None
            self._take(message)
        else:
            self._missing = missing
            super().data_received(piece)

    def _pause_reading(self) -> None:
        if not self.transport.is_closing():
            self.transport.pause_reading()

    def _resume_soon(self) -> None:
        """Go on with what was read, once whoever asks has returned."""
        if self._unread and not self._pause:
            self._pause = self.loop.call_soon(self._resume)

    def _resume(self) -> None:
        self._pause = None
        if self.disconnected:
            return
        self._take_unread()
        if not self._pause and self._may_take and not self.transport.is_closing():
            self.transport.resume_reading()

    def send_receive_event_to_app(self) -> None:
        """The message in ``self.frames`` is complete."""
        take = self._take
        if take is None or self.close_sent or not self.queue.empty():
            super().send_receive_event_to_app()
            return
        data = b"".join(self.frames)
        if self.curr_msg_data_type == "bytes":
            self.frames = []
            take(data)
            return
        try:
            text = data.decode()
        except UnicodeDecodeError:
            super().send_receive_event_to_app()  # closes with 1007
            return
        self.frames = []
        take(text)

    def handle_cont(self, event: Frame) -> None:
        """A message goes on."""
        if len(self.frames) < MAX_FRAGMENTS:
            super().handle_cont(event)
        else:
            self._disconnect(close_codes.TOO_LONG, f"A message may come in {MAX_FRAGMENTS} frames at most.")

    # --- writing -------------------------------------------------------------------------------------------------

    async def send(self, message: Any) -> None:
        """Send a message. Raises ClientDisconnected, also after the server has closed the connection by itself."""
        if self._ended:
            raise ClientDisconnected()
        await super().send(message)
        if self.close_sent and self.initial_response:
            self.handshake_complete = True  # by a refusal: uvicorn would log an error for each
        if self._unread:  # it came before the connection was accepted
            self._resume_soon()

    def push(self, message: str | bytes) -> bool:
        """Send a message now, if it needs no waiting; False if it does, or nobody is there to send it to."""
        if self.close_sent or self.disconnected or not self.handshake_complete or not self.writable.is_set():
            return False
        try:
            if isinstance(message, str):
                self.conn.send_text(message.encode())
            else:
                self.conn.send_binary(message)
        except InvalidState:  # the client is closing
            return False
        self.transport.write(b"".join(self.conn.data_to_send()))
        return True

    def handle_ping(self) -> None:
        """Answer. While the client reads nothing only its last ping keeps an answer (RFC 6455, 5.5.3)."""
        self._pong = b"".join(self.conn.data_to_send())
        self._send_pong()

    def resume_writing(self) -> None:
        """The client reads again."""
        super().resume_writing()
        self._send_pong()

    def _send_pong(self) -> None:
        if self._pong and self.writable.is_set() and not self.transport.is_closing():
            pong, self._pong = self._pong, b""
            self.transport.write(pong)

    # --- closing -------------------------------------------------------------------------------------------------

    def handle_parser_exception(self) -> None:
        """What came breaks the protocol; the parser has made the close frame that says how."""
        assert self.conn.close_sent is not None
        self._end(self.conn.close_sent.code, self.conn.close_sent.reason)

    def _disconnect(self, code: int, reason: str) -> None:
        """Close the connection now, whatever the application wants."""
        log.info("a client broke a limit: %s; disconnecting it", reason)
        if not self.close_sent:
            self.conn.send_close(code, reason)
        self._end(code, reason)

    def _end(self, code: int, reason: str) -> None:
        """Send the close frame that is ready, and hear no more."""
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.close_sent = self._ended = True
        self._unread, self.frames = b"", []
        self.stop_keepalive()
        if self.close_timer:
            self.close_timer.cancel()
        self.close_timer = self.loop.call_later(LINGER_S, self.transport.close)
        if self.transport.is_closing():
            return
        self.transport.write(b"".join(self.conn.data_to_send()))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.transport.resume_reading()


_TEXT, _BINARY = 0x81, 0x82
"""A frame's first byte: a whole message of this kind, without extensions (RFC 6455, 5.2)."""

_MASKED = 0x80
_MASK_BYTES = 4
_SHORT, _LONG = 126, 127
"""A size that stands for one of 16 bits, and of 64: those are left to the general parser, which knows how long a
message may be."""


def frame_head(data: bytes, at: int) -> tuple[int, int] | None:
    """Where in ``data`` the mask of the frame that begins at ``at`` stands, and the size of its payload.

    None if that cannot be told yet. A client's frame: masked.
    """
    if len(data) < at + 2:
        return None
    size = data[at + 1] & 0x7F
    follow = {_SHORT: 2, _LONG: 8}.get(size, 0)
    if not follow:
        return at + 2, size
    if len(data) < at + 2 + follow:
        return None
    return at + 2 + follow, int.from_bytes(data[at + 2 : at + 2 + follow])


def whole_message(data: bytes) -> str | bytes | None:
    """The message, if these bytes are exactly one frame of under 64 KB, a text or binary message in itself."""
    if data[0] not in (_TEXT, _BINARY) or len(data) < 2 + 2 + _MASK_BYTES:
        return None
    size, start = data[1] - _MASKED, 2 + _MASK_BYTES
    if size == _SHORT:
        size, start = data[2] << 8 | data[3], start + 2
    elif size == _LONG:
        return None
    if len(data) != start + size:  # so it is too if there is no mask
        return None
    take_off = unmask()
    if take_off is None:
        return None
    payload = take_off(data[start:], data[start - _MASK_BYTES : start])
    if data[0] == _BINARY:
        return payload
    try:
        return payload.decode()
    except UnicodeDecodeError:
        return None


def with_budget(budget: Budget) -> type[ClientSocket] | str:
    """What ``uvicorn.Config`` takes as ``ws``: the protocol with this budget, or uvicorn's own in a version that it
    cannot be built on."""
    if not has(Inside.CLIENT_SOCKET):
        return "websockets-sansio"
    return type("ClientSocket", (ClientSocket,), {"budget": budget})


def shortcuts_of(scope: MutableMapping[str, Any]) -> Shortcuts:
    """The connection's shortcuts."""
    extensions: Mapping[str, Shortcuts] = scope.get("extensions") or {}
    return extensions.get(EXTENSION) or Shortcuts()
