"""What a connection may send, hold and wait for before it is a session: over real sockets, and on a made-up clock."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import uvicorn
from tests.promptness import DEADLINE_S
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from repartee_edge.selfhosted.front_door import front_door
from repartee_edge.selfhosted.heads import DoorLimits

GET = b"GET /a HTTP/1.1\r\nHost: here\r\n"
LAST = GET + b"Connection: close\r\n\r\n"
POST = b"POST /b HTTP/1.1\r\nHost: here\r\n"
HANDSHAKE = (
    b"GET /session HTTP/1.1\r\nHost: here\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
)


class App:
    """Answers a request with its body, and takes every session."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.bodies: list[bytes] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.requests.append(scope["path"])
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            while (await receive())["type"] != "websocket.disconnect":
                pass
            return
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body, more = body + message["body"], message["more_body"]
        self.bodies.append(body)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})


@dataclass
class Served:
    app: App
    server: uvicorn.Server
    port: int
    open: list[asyncio.StreamWriter] = field(default_factory=list)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.open.append(writer)
        return reader, writer

    async def answer_to(self, *pieces: bytes) -> bytes:
        """All that comes back until the server closes; fails if it resets the connection or never closes."""
        reader, writer = await self.connect()
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        async with asyncio.timeout(DEADLINE_S):
            return await reader.read()


@asynccontextmanager
async def served(**limits: Any) -> AsyncIterator[Served]:
    app = App()
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    config = uvicorn.Config(
        app,
        http=front_door(DoorLimits(**limits)),
        ws=WebSocketsSansIOProtocol,
        log_config=None,
        lifespan="off",
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve([listener]))
    running = Served(app, server, listener.getsockname()[1])
    try:
        yield running
    finally:
        for writer in running.open:
            writer.close()
        server.should_exit = True
        await serving


def statuses(answer: bytes) -> list[int]:
    return [int(part[:3]) for part in answer.split(b"HTTP/1.1 ")[1:]]


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (GET + b"X: " + b"a" * 9000 + b"\r\n\r\n", 431),
        (HANDSHAKE + b"X: " + b"a" * 9000 + b"\r\n\r\n", 431),
        (GET + b"X: " + b"a" * 9000, 431),
        (HANDSHAKE + b"".join(b"X%d: a\r\n" % n for n in range(101)) + b"\r\n", 431),
        (GET + (b"X: " + b"a" * 8000 + b"\r\n") * 9 + b"\r\n", 431),
        (b"GET /" + b"a" * 9000, 414),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (GET + b"Host: there\r\n\r\n", 400),
        (b"GET /\r\n\r\n", 400),
        (b"\r\n\r\n", 400),
        (GET + b"X: a\0b\r\n\r\n", 400),
        (b"\0" * 100, 400),
        (GET + b"no colon\r\n\r\n", 400),
        (GET + b": nothing\r\n\r\n", 400),
        (b"GET /\xff HTTP/1.1\r\nHost: here\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 300, 400),
        (POST + b"Content-Length: " + b"9" * 18 + b"\r\n\r\n", 413),
        (POST + b"Content-Length: 65537\r\n\r\n", 413),
        (POST + b"Content-Length: " + b"9" * 400 + b"\r\n\r\n", 400),
        (POST + b"Content-Length: -1\r\n\r\n", 400),
        (POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400),
        (POST + b"Transfer-Encoding: gzip\r\n\r\n", 501),
        (POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"5\r\nhello\r\n" * 10_000, 413),
        (HANDSHAKE.replace(b"GET", b"POST") + b"\r\n", 400),
        (HANDSHAKE + b"Content-Length: 5\r\n\r\nhello", 400),
        (HANDSHAKE + b"Transfer-Encoding: chunked\r\n\r\n", 400),
        (HANDSHAKE + b"X:" + b"a" * 8188 + b"\r\n\r\n", 400),
    ],
)
@pytest.mark.parametrize("cut", [None, 1], ids=["at once", "byte by byte"])
async def test_a_request_that_nobody_can_read_is_answered_and_its_connection_closed(
    request_: bytes, expected: int, cut: int | None
) -> None:
    async with served() as running:
        pieces = [request_] if cut is None else [request_[n : n + 1] for n in range(len(request_))]
        answer = await running.answer_to(*pieces)
        assert statuses(answer) == [expected]
        head, _, body = answer.partition(b"\r\n\r\n")
        assert b"connection: close" in head
        assert json.loads(body)["error"]["type"] == "invalid_request_error"
        assert statuses(await running.answer_to(LAST)) == [200]


