"""A caller of a Realtime session who says nothing after an answer, where the client has set ``idle_timeout_ms``."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any


class IdleCaller:
    """Watches one session. ``detection`` gives its turn detection, ``on_idle`` gets the timeout (ms) that passed."""

    def __init__(
        self, detection: Callable[[], Mapping[str, Any] | None], on_idle: Callable[[int], None]
    ) -> None:
        self._detection = detection
        self._on_idle = on_idle
        self._timer: asyncio.TimerHandle | None = None

    def wait(self, playing_ms: float) -> None:
        """A response is over, and so much of it is yet to be played: the time begins when it has been."""
        self.stop()
        timeout_ms = (self._detection() or {}).get("idle_timeout_ms")
        if timeout_ms is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later((playing_ms + timeout_ms) / 1000, self._on_idle, timeout_ms)

    def stop(self) -> None:
        """Somebody speaks, or the session is over."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
