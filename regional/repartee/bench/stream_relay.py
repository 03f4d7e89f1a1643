"""A relay for TCP on this machine that is as late as a bad line: for WebSockets, beside ``datagram_relay``.

Nothing of a TCP connection can be lost in user space, so a lost segment is modelled: it comes a round trip and three
frames later (the sender learns of it from what came after it), or, lost again, after TCP's timer; and all that was
sent after it waits for it.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from repartee.bench.line_quality import LineDelay, LineQuality, LossDice

HOST = "127.0.0.1"
SEGMENT_BYTES = 1_448
NOTICED_S = 0.06
"""Three later frames of 20 ms tell the sender that one is missing (RFC 5681)."""

LEAST_TIMER_S = 0.2
"""Linux's shortest retransmission timer."""


class _Direction:
    """One direction of one connection."""

    def __init__(self, writer: asyncio.StreamWriter, quality: LineQuality, seed: int) -> None:
        self._writer = writer
        self._rtt_s = quality.rtt_ms / 1_000
        self._dice = LossDice(quality, seed)
        self._delay = LineDelay(quality, seed)

    def take(self, data: bytes) -> None:
        """Bytes that come in; they go out in their order when the last of them has arrived."""
        loop = asyncio.get_running_loop()
        now = arrives_at = loop.time()
        for _ in range(-(-len(data) // SEGMENT_BYTES)):
            arrives_at = self._delay.arrives_at(now, self._lost_for_s())
        loop.call_at(arrives_at, self._write, data)

    def _lost_for_s(self) -> float:
        late_s, timer_s = 0.0, max(LEAST_TIMER_S, 2 * self._rtt_s)
        while self._dice.lost():
            late_s += timer_s if late_s else self._rtt_s + NOTICED_S
            timer_s *= 2 if late_s else 1
        return late_s

    def _write(self, data: bytes) -> None:
        if not self._writer.is_closing():
            self._writer.write(data)


@asynccontextmanager
async def delaying(port: int, quality: LineQuality, seed: int = 1) -> AsyncIterator[int]:
    """A relay in front of ``port`` of this machine; gives its own."""
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        there = None
        try:
            back, there = await asyncio.open_connection(HOST, port)
            up = _Direction(there, quality, seed + 2 * len(serving))
            down = _Direction(writer, quality, seed + 2 * len(serving) + 1)
            passing = [asyncio.ensure_future(_read(reader, up)), asyncio.ensure_future(_read(back, down))]
            await asyncio.wait(passing, return_when=asyncio.FIRST_COMPLETED)
            for one in passing:
                one.cancel()
        except OSError:
            pass
        finally:
            writer.close()
            if there is not None:
                there.close()
            serving.discard(task)

    server = await asyncio.start_server(serve, HOST, 0, backlog=512)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        for task in list(serving):
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)


async def _read(reader: asyncio.StreamReader, direction: _Direction) -> None:
    while data := await reader.read(65_536):
        direction.take(data)
