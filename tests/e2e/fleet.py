"""Two regional workers behind an edge, each a process of its own that can be stopped, killed and started again."""

import asyncio
import json
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from tests.free_ports import free_port
from tests.promptness import DEADLINE_S
from tests.regional.app.running import REPARTEE, TICKET_KEY, clean_environment, stand_ins

API_KEY = "a-key-for-callers"
PLACES = {"us-east": (38.9, -77.4), "eu-west": (53.3, -6.3)}


@dataclass
class Process:
    """A `repartee` command that listens on a port of its own, the same one whenever it is started."""

    arguments: list[str]
    environment: dict[str, str]
    port: int = field(default_factory=free_port)
    running: subprocess.Popen[bytes] | None = None

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/v1/voice/session"

    def start(self) -> None:
        self.running = subprocess.Popen(
            [REPARTEE, *self.arguments, "--port", str(self.port)],
            env=clean_environment() | self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def signal(self, number: signal.Signals) -> None:
        assert self.running is not None
        self.running.send_signal(number)

    async def ended(self) -> int:
        """Its exit status, once it has ended."""
        assert self.running is not None
        return await asyncio.wait_for(asyncio.to_thread(self.running.wait), DEADLINE_S)

    async def ready(self) -> None:
        """New calls are welcome."""
        async with httpx.AsyncClient(trust_env=False) as client, asyncio.timeout(DEADLINE_S):
            while True:
                try:
                    if (await client.get(f"{self.http}/readyz")).status_code == 200:
                        return
                except httpx.TransportError:
                    assert self.running is not None
                    assert self.running.poll() is None, "it has ended"
                await asyncio.sleep(0.05)

    async def calls(self) -> int:
        """Its calls in progress."""
        async with httpx.AsyncClient(trust_env=False) as client:
            text = (await client.get(f"{self.http}/metrics")).text
        lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        return int(float(lines["repartee_calls_active"]))

    def kill(self) -> None:
        if self.running is not None:
            self.running.kill()
            self.running.wait()


@dataclass(frozen=True)
class Fleet:
    """The regions by name, and the edge in front of them."""

    regions: dict[str, Process]
    edge: Process

    @property
    def url(self) -> str:
        return self.edge.url

    async def busiest(self) -> Process:
        """The region with the most calls."""
        calls = {name: await region.calls() for name, region in self.regions.items()}
        return self.regions[max(calls, key=lambda name: calls[name])]


@contextmanager
def running(process: Process) -> Iterator[Process]:
    """The process is started, and killed in the end."""
    process.start()
    try:
        yield process
    finally:
        process.kill()


@contextmanager
def _processes(folder: Path) -> Iterator[Fleet]:
    with ExitStack() as stack:
        providers = stack.enter_context(stand_ins("budget"))
        edge = Process(["edge", "--regions", str(folder / "regions.json")], {})
        edge.environment |= {"REPARTEE_API_KEY": API_KEY, "REPARTEE_TICKET_KEY": TICKET_KEY}
        shared = {
            **providers,
            "REPARTEE_TICKET_KEY": TICKET_KEY,
            "REPARTEE_EDGE_URL": edge.http,
            "REPARTEE_HEARTBEAT_S": "1",
            "REPARTEE_DRAIN_S": "50",  # a busy machine takes its time over a call, which is let end
            "REPARTEE_LATENCY_LOG": "/dev/null",
        }
        regions = {name: Process(["region"], {**shared, "REPARTEE_REGION": name}) for name in PLACES}
        table = [
            {"name": name, "latitude": at[0], "longitude": at[1], "host": regions[name].http, "enabled": True}
            for name, at in PLACES.items()
        ]
        (folder / "regions.json").write_text(json.dumps({"regions": table}))
        for process in (*regions.values(), edge):
            stack.enter_context(running(process))
        yield Fleet(regions, edge)


@asynccontextmanager
async def fleet(folder: Path) -> AsyncIterator[Fleet]:
    """Stand-ins, two regions and an edge, ready for calls."""
    with _processes(folder) as parts:
        await asyncio.gather(*(process.ready() for process in (*parts.regions.values(), parts.edge)))
        yield parts


def since(started_s: float) -> float:
    """Seconds since a reading of the monotonic clock."""
    return time.monotonic() - started_s
