"""Measures what relaying to a speech-to-speech model adds, per direction. Not a test; run it by hand:

    python tests/regional/session/measure_relay.py --calls 40 --seconds 20

Callers and provider are in this process, so one clock times both; the worker has a process, and where there are two a
core, of its own. Every frame carries the time it was sent. The same traffic is timed without the worker first, and
"added" is the difference. Prints one JSON object.
"""

import argparse
import asyncio
import base64
import json
import os
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvloop
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from repartee.bench.lean_socket import LeanSocket, laid_out

FRAME_S, FRAME_BYTES = 0.02, 960
DELTA_S, DELTA_BYTES = 0.1, 4_800
STAMP = struct.Struct("<d")
AGENT = 'from repartee import Agent\nagent = Agent(instructions="Relay.", model="gpt-realtime")\n'
REPARTEE = str(Path(sys.executable).parent / "repartee")


def stamped(size: int) -> str:
    """Audio, in base64, that begins with the time."""
    return base64.b64encode(STAMP.pack(time.perf_counter()) + bytes(size - STAMP.size)).decode()


def age_ms(message: bytes | str, key: str) -> float:
    """How long ago the audio under this key was stamped."""
    now = time.perf_counter()
    text = message if isinstance(message, str) else message.decode()
    start = text.index(f'"{key}":"') + len(key) + 4
    (sent,) = STAMP.unpack(base64.b64decode(text[start : start + 12])[: STAMP.size])
    return float(now - sent) * 1000


class Provider:
    """Answers what it hears at once and without end: a delta of audio every 100 ms. Times what it hears."""

    def __init__(self) -> None:
        self.up_ms: list[float] = []

    async def talk(self, socket: ServerConnection) -> None:
        """One session."""
        await socket.send('{"type":"session.created","event_id":"e0","session":{}}')
        speaking: asyncio.Task[None] | None = None
        try:
            async for message in socket:
                text = str(message)
                if "input_audio_buffer.append" in text[:60]:
                    speaking = speaking or asyncio.create_task(self._speak(socket))
                    self.up_ms.append(age_ms(text, "audio"))
                elif "session.update" in text[:40]:
                    await socket.send('{"type":"session.updated","event_id":"e1","session":{}}')
        except ConnectionClosed:
            pass  # the worker is stopped at the end, without ceremony
        finally:
            if speaking:
                speaking.cancel()

    async def _speak(self, socket: ServerConnection) -> None:
        response = {
            "id": "resp_1",
            "object": "realtime.response",
            "status": "in_progress",
            "conversation_id": "c",
        }
        item = {"id": "item_1", "type": "message", "role": "assistant", "content": []}
        begun = [
            {"type": "response.created", "event_id": "e2", "response": response},
            {"type": "response.output_item.added", "event_id": "e3", "response_id": "resp_1", "item": item},
        ]
        started = False
        head = (
            '{"type":"response.output_audio.delta","event_id":"e4","response_id":"resp_1","item_id":"item_1",'
        )
        while True:
            await asyncio.sleep(DELTA_S)
            if not started:
                started = True
                for event in begun:
                    await socket.send(json.dumps(event))
            await socket.send(
                head + '"output_index":0,"content_index":0,"delta":"' + stamped(DELTA_BYTES) + '"}'
            )


class Load:
    """So many callers, who speak without a pause, evenly spread over a frame's length."""

    def __init__(self, url: str, calls: int) -> None:
        self._url, self._calls = url, calls
        self.down_ms: list[float] = []

    def _take(self, payload: bytes, text: bool) -> None:
        if b"output_audio.delta" in payload[:60]:
            self.down_ms.append(age_ms(payload, "delta"))

    async def run(self, seconds: float) -> None:
        """Call, and speak for so long."""
        sockets = [LeanSocket(self._url, "dev", self._take) for _ in range(self._calls)]
        loop = asyncio.get_running_loop()
        for socket in sockets:
            host, port = self._url.split("/")[2].split(":")
            await loop.create_connection(lambda socket=socket: socket, host, int(port))  # type: ignore[misc]
            await socket.opened(10)
        await asyncio.gather(*(self._speak(one, n, seconds) for n, one in enumerate(sockets)))
        for socket in sockets:
            socket.close()

    async def _speak(self, socket: LeanSocket, number: int, seconds: float) -> None:
        started = time.perf_counter() + number * FRAME_S / self._calls
        for frame in range(int(seconds / FRAME_S)):
            await asyncio.sleep(started + frame * FRAME_S - time.perf_counter())
            event = '{"type":"input_audio_buffer.append","audio":"' + stamped(FRAME_BYTES) + '"}'
            socket.write(laid_out(event.encode(), text=True))


@asynccontextmanager
async def worker(provider_port: int, cores: list[int]) -> AsyncIterator[tuple[str, int]]:
    """`repartee region` on a core of its own; its URL and process id."""
    with tempfile.TemporaryDirectory() as folder:
        agent = Path(folder) / "agent.py"
        agent.write_text(AGENT, encoding="utf-8")
        settings = {"OPENAI_BASE_URL": f"http://127.0.0.1:{provider_port}/v1", "OPENAI_API_KEY": "x"}
        process = subprocess.Popen(  # noqa: ASYNC220 - nothing else is going on yet
            [REPARTEE, "region", "--port", "0", "--agent", str(agent), "--allow-anonymous"],
            env=os.environ | settings | {"PYTHONUNBUFFERED": "1", "REPARTEE_LATENCY_LOG": os.devnull},
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            os.sched_setaffinity(process.pid, {cores[0]})
            assert process.stdout is not None
            first = await asyncio.to_thread(process.stdout.readline)
            await asyncio.sleep(2)
            yield f"ws://127.0.0.1:{int(first.rpartition(':')[2])}/v1/realtime", process.pid
        finally:
            process.kill()
            process.wait()


def cpu_s(pid: int) -> float:
    """Processor time a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def percentiles(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    return {f"p{p}": round(ordered[int((len(ordered) - 1) * p / 100)], 3) for p in (50, 90, 99)}


async def measure(calls: int, seconds: float) -> dict[str, Any]:
    """All figures in ms."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[-1]})
    report: dict[str, Any] = {"calls": calls, "seconds": seconds}
    async with serve(provider := Provider().talk, "127.0.0.1", 0, compression=None) as server:
        heard: Provider = provider.__self__  # type: ignore[attr-defined]
        port = next(iter(server.sockets)).getsockname()[1]
        async with worker(port, cores) as (url, pid):
            for name, target in (("direct", f"ws://127.0.0.1:{port}/v1/realtime"), ("relayed", url)):
                heard.up_ms.clear()
                load = Load(target, calls)
                before = cpu_s(pid)
                await load.run(seconds)
                report[name] = {"up_ms": percentiles(heard.up_ms), "down_ms": percentiles(load.down_ms)}
                report[name]["frames"] = len(heard.up_ms) + len(load.down_ms)
                used = (cpu_s(pid) - before) / seconds
            report["worker_cores"] = round(used, 3)
    for way in ("up_ms", "down_ms"):
        direct, relayed = report["direct"][way], report["relayed"][way]
        report[f"added_{way}"] = {p: round(relayed[p] - direct[p], 3) for p in direct}
    return report


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=20)
    arguments = parser.parse_args()
    print(json.dumps(uvloop.run(measure(arguments.calls, arguments.seconds)), indent=2))
