"""A client's WebSocket connection, as uvicorn speaks the protocol, but with a shorter way for its messages.

ASGI wakes a task for every message, and uvicorn stops reading from the connection until that task has taken it. At a
message every 20 ms that is more work than what is done with the message. So an application that takes messages
without waiting can have them handed over where they are read; it asks for that through the scope.
"""

from collections.abc import Callable, Mapping, MutableMapping
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

Take = Callable[[Mapping[str, Any]], None]
HandOver = Callable[[Take | None], None]

EXTENSION = "repartee.hand_over"
"""Where an application finds, in ``scope["extensions"]``, the function that it gives its own to."""


class ClientSocket(WebSocketsSansIOProtocol):
    """One connection."""

    _take: Take | None = None

    def handle_connect(self, event: Request) -> None:
        """Begin the handshake; the application, a task, sees the scope as it is after this."""
        super().handle_connect(event)
        if self.response.status_code == 101:
            extensions: dict[str, Any] = self.scope["extensions"]
            extensions[EXTENSION] = self.hand_over

    def hand_over(self, take: Take | None) -> None:
        """From now on ``take`` gets each message as it comes, once those that came before have been received.

        It must not raise or wait. None takes it back.
        """
        self._take = take

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


def hand_over_of(scope: MutableMapping[str, Any]) -> HandOver:
    """The connection's :meth:`ClientSocket.hand_over`; one that does nothing, under a server that has none."""
    extensions: Mapping[str, HandOver] = scope.get("extensions") or {}
    return extensions.get(EXTENSION, _keep)


def _keep(take: Take | None) -> None:
    """Leave the messages where they are: they are received."""
