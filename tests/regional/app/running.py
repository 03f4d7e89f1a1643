"""Workers to test against: the stand-ins in a process of their own, and a worker in this process or in another."""

import asyncio
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import numpy as np
import pytest
from tests.promptness import DEADLINE_S
from websockets.asyncio.client import ClientConnection, connect

from repartee.agent.agent import Agent
from repartee.app.main import create_app
from repartee.app.server import DrainingServer, make_server
from repartee.app.settings import read_settings
from repartee.app.worker import Worker, WorkerParts

REPARTEE = str(Path(sys.executable).parent / "repartee")
TICKET_KEY = "a key for tests that is long enough for anybody"


def clean_environment() -> dict[str, str]:
    """This process's environment without any setting of ours, but for a store that is forgotten."""
    ours = ("DEEPGRAM", "OPENAI", "CARTESIA", "ELEVENLABS", "DATABASE_URL", "REPARTEE_")
    others = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return others | {"REPARTEE_STORE_FILE": ":memory:"}


async def until(seen: Callable[[], object]) -> None:
    """Until this is so; fails if the deadline passes first."""
    async with asyncio.timeout(DEADLINE_S):
        while not seen():  # noqa: ASYNC110 - what is looked at is in a library's or a worker's hands
            await asyncio.sleep(0.005)


@contextmanager
def stand_ins(
    profile: str = "instant", *, light: bool = True, variables: Mapping[str, str] | None = None
) -> Iterator[dict[str, str]]:
    """The providers' stand-ins; gives the variables that point a worker to them."""
    command = [REPARTEE, "standins", "--profile", profile, "--port", "0", *(["--light"] if light else [])]
    environment = clean_environment() | {"PYTHONUNBUFFERED": "1", **(variables or {})}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    exported = {}
    for line in process.stdout:
        if line.startswith("export "):
            name, _, value = line.removeprefix("export ").strip().partition("=")
            exported[name] = value
        elif "Ctrl-C" in line:
            break
    try:
        yield exported
    finally:
        process.terminate()
        process.communicate(timeout=DEADLINE_S)


async def metrics_of(address: str) -> dict[str, float]:
    """What a worker's /metrics says: all samples, by name and labels as Prometheus writes them."""
    async with httpx.AsyncClient() as client:
        text = (await client.get(f"{address}/metrics")).text
    lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


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
        return await metrics_of(self.http)

    async def until_idle(self) -> None:
        """All calls are over."""
        await until(lambda: not self.worker.slots.taken)


begun = itertools.count()
running: set[int] = set()
"""The regions of this process, counted, and those of them that are up."""


@asynccontextmanager
async def region(
    environment: Mapping[str, str],
    *,
    agent: Agent | None = None,
    allow_anonymous: bool = True,
    warm: bool = True,
    port: int = 0,
    agents: Mapping[str, Agent] | None = None,
) -> AsyncIterator[Region]:
    """A worker on a socket of its own, with these settings; ``port`` 0: any."""
    settings = read_settings(
        {
            "REPARTEE_LATENCY_LOG": os.devnull,
            "REPARTEE_STORE_FILE": ":memory:",
            "REPARTEE_WEBRTC_PORT": "0",
            **environment,
        }
    )
    served = agent or Agent(instructions="Be kind.")
    app = create_app(WorkerParts(settings, served, allow_anonymous, agents=agents or {}))
    sockets, number = open_sockets(), next(begun)
    running.add(number)
    alone = len(running) == 1
    with socket.create_server(("127.0.0.1", port), backlog=2048) as listener:
        server = make_server(app, host="127.0.0.1", port=0)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        await until(lambda: server.started and (app.state.worker.ready or not warm))
        try:
            yield Region(listener.getsockname()[1], app.state.worker, server)
        finally:
            server.stop()
            await serving
            running.discard(number)
    if not alone or next(begun) != number + 1:
        return  # another's connections come and go meanwhile
    try:  # the providers' connections take a moment to say goodbye
        await until(lambda: len(open_sockets()) <= len(sockets))
    except TimeoutError:
        left = [ends_of(descriptor) for name, descriptor in open_sockets().items() if name not in sockets]
        raise AssertionError(f"sockets are left open: {left}") from None


