"""How fast audio that has waited is sent on: at a multiple of real time, after a first burst. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PaceSettings:
    """Raises ValueError for a pace at which what waits would never be gone."""

    times_real_time: float = 10.0
    """Audio that waits is sent this many times as fast as it was spoken."""

    burst_ms: float = 2_000.0
    """So much goes at once: 96 kB at 24 kHz, well under what a socket may hold unsent."""

    def __post_init__(self) -> None:
        if self.times_real_time <= 1 or self.burst_ms < 0:
            raise ValueError("times_real_time must be above 1, and burst_ms must not be negative")


class Pace:
    """One stream's allowance, in ms of audio."""

    __slots__ = ("_at", "_left_ms", "_settings")

    def __init__(self, settings: PaceSettings) -> None:
        self._settings = settings
        self._left_ms = settings.burst_ms
        self._at = 0.0

    def wait_s(self, now: float) -> float:
        """How long until the next piece may go; 0: now."""
        settings = self._settings
        left_ms = self._left_ms + (now - self._at) * 1000 * settings.times_real_time
        self._left_ms = left_ms = min(left_ms, settings.burst_ms)
        self._at = now
        return 0.0 if left_ms >= 0 else -left_ms / 1000 / settings.times_real_time

    def spend(self, ms: float) -> None:
        """A piece of this length has gone. It may take the allowance below nothing: the next one waits for that."""
        self._left_ms -= ms
