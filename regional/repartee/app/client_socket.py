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

    def handle_connect(self, event: Request) -> None:
        """Begin the handshake; the application, a task, sees the scope as it is after this."""
        super().handle_connect(event)
        if self.response.status_code == 101:
            extensions: dict[str, Any] = self.scope["extensions"]
            extensions[EXTENSION] = Shortcuts(self.hand_over, self.push)

    def hand_over(self, take: Take | None) -> None:
        """From now on ``take`` gets each message as it comes, once those that came before have been received.

        It must not raise or wait. None takes it back.
        """
        self._take = take

    def push(self, message: dict[str, Any]) -> bool:
        """Send a message now, if it needs no waiting; False if it does, or nobody is there to send it to."""
        if not self.writable.is_set():
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


def shortcuts_of(scope: MutableMapping[str, Any]) -> Shortcuts:
    """The connection's shortcuts."""
    extensions: Mapping[str, Shortcuts] = scope.get("extensions") or {}
    return extensions.get(EXTENSION) or Shortcuts()
