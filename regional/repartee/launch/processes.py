"""Runs several `repartee` commands as one: started together, ready together, ended together.

Owns processes, their output and their health; must not know what any of them does.
"""

import asyncio
import os
import signal
import socket
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import httpx

from repartee.errors import VoiceError

READY_TIMEOUT_S = 60.0
READY_POLL_S = 0.05
END_TIMEOUT_S = 6.0
LAST_WORDS = 12
TIED = (sys.executable, "-m", "repartee.launch.tied")
OUTPUT_LINES = 200


class PartFailed(VoiceError):
    """A part did not start, or stopped; the message names it and quotes its last words."""


@dataclass(frozen=True, slots=True)
class Part:
    """A `repartee` command that goes on running, and where it says that it is ready (HTTP 200)."""

    name: str
    command: Sequence[str]
    port: int
    ready_path: str = "/readyz"
    env: Mapping[str, str] = field(default_factory=dict)
    host: str = "127.0.0.1"
    cores: frozenset[int] | None = None
    """The processor cores that it may use (Linux); None: all that this process may."""

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"


@dataclass(slots=True)
class RunningPart:
    """A started part; ``output`` holds its latest lines, ``stage`` counts those that were started before it."""

    part: Part
    process: asyncio.subprocess.Process
    output: deque[str]
    reader: asyncio.Task[None]
    stage: int


def require_free(parts: Sequence[Part]) -> None:
    """Raises PartFailed when a part's port is taken."""
    taken = []
    for part in parts:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((part.host, part.port))
            except OSError:
                taken.append(f"{part.port} ({part.name})")
    if taken:
        plural = "ports are" if len(taken) > 1 else "port is"
        raise PartFailed(
            f"The {plural} taken: {', '.join(taken)}. Is another one running? Choose others with --port, "
            "e.g. --port 9000."
        )


class Parts:
    """The running parts of one system."""

    def __init__(self, show: Callable[[str, str], None] | None, launcher: Sequence[str] = TIED) -> None:
        self._show = show
        self._launcher = launcher
        self._running: list[RunningPart] = []
        self._stages = 0
        # Nobody writes to this pipe. Its writing end is only in this process: it closes when this process is gone.
        self._lifeline, self._held = os.pipe()

    def pid(self, name: str) -> int:
        """The process id of a part. Raises KeyError for an unknown one."""
        for running in self._running:
            if running.part.name == name:
                return running.process.pid
        raise KeyError(name)

    async def start(self, parts: Sequence[Part]) -> None:
        """Start parts, as a stage of their own, and wait until all are ready. Raises PartFailed."""
        self._stages += 1
        for part in parts:
            self._running.append(await self._start(part))
        ready: asyncio.Future[Any] = asyncio.gather(*(self._ready(part) for part in parts))
        fallen: asyncio.Future[Any] = asyncio.create_task(self.first_to_fall())
        try:
            await asyncio.wait([ready, fallen], return_when=asyncio.FIRST_COMPLETED)
            if fallen.done():
                raise fallen.result()
            await ready
        finally:
            ready.cancel()
            fallen.cancel()
            await asyncio.gather(ready, fallen, return_exceptions=True)

    async def first_to_fall(self) -> PartFailed:
        """Wait until any part has stopped by itself; returns what to say about it."""
        waits = {asyncio.create_task(each.process.wait()): each for each in self._running}
        try:
            done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            return await self._obituary(waits[done.pop()])
        finally:
            for task in waits:
                task.cancel()

    async def end(self) -> None:
        """Ask every part to end, and make those that do not.

        Those of the last stage end first: whom a part depends on is there until it has ended.
        """
        for stage in sorted({each.stage for each in self._running}, reverse=True):
            await _end([each for each in self._running if each.stage == stage])
        for each in self._running:
            each.reader.cancel()
        await asyncio.gather(*(each.reader for each in self._running), return_exceptions=True)
        os.close(self._held)
        os.close(self._lifeline)

    async def _start(self, part: Part) -> RunningPart:
        with on_cores(part.cores):
            process = await asyncio.create_subprocess_exec(
                *(*self._launcher, str(self._lifeline), *part.command),
                env={**os.environ, "PYTHONUNBUFFERED": "1", **part.env},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                pass_fds=[self._lifeline],
                start_new_session=True,
            )
        output: deque[str] = deque(maxlen=OUTPUT_LINES)
        reader = asyncio.create_task(self._read(part.name, process, output))
        return RunningPart(part, process, output, reader, self._stages)

    async def _read(self, name: str, process: asyncio.subprocess.Process, output: deque[str]) -> None:
        assert process.stdout is not None
        while True:
            try:
                line = await process.stdout.readline()
            except ValueError:  # a line longer than the reader's buffer: what is left of it comes next
                continue
            if not line:
                return
            text = line.decode("utf-8", "replace").rstrip()
            output.append(text)
            if self._show is not None:
                self._show(name, text)

    async def _ready(self, part: Part) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + READY_TIMEOUT_S
        async with httpx.AsyncClient(trust_env=False, timeout=2.0) as client:
            while loop.time() < deadline:
                with suppress(httpx.HTTPError):
                    if (await client.get(part.url + part.ready_path)).status_code == 200:
                        return
                await asyncio.sleep(READY_POLL_S)
        raise PartFailed(
            f"The {part.name} did not get ready within {READY_TIMEOUT_S:g} s. " + self._quoted(part.name)
        )

    async def _obituary(self, fallen: RunningPart) -> PartFailed:
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(fallen.reader), 1.0)
        status = fallen.process.returncode or 0
        how = f"was ended by signal {-status}" if status < 0 else f"stopped with exit status {status}"
        return PartFailed(f"The {fallen.part.name} {how}. " + self._quoted(fallen.part.name))

    def _quoted(self, name: str) -> str:
        for each in self._running:
            if each.part.name == name and each.output:
                return "Its last words:\n" + "\n".join(
                    f"  {line}" for line in list(each.output)[-LAST_WORDS:]
                )
        return "It said nothing."


@contextmanager
def on_cores(cores: frozenset[int] | None) -> Iterator[None]:
    """Keep this process, and those started in the block, on these cores; None or no Linux: wherever they are."""
    if cores is None or not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


async def _end(parts: Sequence[RunningPart]) -> None:
    """Ask these to end, and make those that do not within the time they have."""
    for each in parts:
        _signal(each, signal.SIGTERM)
    waits = [asyncio.create_task(each.process.wait()) for each in parts]
    await asyncio.wait(waits, timeout=END_TIMEOUT_S)
    for each in parts:
        _signal(each, signal.SIGKILL)
    await asyncio.gather(*waits)


def _signal(each: RunningPart, number: signal.Signals) -> None:
    """Signal a part's whole process group: it may have started processes of its own."""
    with suppress(ProcessLookupError, PermissionError):
        if number is signal.SIGTERM:
            os.kill(each.process.pid, number)
        else:
            os.killpg(each.process.pid, number)


@asynccontextmanager
async def running(
    stages: Sequence[Sequence[Part]],
    show: Callable[[str, str], None] | None = None,
    launcher: Sequence[str] = TIED,
) -> AsyncIterator[Parts]:
    """Run parts, stage by stage: each is ready before the next is started. All are ended with the block.

    ``show`` is called with a part's name and each line it prints; ``launcher`` is given the lifeline's file
    descriptor and a part's command. Raises PartFailed when a port is taken, or a part does not get ready.
    """
    require_free([part for stage in stages for part in stage])
    parts = Parts(show, launcher)
    try:
        for stage in stages:
            await parts.start(stage)
        yield parts
    finally:
        await asyncio.shield(parts.end())
