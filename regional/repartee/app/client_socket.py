"""A client's WebSocket connection, as uvicorn speaks the protocol, but with a shorter way for its messages.

ASGI wakes a task for every message, and uvicorn stops reading from the connection until that task has taken it. At a
message every 20 ms that is more work than what is done with the message. So an application that takes messages
without waiting can have them handed over where they are read, and send without waiting where nothing is in the way;
it finds both in the scope.
"""

from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request
from websockets.protocol import State

from repartee.providers.masking import apply_mask

Take = Callable[[Mapping[str, Any]], None]
EXTENSION = "repartee.shortcuts"
"""Where an application finds its connection's :class:`Shortcuts`, in ``scope["extensions"]``."""


def _keep(take: Take | None) -> None:
    """Leave the messages where they are: they are received."""


def _refuse(message: dict[str, Any]) -> bool:
    """Have the message sent the usual way."""
    return False


@dataclass(frozen=True, slots=True)
class Shortcuts:
    """A connection's :meth:`ClientSocket.hand_over` and :meth:`ClientSocket.push`; without effect as they stand here,
    for servers that have none."""

    hand_over: Callable[[Take | None], None] = _keep
    push: Callable[[dict[str, Any]], bool] = _refuse


class ClientSocket(WebSocketsSansIOProtocol):
    """One connection."""

    _take: Take | None = None
    _missing: int | None = None
    """Bytes of the frame begun last that are still to come; None: its head came in pieces, and count was lost."""

    def handle_connect(self, event: Request) -> None:
        """Begin the handshake; the application, a task, sees the scope as it is after this."""
        super().handle_connect(event)
        if self.response.status_code == 101:
            extensions: dict[str, Any] = self.scope["extensions"]
            extensions[EXTENSION] = Shortcuts(self.hand_over, self.push)

    def data_received(self, data: bytes) -> None:
        """What was read: as a rule one whole frame of audio, for which there is a way past the general parser."""
        if not self.handshake_initiated:
            super().data_received(data)
            self._missing = None if self.conn.reader.buffer else 0
        elif self._at_rest and (message := whole_message(data)):
            assert self._take is not None
            self._take(message)
        else:
            if self._missing is not None:
                self._missing = still_missing(data, self._missing)
            super().data_received(data)

    @property
    def _at_rest(self) -> bool:
        """Messages are handed over, and none is half read, waiting, or the last."""
        between = self._missing == 0 and not self.frames and self.queue.empty()
        return between and self._take is not None and self.conn.state is State.OPEN and not self.close_sent

    def hand_over(self, take: Take | None) -> None:
        """From now on ``take`` gets each message as it comes, once those that came before have been received.

        It must not raise or wait. None takes it back.
        """
        self._take = take

    def push(self, message: dict[str, Any]) -> bool:
        """Send a message now, if it needs no waiting; False if it does, or nobody is there to send it to."""
        if not self.writable.is_set() or self.close_sent:
            return False
        sending = self.send(message)  # type: ignore[arg-type]
        try:
            sending.send(None)
        except StopIteration:
            return True
        except ClientDisconnected:
            return False
        sending.close()
        raise RuntimeError("sending waited although the connection was writable")

    def send_receive_event_to_app(self) -> None:
        """The message in ``self.frames`` is complete."""
        take = self._take
        if take is None or self.close_sent or not self.queue.empty():
            super().send_receive_event_to_app()
            return
        data = b"".join(self.frames)
        if self.curr_msg_data_type == "bytes":
            self.frames = []
            take({"type": "websocket.receive", "bytes": data})
            return
        try:
            text = data.decode()
        except UnicodeDecodeError:
            super().send_receive_event_to_app()  # closes with 1007
            return
        self.frames = []
        take({"type": "websocket.receive", "text": text})


_TEXT, _BINARY = 0x81, 0x82
"""A frame's first byte: a whole message of this kind, without extensions (RFC 6455, 5.2)."""

_MASKED = 0x80
_MASK_BYTES = 4
_LAST_SHORT_HEAD = 4
"""Frames with a longer head are left to the general parser, which knows how long a message may be."""


def frame_head(data: bytes, at: int) -> tuple[int, int] | None:
    """Where in ``data`` the mask of the frame that begins at ``at`` stands, and the size of its payload.

    None if that cannot be told yet. A client's frame: masked.
    """
    if len(data) < at + 2:
        return None
    size = data[at + 1] & 0x7F
    follow = {126: 2, 127: 8}.get(size, 0)
    if not follow:
        return at + 2, size
    if len(data) < at + 2 + follow:
        return None
    return at + 2 + follow, int.from_bytes(data[at + 2 : at + 2 + follow])


def still_missing(data: bytes, missing: int) -> int | None:
    """After this was read, how much of the last frame is still to come; ``missing``: the same before it."""
    end = missing
    while end < len(data):
        head = frame_head(data, end)
        if head is None:
            return None
        end = head[0] + _MASK_BYTES + head[1]
    return end - len(data)


def whole_message(data: bytes) -> Mapping[str, Any] | None:
    """The ASGI message, if these bytes are exactly one frame of under 64 KB, a text or binary message in itself."""
    if data[0] not in (_TEXT, _BINARY) or (head := frame_head(data, 0)) is None:
        return None
    mask_at, size = head
    start = mask_at + _MASK_BYTES
    if mask_at > _LAST_SHORT_HEAD or len(data) != start + size or not data[1] & _MASKED:
        return None
    payload = apply_mask(data[start:], data[mask_at:start])
    if data[0] == _BINARY:
        return {"type": "websocket.receive", "bytes": payload}
    try:
        return {"type": "websocket.receive", "text": payload.decode()}
    except UnicodeDecodeError:
        return None


def shortcuts_of(scope: MutableMapping[str, Any]) -> Shortcuts:
    """The connection's shortcuts."""
    extensions: Mapping[str, Shortcuts] = scope.get("extensions") or {}
    return extensions.get(EXTENSION) or Shortcuts()
