"""What the edge's tests share: regions on loopback that behave as told, and an edge of either kind before them."""

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
import websockets
from tests.free_ports import free_port
from tests.promptness import DEADLINE_S
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from repartee_edge.selfhosted.server import server_config
from repartee_edge.settings import read_settings

ROOT = Path(__file__).resolve().parents[2]
TICKET_KEY = "test-ticket-key-of-more-than-32-bytes!"
API_KEY = "dev"
HOST_START_S = 60

StartRegion = Callable[..., Awaitable["FakeRegion"]]
StartEdge = Callable[[dict[str, str]], Awaitable[str]]


@dataclass
class FakeRegion:
    """A region that echoes, or that fails in one of the ways regions do."""

    name: str
    behaviour: str = "echo"
    port: int = 0
    readyz: tuple[int, str] = (200, "ok")
    requests: list[Request] = field(default_factory=list)
    handshakes: list[Request] = field(default_factory=list)
    connections: list[ServerConnection] = field(default_factory=list)
    released: asyncio.Event = field(default_factory=asyncio.Event)
    server: Server | None = None

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
            close_timeout=0.5,
        )
        self.port = next(iter(self.server.sockets)).getsockname()[1]

    async def stop(self) -> None:
        self.released.set()
        if self.server is not None:
            self.server.close()
            await self.server.wait_closed()

    async def _request(self, _connection: ServerConnection, request: Request) -> Response | None:
        self.requests.append(request)
        if "upgrade" in request.headers:
            self.handshakes.append(request)
        if request.path.startswith("/page/") or request.path == "/":
            if "if-none-match" in request.headers:
                return Response(304, "Not Modified", Headers({"etag": request.headers["if-none-match"]}))
            return Response(
                200, "OK", Headers({"content-type": "text/html"}), f"page of {self.name}".encode()
            )
        if request.path in ("/healthz", "/readyz"):
            status, text = self.readyz
            return Response(status, "so", Headers({"connection": "close"}), text.encode())
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


def regions_json(*regions: FakeRegion, **more: Any) -> str:
    """A regions file: the first region is nearest to a caller in Virginia, each next one farther."""
    listed = [
        {"name": r.name, "latitude": 39, "longitude": -77 + 5 * i, "host": r.origin, "enabled": True}
        for i, r in enumerate(regions)
    ]
    return json.dumps({"regions": listed, **more})


def edge_env(*regions: FakeRegion, residency: list[Any] | None = None, **env: str) -> dict[str, str]:
    """The settings of an edge in Virginia before these regions."""
    return {
        "REPARTEE_API_KEY": f"acme:{API_KEY}",
        "REPARTEE_TICKET_KEY": TICKET_KEY,
        "REPARTEE_REGIONS": regions_json(*regions, residency=residency or []),
        "REPARTEE_EDGE_COLO": "IAD",
        **env,
    }


@pytest.fixture
async def start_region() -> AsyncIterator[StartRegion]:
    """``await start_region(name, behaviour)``: a region; one that is ``dead`` has a port that nothing listens on."""
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
    await asyncio.gather(*(region.stop() for region in started))


@pytest.fixture
async def start_selfhosted() -> AsyncIterator[Callable[..., Awaitable[str]]]:
    """``await start_selfhosted(env)``: the authority (host:port) of a running self-hosted edge."""
    running: list[tuple[uvicorn.Server, asyncio.Task[None]]] = []

    async def start(env: dict[str, str], mmdb: Path | None = None) -> str:
        config = server_config(read_settings(env), port=0, mmdb=mmdb)
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
        await asyncio.wait_for(task, DEADLINE_S)


def node() -> Path:
    """Node 22 as npm's package brings it. Skips the test if it or another package is missing."""
    modules = ROOT / "node_modules"
    for needed in ("node/bin/node", "pyodide/pyodide.mjs", "wrangler/package.json"):
        if not (modules / needed).exists():
            pytest.skip(
                f"node_modules/{needed} is missing: run npm ci (Node 20 or newer) for the Worker's tests"
            )
    return modules / "node" / "bin" / "node"


@pytest.fixture(scope="session")
def vendored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what deploys the Worker, with its packages vendored, as a user has it before a deployment."""
    node()
    folder = tmp_path_factory.mktemp("deploy")
    for name in ("wrangler.toml", "pyproject.toml", "package.json"):
        shutil.copy(ROOT / name, folder / name)
    shutil.copytree(ROOT / "edge", folder / "edge", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("tools/vendor_edge.py", "requirements/dev.txt"):
        (folder / name).parent.mkdir()
        shutil.copy(ROOT / name, folder / name)
    (folder / "node_modules").symlink_to(ROOT / "node_modules")
    vendor = [sys.executable, str(ROOT / "tools" / "vendor_edge.py"), "--into", str(folder)]
    subprocess.run(vendor, check=True, capture_output=True)
    return folder


@dataclass(frozen=True)
class WorkerHost:
    """The Worker's own entry in Pyodide on Node. Times are in milliseconds."""

    authority: str
    import_ms: float
    sdk_import_ms: float

    async def post(self, path: str, body: Any = None) -> Any:
        async with httpx.AsyncClient(timeout=DEADLINE_S) as http:
            answer = await http.post(f"http://{self.authority}{path}", json=body)
            answer.raise_for_status()
            return answer.json()


@pytest.fixture(scope="session")
def worker_host(vendored: Path) -> Iterator[WorkerHost]:
    """One Node process for all tests; each configures an isolate of its own."""
    options = json.dumps({"source": str(ROOT / "edge"), "modules": str(vendored / "python_modules")})
    process = subprocess.Popen(
        [node(), ROOT / "tests" / "edge" / "worker_host" / "host.mjs", options],
        stdout=subprocess.PIPE,
        text=True,
        env={"PATH": os.environ["PATH"]},
    )
    assert process.stdout is not None
    try:
        started = json.loads(process.stdout.readline() or "{}")
        assert started, f"the Worker's host ended with status {process.wait(10)}"
        yield WorkerHost(f"127.0.0.1:{started['port']}", started["import_ms"], started["sdk_import_ms"])
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture
def start_worker(worker_host: WorkerHost) -> Callable[..., Awaitable[str]]:
    """``await start_worker(env)``: the authority of the Worker in a fresh isolate with these variables."""

    async def start(env: dict[str, str], limit: int = 10**9) -> str:
        await worker_host.post("/__configure", {"env": env, "cf": {"colo": "IAD"}, "limit": limit})
        return worker_host.authority

    return start


@pytest.fixture(params=["selfhosted", "worker"])
def start_edge(request: pytest.FixtureRequest) -> StartEdge:
    """``await start_edge(env)``: the authority of an edge; each test runs with both kinds."""
    started: StartEdge = request.getfixturevalue(f"start_{request.param}")
    return started
