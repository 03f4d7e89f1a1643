"""A bad line between two TUN devices, a process of its own: what comes at one goes on at the other, later or never.

Run as `python -m … FD FD`, the devices' descriptors; a LineQuality as JSON on a line of its input holds from then on.
Ends with its input. Must not know what the packets are, nor in which namespaces the devices stand.
"""

import asyncio
import os
import sys
from collections import deque
from collections.abc import Callable
from contextlib import suppress

import msgspec
import uvloop

from repartee.bench.line_quality import LineDelay, LineQuality, LossDice

MOST_BYTES = 65_536
MOST_WAITING = 16_384
"""So many packets are on the way at once in each direction; what comes then is lost, as at a full router."""


class _Way:
    """One direction."""

    def __init__(self, loop: asyncio.AbstractEventLoop, source: int, sink: int, seed: int) -> None:
        self._loop = loop
        self._source = source
        self._sink = sink
        self._seed = seed
        self._waiting: deque[tuple[float, bytes]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self.become(LineQuality())

    def become(self, quality: LineQuality) -> None:
        """From now on."""
        self._dice, self._delay = LossDice(quality, self._seed), LineDelay(quality, self._seed)

    def read(self) -> None:
        """Packets have come."""
        now = self._loop.time()
        with suppress(BlockingIOError):
            while packet := os.read(self._source, MOST_BYTES):
                if not self._dice.lost() and len(self._waiting) < MOST_WAITING:
                    self._waiting.append((self._delay.arrives_at(now), packet))
        if self._timer is None:
            self._write()

    def _write(self) -> None:
        self._timer = None
        now = self._loop.time()
        while self._waiting and self._waiting[0][0] <= now:
            with suppress(OSError):  # the device is down, or full: lost
                os.write(self._sink, self._waiting.popleft()[1])
        if self._waiting:
            self._timer = self._loop.call_at(self._waiting[0][0], self._write)


async def link(one: int, other: int) -> None:
    """Pass packets on until the input ends."""
    loop = asyncio.get_running_loop()
    ways = _Way(loop, one, other, 1), _Way(loop, other, one, 2)
    for descriptor, way in zip((one, other), ways, strict=True):
        os.set_blocking(descriptor, False)
        loop.add_reader(descriptor, way.read)

    def become(quality: LineQuality) -> None:
        for way in ways:
            way.become(quality)

    await _listen(become)


async def _listen(take: Callable[[LineQuality], None]) -> None:
    loop, reader = asyncio.get_running_loop(), asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer)
    while said := await reader.readline():
        take(msgspec.json.decode(said, type=LineQuality))
        print("changed", flush=True)


if __name__ == "__main__":
    uvloop.run(link(*map(int, sys.argv[1:3])))
