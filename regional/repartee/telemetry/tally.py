"""How the latest turns went, for those who report it every so often: heartbeats and CloudWatch. Pure.

Must not know who reads it or when.
"""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from repartee.latency.kinds import ANSWERED_AT_ONCE
from repartee.telemetry.events import CallEvent, TurnOver
from repartee.turn.outcome import TurnOutcome

MOST_TURNS = 10_000
"""More than a worker finishes in a minute; beyond it the oldest are forgotten."""


@dataclass(frozen=True, slots=True)
class TurnFigures:
    """The turns of a while: voice-to-voice latencies in ms of those that were answered and waited for no tool, and
    how many were not answered."""

    latencies_ms: tuple[float, ...] = ()
    unanswered: int = 0


class TurnTally:
    """Counts turns until they are taken. Implements :class:`~repartee.telemetry.stream.Counts`."""

    def __init__(self) -> None:
        self._latencies_ms: deque[float] = deque(maxlen=MOST_TURNS)
        self._unanswered = 0

    def export(self, event: CallEvent) -> None:
        """Count the turn, if it is one."""
        if isinstance(event, TurnOver):
            at_once = event.trace is not None and event.trace.kind in ANSWERED_AT_ONCE
            self.add(event.outcome, event.trace.voice_to_voice_ms if event.trace and at_once else None)

    def add(self, outcome: TurnOutcome, voice_to_voice_ms: float | None) -> None:
        """A turn has finished."""
        if voice_to_voice_ms is not None:
            self._latencies_ms.append(voice_to_voice_ms)
        self._unanswered += outcome == "unanswered"

    def take(self) -> TurnFigures:
        """The turns since the last time; begins anew."""
        figures = TurnFigures(tuple(self._latencies_ms), self._unanswered)
        self._latencies_ms.clear()
        self._unanswered = 0
        return figures


def p90_ms(latencies_ms: Sequence[float]) -> float | None:
    """The smallest latency that nine in ten do not exceed; None of none."""
    if not latencies_ms:
        return None
    return sorted(latencies_ms)[math.ceil(0.9 * len(latencies_ms)) - 1]