@pytest.mark.parametrize(
    "request_",
    [
        LAST,
        LAST.replace(b"\r\n", b"\n"),
        b"GET /a HTTP/1.0\r\n\r\n",
        GET + b"Connection: close\r\nX: " + b"a" * 8187 + b"\r\n\r\n",
        GET + b"X: a\r\n b\r\nConnection: close\r\n\r\n",
    ],
    ids=["plain", "LF", "HTTP/1.0", "8 KiB", "folded"],
)
async def test_other_requests_are_served(request_: bytes) -> None:
    async with served() as running:
        assert statuses(await running.answer_to(request_)) == [200]
        assert statuses(await running.answer_to(*[request_[n : n + 1] for n in range(len(request_))])) == [
            200
        ]


async def test_requests_one_behind_the_other_are_answered_in_order_and_each_is_measured() -> None:
    async with served() as running:
        body = POST + b"Content-Length: 5\r\n\r\nhello"
        answer = await running.answer_to(GET + b"\r\n" + body + GET + b"\r\n" + body + LAST)
        assert statuses(answer) == [200] * 5
        assert running.app.requests == ["/a", "/b", "/a", "/b", "/a"]
        assert running.app.bodies == [b"", b"hello", b"", b"hello", b""]
        too_long = GET + b"X: " + b"a" * 9000 + b"\r\n\r\n"
        assert statuses(await running.answer_to((GET + b"\r\n") * 3 + too_long + LAST)) == [
            200,
            200,
            200,
            431,
        ]


async def test_nothing_follows_a_body_whose_end_is_not_known_beforehand() -> None:
    async with served() as running:
        answer = await running.answer_to(
            POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n" + LAST
        )
        assert statuses(answer) == [200]
        assert running.app.bodies == [b"hello"]


async def test_many_requests_at_once_wait_their_turn() -> None:
    async with served() as running:
        answer = await running.answer_to((GET + b"\r\n") * 2000 + LAST)
        assert statuses(answer) == [200] * 2001


async def test_a_refused_client_that_goes_on_sending_reads_its_answer() -> None:
    async with served() as running:
        answer = await running.answer_to(GET + b"X: ", *[b"a" * 1_000_000] * 20)
        assert statuses(answer) == [431]


async def test_half_a_head_and_an_end_is_malformed() -> None:
    async with served() as running:
        reader, writer = await running.connect()
        writer.write(GET)
        writer.write_eof()
        async with asyncio.timeout(DEADLINE_S):
            assert statuses(await reader.read()) == [400]


async def test_frames_that_come_with_the_handshake_are_refused_with_it() -> None:
    async with served() as running:
        assert statuses(await running.answer_to(HANDSHAKE + b"\r\n" + b"\x88\x82\0\0\0\0\x03\xe8")) == [400]


async def test_a_session_has_no_deadline_and_takes_no_place() -> None:
    async with served(request_s=0.05, response_s=0.05, connections=1) as running:
        reader, writer = await running.connect()
        writer.write(HANDSHAKE + b"\r\n")
        assert statuses(await reader.readuntil(b"\r\n\r\n")) == [101]
        assert statuses(await running.answer_to(LAST)) == [200]
        await running.answer_to(GET)  # its deadline passes
        writer.write(b"\x88\x82\0\0\0\0" + (1000).to_bytes(2))
        async with asyncio.timeout(DEADLINE_S):
            assert await reader.read() == b"\x88\x02" + (1000).to_bytes(2)


async def test_of_too_many_connections_the_longest_idle_is_closed() -> None:
    async with served(connections=5) as running:
        idle = []
        for _ in range(5):
            reader, writer = await running.connect()
            writer.write(GET + b"\r\n")
            await reader.readuntil(b"ok")
            idle.append((reader, writer))
        idle[0][1].write(GET + b"\r\n")
        await idle[0][0].readuntil(b"ok")
        assert statuses(await running.answer_to(LAST)) == [200]
        async with asyncio.timeout(DEADLINE_S):
            assert await idle[1][0].read() == b""
        for reader, writer in [idle[0], *idle[2:]]:
            writer.write(GET + b"\r\n")
            await reader.readuntil(b"ok")


async def test_the_server_stops_whatever_its_connections_wait_for() -> None:
    async with served() as running:
        for request in [
            b"",
            GET,
            GET + b"\r\n",
            POST + b"Content-Length: 5\r\n\r\n",
            GET + b"X: " + b"a" * 9000,
        ]:
            _, writer = await running.connect()
            writer.write(request)
        await running.answer_to(LAST)
        running.server.should_exit = True


# Deadlines, on a clock of the test's own.
