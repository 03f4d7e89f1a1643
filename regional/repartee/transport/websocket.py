"""A client's WebSocket over ASGI, in terms of texts and bytes: the one place that knows ASGI's dictionaries.

A server may offer shortcuts past ASGI (app/client_socket does); without them everything works the same.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.websockets import WebSocketDisconnect

from repartee.transport import close_codes
from repartee.transport.interfaces import CallEnd

log = logging.getLogger(__name__)

AsgiMessage = Mapping[str, Any]

CLOSE_S = 2.0
"""How long a client may take to be told why the call is over."""


class ClientGone(Exception):
    """The client's connection is lost or closed."""


@dataclass(frozen=True, slots=True)
class AsgiSocket:
    """An accepted WebSocket.

    ``hand_over``, of servers that can: from now on each message is handed to this function as it comes, without
    waking a task, and ``receive`` gives only what came before, and the end. None takes that back. ``push`` sends a
    message at once and says whether it could.
    """

    receive: Callable[[], Awaitable[AsgiMessage]]
    send: Callable[[dict[str, Any]], Awaitable[None]]
    hand_over: Callable[[Callable[[str | bytes], None] | None], None] = lambda take: None
    push: Callable[[str | bytes], bool] = lambda message: False


class WebSocketLink:
    """Texts and bytes over one :class:`AsgiSocket`."""

    def __init__(self, socket: AsgiSocket) -> None:
        self._socket = socket
        self.push = socket.push
        """Send a message at once, if it needs no waiting; whether that was so."""

    def listen(self, take: Callable[[str | bytes], None]) -> None:
        """Hand each message to ``take`` as it comes, where the server can; it must not raise or wait."""
        self._socket.hand_over(take)

    def stop_listening(self) -> None:
        """Hand over nothing more."""
        self._socket.hand_over(None)

    async def receive(self) -> str | bytes | None:
        """The next message that was not handed over; None: the client is gone."""
        message = await self._socket.receive()
        if message["type"] == "websocket.disconnect":
            return None
        data = message.get("bytes")
        return str(message["text"]) if data is None else bytes(data)

    async def send(self, payload: str | bytes) -> None:
        """Raises ClientGone."""
        kind = "text" if isinstance(payload, str) else "bytes"
        try:
            await self._socket.send({"type": "websocket.send", kind: payload})
        except (WebSocketDisconnect, ConnectionError) as error:
            raise ClientGone from error

    async def close(self, end: CallEnd) -> None:
        """Say why, to a client that may not be reading."""
        if end is CallEnd.CLIENT_GONE:
            return
        message = {"type": "websocket.close", "code": close_codes.OF[end], "reason": end.value}
        try:
            async with asyncio.timeout(CLOSE_S):
                await self._socket.send(message)
        except (TimeoutError, WebSocketDisconnect, ConnectionError):
            log.info("the client did not take the close frame (%s); dropping the connection", end.value)
