"""What a worker knows of its latest turns and calls, in memory, as one part of its region's figures."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import msgspec

from repartee.app.worker import Worker
from repartee.latency.budgets import BUDGETS_MS
from repartee.telemetry.events import AnswerHeard, CallBegan, CallEnded, TurnOver
from repartee.telemetry.latency_windows import ERROR, LatencyWindows
from repartee.telemetry.loop_lag import LoopLag
from repartee.telemetry.prices import PriceTable
from repartee.telemetry.running_counts import RunningCounts
from repartee.telemetry.stream import Stream
from repartee.telemetry.turn_traces import TurnTraces
from repartee.telemetry.windows import WINDOWS

MOST_SLOW_TURNS = 200


class LiveFigures:
    """Figures of one worker. ``observe`` takes each lag of the event loop, in seconds."""

    def __init__(self, observe: Callable[[float], None], prices: PriceTable | None = None) -> None:
        self.windows = LatencyWindows()
        self.counts = RunningCounts(prices)
        self.lag = LoopLag(observe=observe)
        self.traces = TurnTraces(self.lag.between)

    def watch(self, stream: Stream) -> None:
        """Count events from now on."""
        stream.count(self.lag, CallBegan, CallEnded)
        stream.count(self.windows, TurnOver, AnswerHeard, CallEnded)
        stream.count(self.counts)
        stream.count(self.traces)

    @asynccontextmanager
    async def measuring(self) -> AsyncIterator[None]:
        """Measure the event loop's lag for as long as the block lasts."""
        task = asyncio.create_task(self.lag.run())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def part(self, worker: Worker, process: int = 0, since: float = 0.0) -> bytes:
        """What this process adds to its region's figures, as JSON: the slots that may have changed ``since`` then
        (seconds since 1970), and all that is of this moment.

        A day's slots take some milliseconds, so calls have their turns in between.
        """
        region = worker.settings.region
        latencies: dict[str, list[object]] = {}
        counts: dict[str, list[object]] = {}
        for name in WINDOWS:
            latencies[name] = []
            for slot in self.windows.slots(name, since):
                latencies[name].append(slot)
                await asyncio.sleep(0)
            counts[name] = list(self.counts.slots(name, since))
        pools = [(one.name, one.idle, one.leased, one.hits, one.misses) for one in worker.services.pools()]
        part = {
            "source": f"{region}/{process}",
            "region": region,
            "at": time.time(),
            "since": since,
            "error": ERROR,
            "windows": {name: (window.slot_s, window.slots) for name, window in WINDOWS.items()},
            "budgets_ms": BUDGETS_MS,
            "currency": self.counts.currency,
            "calls": worker.state().active,
            "slots": worker.slots.limit,
            "ready": worker.ready,
            "loop_lag_ms": round(self.lag.last_ms, 1),
            "pools": pools,
            "latencies": latencies,
            "counts": counts,
            "slow_turns": [kept.as_json() for kept in self.traces.since(since, MOST_SLOW_TURNS)],
        }
        return msgspec.json.encode(part)
