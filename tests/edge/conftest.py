"""What the edge's tests share: regions on loopback that behave as told, and an edge in front of them."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import pytest
import uvicorn
import websockets
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from repartee_edge.selfhosted.server import server_config
from repartee_edge.settings import EdgeSettings, read_settings

TICKET_KEY = "test-ticket-key-of-more-than-32-bytes!"
API_KEY = "dev"


@dataclass
class FakeRegion:
    """A region that echoes, or that fails in one of the ways regions do."""

    name: str
    behaviour: str = "echo"
    handshakes: list[Request] = field(default_factory=list)
    connections: list[ServerConnection] = field(default_factory=list)
    server: Server | None = None
    port: int = 0
    released: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        self.server = await serve(
            self._session,
            "127.0.0.1",
            self.port,
            process_request=self._request,
            select_subprotocol=_choose,
            max_size=8 * 2**20,
            compression=None,
        )
        self.port = next(iter(self.server.sockets)).getsockname()[1]

    async def stop(self) -> None:
        self.released.set()
        if self.server is not None:
            self.server.close()
            await self.server.wait_closed()

    async def _request(self, connection: ServerConnection, request: Request) -> Response | None:
        self.handshakes.append(request)
        if request.path.startswith("/page/") or request.path == "/":
            return Response(
                200, "OK", Headers({"content-type": "text/html"}), f"page of {self.name}".encode()
            )
        if self.behaviour == "hang":
            await self.released.wait()
        if self.behaviour.isdigit():
            status = HTTPStatus(int(self.behaviour))
            headers = Headers({"retry-after": "7"}) if status == 503 else Headers()
            if 300 <= status < 400:
                headers["location"] = "http://127.0.0.1:1/"
            return Response(status, status.phrase, headers, b"no")
        return None

    async def _session(self, connection: ServerConnection) -> None:
        self.connections.append(connection)
        await connection.send(json.dumps({"region": self.name}))
        with contextlib.suppress(websockets.ConnectionClosed):
            async for message in connection:
                if message == "bye":
                    await connection.close(4321, "as asked")
                elif message == "crash":
                    connection.transport.abort()
                else:
                    await connection.send(message)


def _choose(_connection: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    return Subprotocol("realtime") if "realtime" in offered else None


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def regions_json(*regions: FakeRegion, **more: Any) -> str:
    """A regions file: the first region is nearest to a caller in Virginia, each next one farther."""
    return json.dumps(
        {
            "regions": [
                {"name": r.name, "latitude": 39, "longitude": -77 + 10 * i, "host": r.origin, "enabled": True}
                for i, r in enumerate(regions)
            ],
            **more,
        }
    )


def edge_settings(*regions: FakeRegion, env: dict[str, str] | None = None, **more: Any) -> EdgeSettings:
    base = {
        "REPARTEE_API_KEY": f"acme:{API_KEY}",
        "REPARTEE_TICKET_KEY": TICKET_KEY,
        "REPARTEE_EDGE_COLO": "IAD",
    }
    return read_settings({**base, **(env or {})}, regions_json(*regions, **more))


@pytest.fixture
async def start_region() -> AsyncIterator[Callable[..., Any]]:
    """``await start_region(name, behaviour)``: a region; ``dead`` is one that nothing listens for."""
    started: list[FakeRegion] = []

    async def start(name: str, behaviour: str = "echo") -> FakeRegion:
        region = FakeRegion(name, behaviour)
        if behaviour == "dead":
            region.port = free_port()
        else:
            await region.start()
            started.append(region)
        return region

    yield start
    for region in started:
        await region.stop()


@pytest.fixture
async def start_edge() -> AsyncIterator[Callable[..., Any]]:
    """``await start_edge(settings)``: the authority (host:port) of a running edge."""
    running: list[tuple[uvicorn.Server, asyncio.Task[None]]] = []

    async def start(settings: EdgeSettings, **options: Any) -> str:
        config = server_config(settings, port=0, **options)
        config.timeout_graceful_shutdown = 1
        server = uvicorn.Server(config)
        sock = config.bind_socket()
        task = asyncio.create_task(server.serve(sockets=[sock]))
        running.append((server, task))
        while not server.started:  # noqa: ASYNC110 (uvicorn offers no event)
            await asyncio.sleep(0.005)
        return f"127.0.0.1:{sock.getsockname()[1]}"

    yield start
    for server, task in running:
        server.should_exit = True
        await asyncio.wait_for(task, 5)
