"""What WebRTC's media costs a worker, without the conversation: many calls on one core, and what that core did."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from repartee.bench.load import FRAME_MS, Load, Measured, run_load
from repartee.bench.rig import cores, no_pauses, rounded, usage
from repartee.bench.webrtc_load import media_link, media_script
from repartee.client.recorded_opus import RecordedOpus
from repartee.client.report import percentile
from repartee.launch.processes import on_cores

START_S = 20.0
MOST_CPU_S = 0.48
MOST_MB = 1.2
"""What is promised: CPU seconds a call-minute, and MB a call with its data channel."""


class MediaCaller:
    """A call that talks on and on. Implements the load's LoadCaller."""

    def __init__(self, frames: list[bytes], seconds: float) -> None:
        self.socket: Any = None
        self.heard = 0
        self._frames = frames
        self._left = round(seconds * 1_000 / FRAME_MS)
        self._at = 0

    @property
    def over(self) -> bool:
        """It has talked for so long."""
        return self._left <= 0

    def tick(self, now: float) -> None:
        """Send the frame that is due."""
        self._left -= 1
        self._at = (self._at + 1) % len(self._frames)
        self.socket.write(self._frames[self._at])

    def receive(self, payload: bytes, is_text: bool, now: float) -> None:
        """Count what is heard."""
        self.heard += not is_text


async def media_row(calls: int, seconds: float, port: int) -> dict[str, Any]:
    """Measure so many calls for so long."""
    own_cores, other_cores = cores()
    measured, load = Measured(), Load(f"http://127.0.0.1:{port}", calls, 1)
    frames, opus = list(media_script(load.frames_per_turn).frames), RecordedOpus()
    speaking = [frame for frame in frames if any(frame)]
    async with AsyncExitStack() as stack:
        if other_cores:
            stack.enter_context(on_cores(other_cores))
        pid = await stack.enter_async_context(_server(port, own_cores))
        callers = [MediaCaller(speaking, seconds) for _ in range(calls)]
        idle = usage(pid)
        for caller in callers:
            caller.socket = await media_link(caller.receive, load.url, opus=opus)
        stack.enter_context(no_pauses())
        before, began = usage(pid), time.monotonic()
        await run_load(load, measured, callers)
        after, took_s = usage(pid), time.monotonic() - began
        for caller in callers:
            caller.socket.close()
        await asyncio.sleep(0.5)
    used_s = after.cpu_s - before.cpu_s
    return {
        "transport": "webrtc",
        "media_only": True,
        "calls": calls,
        "cpu_s_per_call_minute": round(used_s / (calls * took_s / 60), 3),
        "core_used": round(used_s / took_s, 3),
        "mb_per_call": round((after.mb - idle.mb) / calls, 3),
        "silent_calls": sum(not caller.heard for caller in callers),
        "generator_lateness_ms": {"p99": rounded(percentile(measured.lateness_ms, 99)) or 0.0},
    }


@asynccontextmanager
async def _server(port: int, own_cores: frozenset[int] | None) -> AsyncIterator[int]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "repartee.bench.media_server", str(port)
    )
    try:
        if own_cores:
            os.sched_setaffinity(process.pid, own_cores)
        async with asyncio.timeout(START_S):
            while not await _listens(port):  # noqa: ASYNC110 - another process's port
                await asyncio.sleep(0.05)
        yield process.pid
    finally:
        process.terminate()
        await process.wait()


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
