"""What a flood of hostile datagrams does to the calls beside it: their voice-to-voice P99 with it, less that without.

`python -m tests.regional.rtc.flood --json flood.json`: calls by WebRTC on a worker with a core of its own, first
alone, then while strangers at many addresses send a million datagrams of all kinds to its media port.
"""

import argparse
import asyncio
import json
import multiprocessing
import random
import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import uvloop
from tests.regional.rtc.hostile import hostile_datagram
from tests.regional.rtc.link import Link, tone

from repartee.bench.load import Load
from repartee.bench.rig import Setup, Step, figures, rig, step
from repartee.rtc.demultiplexer import kind_of

STRANGERS = 64
POOL = 20_000
"""So many different datagrams are made before the flood, and sent over and over."""

TICK_S = 0.005
MOST_MORE_MS = 10.0
"""What is promised: P99 of the others grows by no more."""

MEDIA_PORT_ABOVE = 3


@dataclass(frozen=True, slots=True)
class Flood:
    """So many datagrams over so many seconds, to a port of this machine."""

    port: int
    datagrams: int
    seconds: float


def honest_datagrams() -> list[bytes]:
    """What the caller of some other call sent."""
    seen: list[bytes] = []

    def noting(up: bool, data: bytes) -> bool:
        if up:
            seen.append(data)
        return False

    link = Link(drops=noting).connect()
    link.speak(link.client, tone(200))
    return seen


def send(flood: Flood, ready: Connection) -> None:
    """In a process of its own: says that it is ready, floods when told to, and says what it sent and got."""
    dice, seen = random.Random(14), honest_datagrams()
    pool = [hostile_datagram(dice, seen) for _ in range(POOL)]
    kinds = [kind_of(data) for data in pool]
    sockets = [_stranger(number) for number in range(STRANGERS)]
    ready.send(None)
    ready.recv()
    sent_kinds, sent_bytes, began = Counter[str](), 0, time.monotonic()
    for number in range(flood.datagrams):
        at = number % POOL
        with suppress(BlockingIOError):
            sockets[number % STRANGERS].sendto(pool[at], ("127.0.0.1", flood.port))
            sent_kinds[kinds[at]] += 1
            sent_bytes += len(pool[at])
        due_s = (number + 1) * flood.seconds / flood.datagrams
        if (early_s := due_s - (time.monotonic() - began)) > TICK_S:
            time.sleep(early_s)
    ready.send((sent_kinds, sent_bytes, sum(map(_came_back, sockets))))


def _stranger(number: int) -> socket.socket:
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    opened.bind((f"127.0.1.{number + 1}", 0))
    opened.setblocking(False)
    return opened


def _came_back(stranger: socket.socket) -> int:
    came = 0
    with stranger, suppress(BlockingIOError):
        while data := stranger.recv(65_536):
            came += len(data)
    return came


@contextmanager
def flooding(flood: Flood) -> Iterator[Connection]:
    """Its process, ready to begin."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=send, args=(flood, theirs))
    process.start()
    try:
        ours.recv()
        yield ours
    finally:
        process.terminate()
        process.join()


async def measure(calls: int, turns: int, datagrams: int, port: int) -> dict[str, Any]:
    """Both runs, and what they differ by."""
    load = Load(f"http://127.0.0.1:{port}", calls, turns, webrtc=True)
    media_port = port + MEDIA_PORT_ABOVE
    seconds = turns * load.frames_per_turn * 0.02
    env = {"REPARTEE_WEBRTC_PORT": str(media_port), "REPARTEE_MAX_CALLS": str(calls + 10)}
    async with rig(Setup(port, env=env)) as bench:
        await step(bench, Load(load.url, 1, 1, webrtc=True))
        without = await step(bench, load)
        with flooding(Flood(media_port, datagrams, seconds)) as hostile:
            hostile.send(None)
            beside = await step(bench, load)
            kinds, sent_bytes, came_bytes = await asyncio.to_thread(hostile.recv)
    return told(without, beside) | {
        "datagrams": dict(kinds),
        "sent": kinds.total(),
        "bytes_in": sent_bytes,
        "bytes_out": came_bytes,
    }


def told(without: Step, beside: Step) -> dict[str, Any]:
    """The calls' figures."""
    rows = {"without": figures(without), "with": figures(beside)}
    p99 = {name: row["v2v_ms"]["p99"] for name, row in rows.items()}
    more_ms = None if None in p99.values() else round(p99["with"] - p99["without"], 2)
    return {"calls": without.load.calls, **rows, "p99_more_ms": more_ms, "limit_ms": MOST_MORE_MS}


def main() -> None:
    """Measure, print, and write the JSON if that is wanted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--datagrams", type=int, default=1_000_000)
    parser.add_argument("--calls", type=int, default=10)
    parser.add_argument("--turns", type=int, default=20)
    parser.add_argument("--port", type=int, default=8_860)
    parser.add_argument("--json", type=Path)
    wanted = parser.parse_args()
    found = uvloop.run(measure(wanted.calls, wanted.turns, wanted.datagrams, wanted.port))
    text = json.dumps(found, indent=2)
    print(text)
    if wanted.json:
        wanted.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