def open_sockets() -> dict[str, int]:
    """The sockets this process has open, with their descriptors (none, where the system does not tell)."""
    found = {}
    for descriptor in Path("/proc/self/fd").glob("*"):
        with suppress(OSError):
            if (place := str(descriptor.readlink())).startswith("socket:"):
                found[place] = int(descriptor.name)
    return found


def ends_of(descriptor: int) -> str:
    """Which addresses a socket connects, as far as it is one that says so."""
    with socket.socket(fileno=os.dup(descriptor)) as one, suppress(OSError):
        return f"{one.family.name} {one.type.name} {one.getsockname()} - {one.getpeername()}"
    return "not connected"


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

    def memory_bytes(self) -> int:
        """What its processes hold; skips where the system does not tell."""
        if not Path("/proc/self/statm").exists():
            pytest.skip("only Linux tells what a process holds")
        pids = [self.process.pid]
        for pid in pids:
            pids += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
        pages = [int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids]
        return sum(pages) * os.sysconf("SC_PAGE_SIZE")

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def exit_status(self) -> int:
        """Its exit status, once it has ended by itself."""
        return await asyncio.wait_for(asyncio.to_thread(self.process.wait), DEADLINE_S)


@contextmanager
def region_process(environment: Mapping[str, str], *arguments: str) -> Iterator[RegionProcess]:
    """`repartee region` with these settings, listening."""
    # What a process that is killed leaves behind goes with this folder.
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        process = subprocess.Popen(
            [REPARTEE, "region", "--port", "0", *arguments],
            env=clean_environment()
            | {"PYTHONUNBUFFERED": "1", "TMPDIR": folder, "REPARTEE_WEBRTC_PORT": "0", **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert process.stdout is not None
        first = process.stdout.readline()
        assert first.startswith("region "), first + process.stdout.read()
        try:
            yield RegionProcess(process, int(first.rpartition(":")[2].split()[0]))
        finally:
            process.kill()
            process.communicate(timeout=DEADLINE_S)


def line_with(process: subprocess.Popen[str], words: str) -> str:
    """The next line of a process's that has these words in it; fails if it ends before."""
    assert process.stdout is not None
    read = []
    for line in process.stdout:
        if words in line:
            return line
        read.append(line)
    raise AssertionError(f"{words!r} is not in {''.join(read)!r}")


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


async def spoken_turn(websocket: ClientConnection) -> list[dict[str, Any]]:
    """Say something over a binary session; all events until the answer has been played."""
    events: list[dict[str, Any]] = []
    silence = bytes(960)

    async def say() -> None:
        audio = speech(400)
        for start in range(0, len(audio), 960):
            await websocket.send(audio[start : start + 960])
            await asyncio.sleep(0.01)
        while True:
            await websocket.send(silence)
            await asyncio.sleep(0.01)

    saying = asyncio.create_task(say())
    try:
        async with asyncio.timeout(DEADLINE_S):
            async for frame in websocket:
                if isinstance(frame, str):
                    events.append(json.loads(frame))
                    if events[-1]["type"] == "repartee.turn.latency":
                        return events
    finally:
        saying.cancel()
        await asyncio.wait([saying])
    raise AssertionError("the call ended")


@dataclass
class EcsAgent:
    """The endpoint as ECS gives it to each container: remembers requests, answers as it is told."""

    requests: list[dict[str, Any]] = field(default_factory=list)
    answers: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    uri: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                assert head.startswith("put /api/task-1/task-protection/v1/state http/1.1")
                length = next(line for line in head.splitlines() if line.startswith("content-length"))
                body = json.loads(await reader.readexactly(int(length.partition(":")[2])))
                self.requests.append(body)
                said = {"protection": {"ProtectionEnabled": body["ProtectionEnabled"], "TaskArn": "arn:x"}}
                status, said = self.answers.pop(0) if self.answers else (200, said)
                text = json.dumps(said).encode()
                writer.write(b"HTTP/1.1 %d OK\r\nContent-Length: %d\r\n\r\n" % (status, len(text)) + text)
        writer.close()
