"""What a worker knows of its latest turns, in memory: percentiles over windows, exact traces, event-loop lag."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from repartee.telemetry.latency_windows import LatencyWindows
from repartee.telemetry.loop_lag import LoopLag
from repartee.telemetry.stream import Stream
from repartee.telemetry.turn_traces import TurnTraces


class LiveFigures:
    """Figures of one worker. ``observe`` takes each lag of the event loop, in seconds."""

    def __init__(self, observe: Callable[[float], None]) -> None:
        self.windows = LatencyWindows()
        self.lag = LoopLag(observe=observe)
        self.traces = TurnTraces(self.lag.between)

    def watch(self, stream: Stream) -> None:
        """Count every event from now on."""
        stream.count(self.windows)
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
