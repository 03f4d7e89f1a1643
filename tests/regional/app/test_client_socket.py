"""Messages that are handed over where they are read, over real sockets."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from repartee.app.client_socket import ClientSocket, Shortcuts, shortcuts_of

DEADLINE_S = 5.0


class App:
    """Receives one message as ASGI has it, has the others handed over, and tells in which order all came."""

    def __init__(self) -> None:
        self.received: list[Any] = []
        self.handed: list[Any] = []
        self.order: list[Any] = []
        self.came = asyncio.Event()
        self.shortcuts = Shortcuts()
        self.waiting = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "websocket":
            return
        await receive()
        await send({"type": "websocket.accept"})
        self.received.append(content(await receive()))
        self.order += self.received
        self.shortcuts = shortcuts_of(scope)
        self.shortcuts.hand_over(self.take)
        while True:
            self.waiting.set()
            message = await receive()
            if message["type"] == "websocket.disconnect":
                self._note("gone")
                return
            self.received.append(content(message))
            self._note(content(message))

    def take(self, message: Any) -> None:
        self.handed.append(content(message))
        self._note(content(message))

    def _note(self, what: Any) -> None:
        self.order.append(what)
        self.came.set()


def content(message: Any) -> Any:
    return message.get("text") or message.get("bytes")


@asynccontextmanager
async def connected(app: App) -> AsyncIterator[ClientConnection]:
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, ws=ClientSocket, log_config=None, lifespan="off"))
    serving = asyncio.create_task(server.serve([listener]))
    url = f"ws://127.0.0.1:{listener.getsockname()[1]}"
    async with connect(url, compression=None) as connection:
        yield connection
    server.should_exit = True
    await serving


async def handed(app: App, count: int) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while len(app.order) < count:
            app.came.clear()
            await app.came.wait()


async def test_messages_come_in_order_whichever_way_they_come() -> None:
    app = App()
    sent = [f"number {n}" if n % 2 else f"number {n}".encode() for n in range(50)]
    async with connected(app) as connection:
        for message in sent:
            await connection.send(message)
        await handed(app, len(sent))
    assert app.order[: len(sent)] == sent
    assert app.order[-1] == "gone"


async def test_what_comes_after_the_hand_over_wakes_no_task() -> None:
    app = App()
    async with connected(app) as connection:
        await connection.send("first")
        await asyncio.wait_for(app.waiting.wait(), DEADLINE_S)
        await connection.send(b"second")
        await connection.send(["in ", "three ", "parts"])
        await handed(app, 3)
    assert app.received == ["first"]
    assert app.handed == [b"second", "in three parts"]


async def test_text_that_is_none_closes_the_connection_as_the_protocol_says(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = App()
    async with connected(app) as connection:
        await connection.send("first")
        await asyncio.wait_for(app.waiting.wait(), DEADLINE_S)
        await connection.send(b"\xff\xfe", text=True)
        with pytest.raises(ConnectionClosed) as closed:
            await asyncio.wait_for(connection.recv(), DEADLINE_S)
    assert closed.value.rcvd is not None and closed.value.rcvd.code == 1007
    assert app.handed == []


async def test_messages_are_pushed_until_the_client_falls_behind_or_goes() -> None:
    app = App()
    async with connected(app) as connection:
        await connection.send("first")
        await asyncio.wait_for(app.waiting.wait(), DEADLINE_S)
        assert app.shortcuts.push({"type": "websocket.send", "text": "a word"})
        assert app.shortcuts.push({"type": "websocket.send", "bytes": b"a sound"})
        assert [await connection.recv(), await connection.recv()] == ["a word", b"a sound"]
        connection.transport.pause_reading()
        sound = bytes(1_000_000)
        taken = 0
        while app.shortcuts.push({"type": "websocket.send", "bytes": sound}):
            taken += 1
            assert taken < 100
        connection.transport.abort()
        await handed(app, 2)
    assert app.order == ["first", "gone"]
    assert app.shortcuts.push({"type": "websocket.send", "text": "too late"}) is False
