"""Messages that are handed over where they are read, over real sockets."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.promptness import DEADLINE_S
from uvicorn.server import ServerState
from websockets.asyncio.client import ClientConnection, connect
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed
from websockets.uri import parse_uri

from repartee.app.client_socket import (
    Budget,
    ClientSocket,
    Shortcuts,
    shortcuts_of,
    with_budget,
)


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

    def take(self, message: str | bytes) -> None:
        self.handed.append(message)
        self._note(message)

    def _note(self, what: Any) -> None:
        self.order.append(what)
        self.came.set()


def content(message: Any) -> Any:
    return message["bytes"] if message.get("bytes") is not None else message["text"]


@asynccontextmanager
async def connected(app: App, budget: Budget | None = None) -> AsyncIterator[ClientConnection]:
    listener = socket.create_server(("127.0.0.1", 0))
    protocol = with_budget(budget or Budget())
    server = uvicorn.Server(uvicorn.Config(app, ws=protocol, log_config=None, lifespan="off"))
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
        assert app.shortcuts.push("a word")
        assert app.shortcuts.push(b"a sound")
        assert [await connection.recv(), await connection.recv()] == ["a word", b"a sound"]
        connection.transport.pause_reading()
        sound = bytes(1_000_000)
        taken = 0
        while app.shortcuts.push(sound):
            taken += 1
            assert taken < 100
        connection.transport.abort()
        await handed(app, 2)
    assert app.order == ["first", "gone"]
    assert app.shortcuts.push("too late") is False


class Wire(asyncio.Transport):
    """A connection's other end, for bytes that come in just these pieces."""

    def __init__(self) -> None:
        super().__init__({"sockname": ("127.0.0.1", 80), "peername": ("127.0.0.1", 81)})
        self.written: list[bytes] = []
        self.reads = asyncio.Event()
        self.reads.set()

    @property
    def reading(self) -> bool:
        return self.reads.is_set()

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))

    def pause_reading(self) -> None:
        self.reads.clear()

    def resume_reading(self) -> None:
        self.reads.set()

    def is_closing(self) -> bool:
        return False

    def can_write_eof(self) -> bool:
        return False

    def close(self) -> None:
        pass


SOUND = bytes(n % 251 for n in range(66_000))
messages = st.one_of(
    st.sampled_from([0, 1, 125, 126, 300, 66_000]).map(lambda size: SOUND[:size]), st.text(max_size=20)
)
ways = st.sampled_from(["whole", "fragmented", "after a ping"])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(messages, ways), max_size=12), st.data())
def test_no_message_is_lost_or_changed_however_the_network_cuts_the_stream(
    sent: list[tuple[str | bytes, str]], data: st.DataObject
) -> None:
    client = ClientProtocol(parse_uri("ws://127.0.0.1/"))
    client.send_request(client.connect())
    [request] = client.data_to_send()
    client.state = client.state.OPEN
    pieces: list[bytes] = []
    for message, way in sent:
        binary = message if isinstance(message, bytes) else message.encode()
        send = client.send_binary if isinstance(message, bytes) else client.send_text
        if way == "after a ping":
            client.send_ping(b"there?")
        if way == "fragmented":
            middle = len(binary) // 2
            send(binary[:middle], fin=False)
            client.send_continuation(binary[middle:], fin=True)
        else:
            send(binary)
        pieces += client.data_to_send()
    stream = b"".join(pieces)
    if data.draw(st.booleans()):
        cuts = sorted(data.draw(st.sets(st.integers(1, max(1, len(stream) - 1)), max_size=10)))
        ends = zip([0, *cuts], [*cuts, len(stream)], strict=True)
        pieces = [piece for start, end in ends if (piece := stream[start:end])]

    assert asyncio.run(read(request, pieces, len(sent))) == [
        "first",
        *(message for message, _ in sent),
        "gone",
    ]


@pytest.mark.parametrize("cut", [1, 2, 6, 10])
def test_the_rest_of_a_message_is_not_taken_for_one_of_its_own(cut: int) -> None:
    client = ClientProtocol(parse_uri("ws://127.0.0.1/"))
    client.send_request(client.connect())
    [request] = client.data_to_send()
    # Sounds may be any bytes: these end with what would be a frame.
    frame = b"\x82\x8e\0\0\0\0" + b"four" + b"\x82\x84\0\0\0\0boo!"
    assert asyncio.run(read(request, [frame[:cut], frame[cut:]], 1)) == ["first", frame[6:], "gone"]


async def read(request: bytes, pieces: list[bytes], count: int) -> list[Any]:
    """What an application gets of so many messages that come in these pieces, and the end."""
    app = App()
    protocol, wire = await conversing(app, request)
    for piece in pieces:
        await wire.reads.wait()
        protocol.data_received(piece)
    await handed(app, count + 1)
    protocol.connection_lost(None)
    await handed(app, count + 2)
    return app.order


async def conversing(app: App, request: bytes = b"") -> tuple[ClientSocket, Wire]:
    """A connection whose application has received a first message and has the others handed over."""
    protocol, wire = connection(app)
    protocol.data_received(request or upgrade())
    await asyncio.sleep(0)
    protocol.data_received(FIRST)
    await asyncio.wait_for(app.waiting.wait(), DEADLINE_S)
    wire.written.clear()
    return protocol, wire


def connection(app: App) -> tuple[ClientSocket, Wire]:
    protocol, wire = ClientSocket(uvicorn.Config(app, log_config=None), ServerState(), {}), Wire()
    protocol.app = app
    protocol.connection_made(wire)
    return protocol, wire


def upgrade() -> bytes:
    client = ClientProtocol(parse_uri("ws://127.0.0.1/"))
    client.send_request(client.connect())
    return b"".join(client.data_to_send())


FIRST = b"\x81\x85\0\0\0\0first"
EMPTY = b"\x82\x80\0\0\0\0"
PING = b"\x89\x81\0\0\0\0"
"""Without its one byte."""
