"""Measures the stand-ins under load: how late their messages are, and what they cost. Not a test; run it by hand:

    python tests/regional/standins/measure.py --calls 100 --seconds 30

The server gets one core to itself and the load generator another, where there are two. Prints one JSON object.
"""

import argparse
import asyncio
import base64
import json
import multiprocessing
import os
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, cast
from urllib.parse import urlsplit

import uvloop

from repartee.standins.server import StandInSettings, serve
from repartee.standins.synthesiser import hum

FRAME_BYTES = 640
FRAME_S = 0.02
SPEECH_FRAMES = 50
TURN_FRAMES = 125
EAGER_FRAMES, END_FRAMES = 6, 13


class Frames(asyncio.Protocol):
    """A WebSocket client that costs next to nothing: payloads are masked with zeros."""

    def __init__(self, path: str, on_text: Callable[[bytes], None]) -> None:
        self._path = path
        self._on_text = on_text
        self._data = b""
        self._open = False
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        key = base64.b64encode(os.urandom(16)).decode()
        self.transport.write(
            f"GET {self._path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\nAuthorization: Bearer k\r\n"
            "cartesia-version: 2026-08-14\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        self._data += data
        if not self._open:
            head, end, rest = self._data.partition(b"\r\n\r\n")
            if not end:
                return
            assert head.startswith(b"HTTP/1.1 101"), head
            self._open, self._data = True, rest
            self.ready.set_result(None)
        while (frame := self._next()) is not None:
            self._on_text(frame)

    def _next(self) -> bytes | None:
        data = self._data
        if len(data) < 2:
            return None
        size, start = data[1] & 127, 2
        if size == 126:
            size, start = int.from_bytes(data[2:4], "big"), 4
        elif size == 127:
            size, start = int.from_bytes(data[2:10], "big"), 10
        if len(data) < start or len(data) < start + size:
            return None
        self._data = data[start + size :]
        return data[start : start + size]

    def send(self, payload: bytes, opcode: int) -> None:
        """One message."""
        size = len(payload)
        length = bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
        self.transport.write(bytes([0x80 | opcode]) + length + b"\0\0\0\0" + payload)


class Tokens(asyncio.Protocol):
    """An HTTP client for streamed completions over one kept connection."""

    def __init__(self, on_token: Callable[[int, bool], None]) -> None:
        self._on_token = on_token
        self._count = 0
        self._tail = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def ask(self, text: str) -> None:
        """Send a request; answers come as (tokens so far, done)."""
        self._count = 0
        self._tail = b""
        body = json.dumps(
            {"model": "stand-in", "stream": True, "messages": [{"role": "user", "content": text}]}
        ).encode()
        self.transport.write(
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer k\r\n"
            b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        )

    def data_received(self, data: bytes) -> None:
        found = (self._tail + data).count(b'{"content": "') - self._tail.count(b'{"content": "')
        self._tail = data[-12:]
        empty = data.count(b'"content": "", ')
        for _ in range(found - min(empty, 0)):
            self._count += 1
            self._on_token(self._count, False)
        if b"[DONE]" in data:
            self._on_token(self._count, True)


class Call:
    """One caller in the light mode."""

    def __init__(self, host: str, port: int, samples: dict[str, list[float]], offset_s: float) -> None:
        self._host, self._port, self._samples, self._offset_s = host, port, samples, offset_s
        self._marks: dict[str, float] = {}
        self._turn = 0

    async def run(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        query = "model=flux-general-en&encoding=linear16&sample_rate=16000&eager_eot_threshold=0.5"
        self._stt = Frames(f"/v2/listen?{query}", self._on_stt)
        self._tts = Frames("/tts/websocket", self._on_tts)
        self._llm = Tokens(self._on_token)
        for protocol in (self._stt, self._tts, self._llm):
            await loop.create_connection(lambda protocol=protocol: protocol, self._host, self._port)  # type: ignore[misc]
        await self._stt.ready
        await self._tts.ready
        speech = hum("a" * 17, 16000).pcm[: SPEECH_FRAMES * FRAME_BYTES]
        frames = [speech[at : at + FRAME_BYTES] for at in range(0, len(speech), FRAME_BYTES)]
        start = time.monotonic() + self._offset_s
        for number in range(int(seconds / FRAME_S)):
            due = start + number * FRAME_S
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            at = number % TURN_FRAMES
            now = time.monotonic()
            self._samples["generator"].append((now - due) * 1000)
            self._stt.send(frames[at] if at < len(frames) else bytes(FRAME_BYTES), 2)
            if at == len(frames) - 1:
                self._turn += 1
                self._samples["turns"].append(1)
            elif at == len(frames) - 1 + EAGER_FRAMES:
                self._marks["eager"] = now
            elif at == len(frames) - 1 + END_FRAMES:
                self._marks["end"] = now

    def _late(self, name: str, since: str, expected_ms: float = 0.0) -> None:
        if since in self._marks:
            self._samples[name].append((time.monotonic() - self._marks.pop(since)) * 1000 - expected_ms)

    def _on_stt(self, text: bytes) -> None:
        if b'"EagerEndOfTurn"' in text:
            self._late("eager", "eager")
            self._marks["llm"] = time.monotonic()
            self._llm.ask(json.loads(text)["transcript"])
        elif b'"EndOfTurn"' in text:
            self._late("end", "end")

    def _on_token(self, count: int, done: bool) -> None:
        if count == 1 and not done:
            self._late("ttft", "llm", 140.0)
        if count == 6 and not done:
            self._marks["tts"] = time.monotonic()
            self._say("We open at eight thirty.", more=True)
        if done:
            self._say("On weekdays we are here until six. On Saturdays we close at noon.", more=False)

    def _say(self, text: str, *, more: bool) -> None:
        request = {
            "context_id": f"{id(self)}-{self._turn}",
            "model_id": "sonic-3",
            "transcript": text,
            "voice": {"mode": "id", "id": "v"},
            "output_format": {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 24000},
            "continue": more,
            "max_buffer_delay_ms": 0,
        }
        self._tts.send(json.dumps(request).encode(), 1)

    def _on_tts(self, text: bytes) -> None:
        if b'"chunk"' in text[:20]:
            self._late("ttfb", "tts", 100.0)
        elif b'"done"' in text[:20]:
            self._samples["answered"].append(1)


def _server(pipe: Connection, core: int | None) -> None:
    if core is not None:
        os.sched_setaffinity(0, {core})

    async def run() -> None:
        async with serve(StandInSettings(profile="budget", light=True)) as running:
            pipe.send((os.getpid(), running.base_url))
            await asyncio.get_running_loop().run_in_executor(None, pipe.recv)
            pipe.send(running.state.stats.report())

    uvloop.run(run())


async def _load(url: str, calls: int, seconds: float) -> dict[str, list[float]]:
    names = ("generator", "turns", "answered", "eager", "end", "ttft", "ttfb")
    samples: dict[str, list[float]] = {name: [] for name in names}
    parts = urlsplit(url)
    assert parts.hostname is not None and parts.port is not None
    turn_s = TURN_FRAMES * FRAME_S
    all_calls = [Call(parts.hostname, parts.port, samples, turn_s * i / calls) for i in range(calls)]
    await asyncio.gather(*(call.run(seconds) for call in all_calls))
    await asyncio.sleep(2.0)
    return samples


def _percentiles(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    return {
        name: round(ordered[int(len(ordered) * share)], 2) for name, share in (("p50", 0.5), ("p99", 0.99))
    }


def _cpu_s(pid: int) -> float:
    with open(f"/proc/{pid}/stat") as stat:  # noqa: PTH123
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=30)
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_server, args=(theirs, cores[0] if len(cores) > 1 else None))
    process.start()
    pid, url = ours.recv()
    if len(cores) > 1:
        os.sched_setaffinity(0, {cores[1]})
    before, started = _cpu_s(pid), time.monotonic()
    samples = uvloop.run(_load(url, options.calls, options.seconds))
    cpu, wall = _cpu_s(pid) - before, time.monotonic() - started
    ours.send("stop")
    report: Any = ours.recv()
    process.join()
    late = {name: _percentiles(samples[name]) for name in ("generator", "eager", "end", "ttft", "ttfb")}
    result = {
        "calls": options.calls,
        "turns": len(samples["turns"]),
        "answered": len(samples["answered"]),
        "late_ms": late,
        "cores": round(cpu / wall, 3),
        "cpu_s_per_call_minute": round(cpu / options.calls / options.seconds * 60, 3),
        "own_timers_ms": report["timer_lateness_ms"],
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
