"""A stand-in's WebSocket through ASGI, where uvicorn's version does not let it have the connection itself."""

import asyncio
from collections.abc import Callable
from typing import Any

MOST_WAITING = 4096
"""Messages for a peer that reads nothing; then it is cut off."""

RESET = 1011
"""ASGI cannot reset a connection: it is closed with this instead."""


class MessageSocket:
    """As a DirectWebSocket for a :class:`~repartee.standins.link.Link`."""

    def __init__(self, send: Any) -> None:
        self.on_message: Callable[[str | bytes], None] | None = None
        self.on_ping: Callable[[], None] | None = None
        """Never called: uvicorn answers pings by itself."""
        self.transport = self
        """What is done to the socket below is done to the connection."""
        self._send = send
        self._deaf = False
        self._closing = False
        self._waiting: asyncio.Queue[dict[str, Any]] = asyncio.Queue(MOST_WAITING)
        self._sending: asyncio.Task[None] | None = None

    def push(self, text: bytes) -> None:
        """Send one text message in its turn; dropped once the connection is closing."""
        self._put({"type": "websocket.send", "text": text.decode(errors="replace")})

    def push_bytes(self, data: bytes) -> None:
        """Send one binary message in its turn."""
        self._put({"type": "websocket.send", "bytes": data})

    def push_close(self, code: int, reason: str) -> None:
        """Close, once what waits is sent."""
        self._put({"type": "websocket.close", "code": code, "reason": reason})
        self._closing = True

    def abort(self) -> None:
        """Close without a word of why."""
        self.push_close(RESET, "")

    def fall_silent(self) -> None:
        """Stay open, but read and answer nothing more."""
        self._deaf = True

    def take(self, message: dict[str, Any]) -> None:
        """A message has come from the peer."""
        if self.on_message is not None and not self._deaf:
            text = message.get("text")
            self.on_message(message["bytes"] if text is None else text)

    def _put(self, message: dict[str, Any]) -> None:
        if self._closing or self._deaf:
            return
        if self._sending is None:
            self._sending = asyncio.create_task(self._carry_out(), name="send for a stand-in")
        if self._waiting.full():
            self._closing = True
            self._sending.cancel()
        else:
            self._waiting.put_nowait(message)

    async def _carry_out(self) -> None:
        while True:
            message = await self._waiting.get()
            try:
                await self._send(message)
            except Exception:  # uvicorn's word for a peer that is gone, which it does not document
                return
            if message["type"] == "websocket.close":
                return

    def end(self) -> None:
        """The connection is gone."""
        self._closing = True
        if self._sending is not None:
            self._sending.cancel()
