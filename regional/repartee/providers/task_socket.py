"""A provider's WebSocket read and written by two tasks, as ``websockets`` documents it.

The way for a version of the library that does not pass frames on as they are read; it wakes a task for each message.
"""

import asyncio
import contextlib
from collections import deque
from typing import Any, cast

from websockets.asyncio.client import ClientConnection
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed

from repartee.providers.open_connections import OpenConnections
from repartee.providers.sockets import PushedSocket, SocketSettings


class TaskSocket(PushedSocket):
    """As a PushedSocket from outside. What waits to be sent is bounded by ``max_unsent_bytes``, as there."""

    def __init__(self, settings: SocketSettings, owner: OpenConnections) -> None:
        super().__init__(settings, owner)
        self._unsent: deque[bytes | str] = deque()
        self._waiting_bytes = 0
        self._closing = False
        self._something = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def connection(self, protocol: ClientProtocol, **options: Any) -> ClientConnection:
        """Make the library's connection. asyncio gives it its socket, which is noted on the way."""
        self._protocol = protocol
        connection = self._connection = ClientConnection(protocol, **options)
        made = connection.connection_made

        def connection_made(transport: asyncio.BaseTransport) -> None:
            made(transport)
            self.on_made(cast(asyncio.Transport, transport))  # uvloop's is none by name
            self._tasks.append(asyncio.create_task(self._watch(connection), name="await a provider's end"))

        connection.connection_made = connection_made  # type: ignore[method-assign]
        return connection

    def opened(self) -> None:
        """The handshake is done: begin to read and to write."""
        assert self._connection is not None
        if len(self._tasks) == 1:
            self._tasks += [
                asyncio.create_task(self._read(self._connection), name="read from a provider"),
                asyncio.create_task(self._write(self._connection), name="write to a provider"),
            ]

    @property
    def _unsent_bytes(self) -> int:
        return self._waiting_bytes + super()._unsent_bytes

    def _send(self, message: bytes | str) -> None:
        if not self._closing:
            self._unsent.append(message)
            self._waiting_bytes += len(message)
            self._something.set()

    def close_soon(self) -> None:
        """Close once what waits is sent; the socket is gone after ``close_timeout_s`` at the latest."""
        self._closing = True
        self._something.set()
        if not self.ended:
            self._loop.call_later(self._settings.close_timeout_s, self.drop)

    async def _watch(self, connection: ClientConnection) -> None:
        await connection.wait_closed()
        self._something.set()
        self.on_lost()

    async def _read(self, connection: ClientConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                self._take(await connection.recv(decode=False))

    async def _write(self, connection: ClientConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            while not self.ended:
                while self._unsent:
                    message = self._unsent.popleft()
                    self._waiting_bytes -= len(message)
                    await connection.send(message)
                if self._closing:
                    await connection.close()
                    return
                self._something.clear()
                await self._something.wait()
