"""How many sessions one core of the self-hosted edge carries: ``python tools/bench_edge_frames.py --sessions 400``.

Three processes: a region that answers each 20 ms frame of 24 kHz PCM with one, the edge as ``repartee edge`` runs
it, and the callers. The edge has the first core to itself; region and callers share the others, and both only count
bytes, so that the edge is what is measured. Prints one line of JSON: frames lost, the round trip through the edge
(the callers' own waiting included), and the CPU time the edge took per second.
"""

import argparse
import asyncio
import base64
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import uvloop

FRAMES_PER_S = 50
FRAME_BYTES = 960
SIZE = FRAME_BYTES.to_bytes(2, "big")
CALLERS_FRAME = b"\x82\xfe" + SIZE + bytes(4) + bytes(FRAME_BYTES)
REGIONS_FRAME = b"\x82\x7e" + SIZE + bytes(FRAME_BYTES)
ACCEPT_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
API_KEY, TICKET_KEY = "bench", "bench-ticket-key-of-at-least-32-bytes"
HANDSHAKE = (
    "GET /v1/voice/session HTTP/1.1\r\nHost: edge\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    f"Authorization: Bearer {API_KEY}\r\n\r\n"
).encode()


class Region(asyncio.Protocol):
    """Accepts a WebSocket and answers every frame's worth of bytes with a frame."""

    def __init__(self) -> None:
        self._open = False
        self._waiting = bytearray()
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are asyncio's in all but their base class.
        self._transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        self._waiting += data
        if self._open:
            frames, rest = divmod(len(self._waiting), len(CALLERS_FRAME))
            self._waiting = bytearray(rest)
            self._transport.write(REGIONS_FRAME * frames)
        elif b"\r\n\r\n" in self._waiting:
            lines = bytes(self._waiting).lower().split(b"\r\n")
            at = next(i for i, line in enumerate(lines) if line.startswith(b"sec-websocket-key"))
            key = bytes(self._waiting).split(b"\r\n")[at].split(b":", 1)[1].strip()
            accept = base64.b64encode(hashlib.sha1(key + ACCEPT_GUID).digest())
            head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            self._transport.write(head + b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")
            self._open = True
            self._waiting.clear()


class Caller(asyncio.Protocol):
    """Sends frames when told and notes how long each answer took."""

    def __init__(self, round_trips_s: list[float]) -> None:
        self._round_trips_s = round_trips_s
        self._sent: deque[float] = deque()
        self._waiting = 0
        self._transport: asyncio.WriteTransport | None = None
        self.open: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are asyncio's in all but their base class.
        self._transport = cast(asyncio.WriteTransport, transport)
        self._transport.write(HANDSHAKE)

    def data_received(self, data: bytes) -> None:
        if not self.open.done():
            self.open.set_result(b" 101 " in data[:20])
            return
        frames, self._waiting = divmod(self._waiting + len(data), len(REGIONS_FRAME))
        now = time.perf_counter()
        for _ in range(frames):
            self._round_trips_s.append(now - self._sent.popleft())

    def send(self) -> None:
        assert self._transport is not None
        self._sent.append(time.perf_counter())
        self._transport.write(CALLERS_FRAME)


async def serve_region(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Region, "127.0.0.1", port, backlog=2048)
    await server.serve_forever()


async def call(port: int, sessions: int, seconds: float) -> list[float]:
    """Round trips in seconds, in order."""
    loop = asyncio.get_running_loop()
    round_trips_s: list[float] = []
    callers = [
        (await loop.create_connection(lambda: Caller(round_trips_s), "127.0.0.1", port))[1]
        for _ in range(sessions)
    ]
    async with asyncio.timeout(30):
        assert all([await caller.open for caller in callers]), "the edge refused a session"

    async def talk(number: int, caller: Caller) -> None:
        began = time.perf_counter() + number / sessions / FRAMES_PER_S
        for frame in range(int(seconds * FRAMES_PER_S)):
            await asyncio.sleep(max(0.0, began + frame / FRAMES_PER_S - time.perf_counter()))
            caller.send()

    await asyncio.gather(*(talk(number, caller) for number, caller in enumerate(callers)))
    await asyncio.sleep(1.0)
    return sorted(round_trips_s)


@contextmanager
def running(core: int, env: dict[str, str], *command: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, env={**os.environ, **env}, stdout=subprocess.DEVNULL)
    os.sched_setaffinity(process.pid, {core})
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(
        description="How many sessions one core of the self-hosted edge carries."
    )
    parser.add_argument("--sessions", type=int, default=400)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--port", type=int, default=19000)
    parser.add_argument("--region-only", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.region_only:
        uvloop.run(serve_region(options.port))
        return
    cores = sorted(os.sched_getaffinity(0))
    region = {"name": "bench", "latitude": 0, "longitude": 0, "enabled": True}
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump({"regions": [{**region, "host": f"http://127.0.0.1:{options.port + 1}"}]}, file)
        file.flush()
        repartee = str(Path(sys.executable).parent / "repartee")
        edge_words = (repartee, "edge", "--port", str(options.port), "--regions", file.name)
        region_words = (sys.executable, __file__, "--region-only", "--port", str(options.port + 1))
        env = {"REPARTEE_API_KEY": API_KEY, "REPARTEE_TICKET_KEY": TICKET_KEY, "REPARTEE_EDGE_DRAIN_S": "0"}
        with running(cores[-1], {}, *region_words), running(cores[0], env, *edge_words) as edge:
            time.sleep(3)
            os.sched_setaffinity(0, set(cores[1:]) or set(cores))
            before, began = cpu_s(edge.pid), time.perf_counter()
            found = uvloop.run(call(options.port, options.sessions, options.seconds))
            took_s, used_s = time.perf_counter() - began, cpu_s(edge.pid) - before
    sent = options.sessions * int(options.seconds * FRAMES_PER_S)
    result = {
        "sessions": options.sessions,
        "frames_per_s_each_way": FRAMES_PER_S,
        "frames_sent": sent,
        "frames_lost": sent - len(found),
        "round_trip_ms": {f"p{p}": round(found[int(len(found) * p / 100)] * 1000, 2) for p in (50, 90, 99)},
        "edge_cpu_s_per_s": round(used_s / took_s, 3),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
