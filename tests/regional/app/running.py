"""Workers to test against: the stand-ins in a process of their own, and a worker in this process or in another."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from websockets.asyncio.client import ClientConnection, connect

from repartee.agent.agent import Agent
from repartee.app.main import create_app
from repartee.app.server import DrainingServer, make_server
from repartee.app.settings import read_settings
from repartee.app.worker import Worker, WorkerConfig

REPARTEE = str(Path(sys.executable).parent / "repartee")
DEADLINE_S = 15.0
TICKET_KEY = "a key for tests that is long enough for anybody"


def clean_environment() -> dict[str, str]:
    """This process's environment without any setting of ours."""
    vendors = ("DEEPGRAM", "OPENAI", "CARTESIA", "ELEVENLABS", "REPARTEE_")
    return {name: value for name, value in os.environ.items() if not name.startswith(vendors)}


async def until(seen: Callable[[], object]) -> None:
    """Until this is so; fails if the deadline passes first."""
    async with asyncio.timeout(DEADLINE_S):
        while not seen():  # noqa: ASYNC110 - what is looked at is in a library's or a worker's hands
            await asyncio.sleep(0.005)


@contextmanager
def stand_ins(profile: str = "instant", *, light: bool = True) -> Iterator[dict[str, str]]:
    """The providers' stand-ins; gives the variables that point a worker to them."""
    command = [REPARTEE, "standins", "--profile", profile, "--port", "0", *(["--light"] if light else [])]
    process = subprocess.Popen(
        command, env=clean_environment() | {"PYTHONUNBUFFERED": "1"}, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    variables = {}
    for line in process.stdout:
        if line.startswith("export "):
            name, _, value = line.removeprefix("export ").strip().partition("=")
            variables[name] = value
        elif "Ctrl-C" in line:
            break
    try:
        yield variables
    finally:
        process.terminate()
        process.communicate(timeout=DEADLINE_S)


@dataclass(frozen=True, slots=True)
class Region:
    """A worker in this process."""

    port: int
    worker: Worker
    server: DrainingServer

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/v1/voice/session"

    async def metrics(self) -> dict[str, float]:
        """All samples, by name and labels as Prometheus writes them."""
        async with httpx.AsyncClient() as client:
            text = (await client.get(f"{self.http}/metrics")).text
        lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
        return {name: float(value) for name, _, value in lines}

    async def until_idle(self) -> None:
        """All calls are over."""
        await until(lambda: not self.worker.slots.taken)


@asynccontextmanager
async def region(
    environment: Mapping[str, str],
    *,
    agent: Agent | None = None,
    allow_anonymous: bool = True,
    warm: bool = True,
) -> AsyncIterator[Region]:
    """A worker on a socket of its own, with these settings."""
    settings = read_settings({"REPARTEE_LATENCY_LOG": os.devnull, **environment})
    app = create_app(WorkerConfig(settings, agent or Agent(instructions="Be kind."), allow_anonymous))
    sockets = open_sockets()
    with socket.create_server(("127.0.0.1", 0), backlog=2048) as listener:
        server = make_server(app, host="127.0.0.1", port=0)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        await until(lambda: server.started and (app.state.worker.ready or not warm))
        try:
            yield Region(listener.getsockname()[1], app.state.worker, server)
        finally:
            server.should_exit = True
            await serving
    await until(lambda: open_sockets() <= sockets)  # the providers' connections take a moment to say goodbye


def open_sockets() -> int:
    """How many sockets this process has open (none, where the system does not tell)."""
    count = 0
    for descriptor in Path("/proc/self/fd").glob("*"):
        with suppress(OSError):
            count += str(descriptor.readlink()).startswith("socket:")
    return count


@dataclass(frozen=True, slots=True)
class RegionProcess:
    """`repartee region` in a process of its own."""

    process: subprocess.Popen[str]
    port: int

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/v1/voice/session"

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def exit_status(self) -> int:
        """Its exit status, once it has ended by itself."""
        return await asyncio.wait_for(asyncio.to_thread(self.process.wait), DEADLINE_S)


@contextmanager
def region_process(environment: Mapping[str, str], *arguments: str) -> Iterator[RegionProcess]:
    """`repartee region` with these settings, listening."""
    process = subprocess.Popen(
        [REPARTEE, "region", "--port", "0", *arguments],
        env=clean_environment() | {"PYTHONUNBUFFERED": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    first = process.stdout.readline()
    assert first.startswith("region "), first + process.stdout.read()
    try:
        yield RegionProcess(process, int(first.rpartition(":")[2]))
    finally:
        process.kill()
        process.communicate(timeout=DEADLINE_S)


def run_region(environment: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """`repartee region`, which is expected to end at once."""
    return subprocess.run(
        [REPARTEE, "region", *arguments],
        env=clean_environment() | dict(environment),
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )


@asynccontextmanager
async def calling(url: str, **options: Any) -> AsyncIterator[ClientConnection]:
    """A bare WebSocket client. Frames may be long and unread, pings are left to the server."""
    async with connect(
        url, max_size=None, max_queue=None, ping_interval=None, compression=None, **options
    ) as websocket:
        yield websocket


def speech(ms: float = 600, hz: int = 24_000) -> bytes:
    """A tone that the stand-ins' ears take for a voice, as PCM16."""
    times = np.arange(int(hz * ms / 1000)) / hz
    voice = np.sum([np.sin(2 * np.pi * 140 * n * times) / n for n in range(1, 8)], axis=0)
    pcm: bytes = (5_000 * voice).astype("<i2").tobytes()
    return pcm
