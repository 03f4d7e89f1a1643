"""How the latest turns went, for those who report it every so often: heartbeats and CloudWatch. Pure.

Must not know who reads it or when.
"""

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from repartee.latency.kinds import ANSWERED_AT_ONCE
from repartee.telemetry.events import CallEvent, TurnOver
from repartee.turn.outcome import TurnOutcome

MOST_TURNS = 10_000
"""More than a worker finishes in a minute; beyond it the oldest are forgotten."""


@dataclass(frozen=True, slots=True)
class TurnFigures:
    """The turns of a while: voice-to-voice latencies in ms of those with an answer that waited for no tool, how
    long each stage of these turns took in ms, and how many turns got no answer."""

    latencies_ms: tuple[float, ...] = ()
    unanswered: int = 0
    stages_ms: Mapping[str, tuple[float, ...]] = field(default_factory=dict)


class TurnTally:
    """Counts turns until they are taken. Implements :class:`~repartee.telemetry.stream.Counts`."""

    def __init__(self) -> None:
        self._latencies_ms: deque[float] = deque(maxlen=MOST_TURNS)
        self._stages_ms: dict[str, deque[float]] = {}
        self._unanswered = 0

    def export(self, event: CallEvent) -> None:
        """Count the turn, if it is one."""
        if isinstance(event, TurnOver):
            trace = event.trace if event.trace and event.trace.kind in ANSWERED_AT_ONCE else None
            self.add(
                event.outcome, trace.voice_to_voice_ms if trace else None, trace.stages_ms if trace else {}
            )

    def add(
        self,
        outcome: TurnOutcome,
        voice_to_voice_ms: float | None,
        stages_ms: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        """A turn has finished."""
        if voice_to_voice_ms is not None:
            self._latencies_ms.append(voice_to_voice_ms)
        for stage, ms in stages_ms.items():
            self._stages_ms.setdefault(stage, deque(maxlen=MOST_TURNS)).append(ms)
        self._unanswered += outcome == "unanswered"

    def take(self) -> TurnFigures:
        """The turns since the last time; begins anew."""
        stages_ms = {stage: tuple(times) for stage, times in self._stages_ms.items()}
        figures = TurnFigures(tuple(self._latencies_ms), self._unanswered, stages_ms)
        self._latencies_ms.clear()
        self._stages_ms.clear()
        self._unanswered = 0
        return figures


def p90_ms(latencies_ms: Sequence[float]) -> float | None:
    """The smallest latency that nine in ten do not exceed; None of none."""
    if not latencies_ms:
        return None
    return sorted(latencies_ms)[math.ceil(0.9 * len(latencies_ms)) - 1]
