"""Percentiles of turns over the last minute, hour and day: by stage, kind, vendor, region and agent.

Each value goes into a sketch of bounded error (DDSketch) for each window's current slot; a window is the merge of its
slots, as a region's figures are the merge of its workers'. Memory is bounded: slots end, series are capped.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from ddsketch import LogCollapsingLowestDenseDDSketch

from repartee.latency.kinds import added_ms, first_sound_ms
from repartee.telemetry.events import CallEvent, TurnOver
from repartee.telemetry.labels import OTHER, capped, vendor_of

ERROR = 0.005
"""Of a percentile, at most: half of the 1 % that is promised."""

BINS = 2_048
"""Of one sketch: from 0.1 ms to a day at that error."""

MOST_SERIES = 1_000
TOTAL = "total"
"""The stage that is the whole turn: its voice-to-voice latency."""

FIRST_SOUND, ADDED = "first_sound", "added"
"""What turns with a tool are held to: when the caller heard something, and what they took beyond the tool."""


@dataclass(frozen=True, slots=True)
class Window:
    """``slots`` of ``slot_s`` seconds each: what is older than the window leaves with its slot."""

    slot_s: float
    slots: int


WINDOWS: Mapping[str, Window] = {"1m": Window(10, 6), "1h": Window(300, 12), "24h": Window(3_600, 24)}


class Series(NamedTuple):
    """Whose values: ``vendor`` is empty for what is the worker's own."""

    stage: str
    kind: str
    region: str
    vendor: str
    agent: str


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Of one group of turns, in ms."""

    count: int
    p50: float
    p90: float
    p99: float

    def as_json(self) -> dict[str, float]:
        """For a page."""
        return {"count": self.count, "p50": self.p50, "p90": self.p90, "p99": self.p99}


def new_sketch() -> LogCollapsingLowestDenseDDSketch:
    """An empty one; all can be merged."""
    return LogCollapsingLowestDenseDDSketch(ERROR, BINS)


@dataclass(slots=True)
class _Slot:
    number: int
    sketches: dict[Series, LogCollapsingLowestDenseDDSketch] = field(default_factory=dict)


class LatencyWindows:
    """The windows of one worker.

    Implements :class:`~repartee.telemetry.stream.Counts`. ``clock`` is seconds since 1970."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._windows: dict[str, deque[_Slot]] = {name: deque() for name in WINDOWS}
        self._agents: set[str] = set()
        self._vendors: set[str] = set()

    def __repr__(self) -> str:
        return f"<LatencyWindows: {self.sketches} sketches>"

    @property
    def sketches(self) -> int:
        """How many there are."""
        return sum(len(slot.sketches) for slots in self._windows.values() for slot in slots)

    def export(self, event: CallEvent) -> None:
        """Count a turn's stages, if it is one whose answer was audible."""
        if not isinstance(event, TurnOver) or event.trace is None:
            return
        trace, now = event.trace, self._clock()
        agent = capped(event.agent, self._agents)
        for stage, ms in values_of(event):
            vendor = capped(vendor_of(event, stage), self._vendors)
            self._add(Series(stage, trace.kind, event.region, vendor, agent), ms, now)

    def quantiles(
        self, window: str, by: Iterable[str] = ("stage", "kind"), where: Mapping[str, str] | None = None
    ) -> dict[tuple[str, ...], Quantiles]:
        """By the values of these labels, of the turns of the window that have the others. Raises KeyError for
        what is no window."""
        names, merged = tuple(by), dict[tuple[str, ...], LogCollapsingLowestDenseDDSketch]()
        for _, series, sketch in self._recent(window):
            if all(getattr(series, name) == value for name, value in (where or {}).items()):
                key = tuple(str(getattr(series, name)) for name in names)
                merged.setdefault(key, new_sketch()).merge(sketch)
        return {key: quantiles_of(sketch) for key, sketch in merged.items()}

    def over_time(self, window: str, stage: str, kind: str) -> list[tuple[float, Quantiles]]:
        """One stage of one kind of turn, by slot: when it began, and its percentiles."""
        slots: dict[float, LogCollapsingLowestDenseDDSketch] = {}
        for at, series, sketch in self._recent(window):
            if (series.stage, series.kind) == (stage, kind):
                slots.setdefault(at, new_sketch()).merge(sketch)
        return [(at, quantiles_of(sketch)) for at, sketch in sorted(slots.items())]

    def _add(self, series: Series, ms: float, now: float) -> None:
        for name, window in WINDOWS.items():
            slots = self._windows[name]
            number = int(now // window.slot_s)
            if not slots or slots[-1].number < number:
                slots.append(_Slot(number))
                _forget(slots, number - window.slots)
            sketches = slots[-1].sketches
            if series not in sketches and len(sketches) >= MOST_SERIES:
                series = series._replace(vendor=OTHER if series.vendor else "", agent=OTHER)
            sketches.setdefault(series, new_sketch()).add(ms)

    def _recent(self, name: str) -> Iterator[tuple[float, Series, LogCollapsingLowestDenseDDSketch]]:
        window = WINDOWS[name]
        slots = self._windows[name]
        _forget(slots, int(self._clock() // window.slot_s) - window.slots)
        for slot in slots:
            for series, sketch in slot.sketches.items():
                yield slot.number * window.slot_s, series, sketch


def values_of(turn: TurnOver) -> Iterator[tuple[str, float]]:
    """What is counted of a turn, by stage, in ms."""
    trace = turn.trace
    assert trace is not None
    yield TOTAL, trace.voice_to_voice_ms
    yield from trace.stages_ms.items()
    if trace.kind == "tool":
        yield FIRST_SOUND, first_sound_ms(trace.voice_to_voice_ms, trace.filler_ms)
        yield ADDED, added_ms(trace.voice_to_voice_ms, trace.stages_ms)


def quantiles_of(sketch: LogCollapsingLowestDenseDDSketch) -> Quantiles:
    """Of what a sketch has seen; zeros of nothing."""
    p50, p90, p99 = (float(sketch.get_quantile_value(q) or 0.0) for q in (0.5, 0.9, 0.99))
    return Quantiles(int(sketch.count), p50, p90, p99)


def _forget(slots: deque[_Slot], last: int) -> None:
    while slots and slots[0].number <= last:
        slots.popleft()
