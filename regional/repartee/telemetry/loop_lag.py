"""How late the event loop is: by how much a timer rings after its time."""

import asyncio
import time
from collections import deque
from collections.abc import Callable

from repartee.telemetry.events import CallBegan, CallEnded, CallEvent

EVERY_S = 0.02
IDLE_EVERY_S = 0.2
"""Without a call: each look wakes a process that has nothing else to do."""

KEPT_S = 600.0
NOTED_MS = 5.0
"""Less is the system's own timing."""


class LoopLag:
    """Lags of the last ten minutes that are worth a note. ``clock`` is seconds since 1970; ``observe`` takes each
    lag, in seconds."""

    def __init__(
        self, clock: Callable[[], float] = time.time, observe: Callable[[float], None] = lambda lag_s: None
    ) -> None:
        self._clock = clock
        self._observe = observe
        self._lags: deque[tuple[float, float]] = deque(maxlen=round(KEPT_S / EVERY_S))
        self._calls = 0
        self.last_ms = 0.0
        self.most_ms = 0.0

    def __repr__(self) -> str:
        return f"<LoopLag: {self.last_ms:.1f} ms now, {self.most_ms:.1f} at most>"

    def export(self, event: CallEvent) -> None:
        """Follow whether there are calls."""
        if isinstance(event, CallBegan):
            self._calls += 1
        elif isinstance(event, CallEnded):
            self._calls -= 1

    def note(self, lag_ms: float) -> None:
        """The loop was so late just now."""
        self.last_ms = lag_ms
        self._observe(lag_ms / 1000)
        self.most_ms = max(self.most_ms, lag_ms)
        if lag_ms >= NOTED_MS:
            self._lags.append((self._clock(), lag_ms))

    def between(self, since: float, until: float) -> float:
        """The longest lag in this time, in ms."""
        return max((lag for at, lag in self._lags if since <= at <= until + EVERY_S), default=0.0)

    async def run(self) -> None:
        """Measure until cancelled."""
        loop = asyncio.get_running_loop()
        due = loop.time() + EVERY_S
        timer: asyncio.TimerHandle | None = None

        def beat() -> None:
            nonlocal due, timer
            now = loop.time()
            self.note(max(now - due, 0.0) * 1000)
            due = now + (EVERY_S if self._calls else IDLE_EVERY_S)
            timer = loop.call_at(due, beat)

        timer = loop.call_at(due, beat)
        try:
            await loop.create_future()
        finally:
            timer.cancel()
