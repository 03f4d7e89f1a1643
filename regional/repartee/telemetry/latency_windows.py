"""Percentiles of turns over the last minute, hour and day: by stage, kind, vendor, region and agent.

Each value goes into a sketch of bounded error (DDSketch) for each window's current slot; a window is the merge of its
slots, as a region's figures are the merge of its workers'. Memory is bounded: slots end, series are capped.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from ddsketch.ddsketch import BaseDDSketch
from ddsketch.mapping import LogarithmicMapping
from ddsketch.store import CollapsingLowestDenseStore

from repartee.latency.kinds import added_ms, first_sound_ms
from repartee.telemetry.events import AnswerHeard, CallEvent, TurnOver
from repartee.telemetry.heard_turns import HeardTurns, client_stages_ms
from repartee.telemetry.labels import OTHER, capped, vendor_of
from repartee.telemetry.windows import SlottedWindows

ERROR = 0.005
"""Of a percentile, at most: half of the 1 % that is promised."""

BINS = 2_048
"""Of one sketch: from 0.1 ms to a day at that error."""

MOST_SERIES = 1_000
TOTAL = "total"
"""The stage that is the whole turn: its voice-to-voice latency."""

FIRST_SOUND, ADDED = "first_sound", "added"
"""What turns with a tool are held to: when the caller heard something, and what they took beyond the tool."""


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


class LatencySketch(BaseDDSketch):
    """Values in ms, in bins of bounded error; all can be merged."""

    def __init__(self) -> None:
        self.bins = CollapsingLowestDenseStore(BINS)
        super().__init__(LogarithmicMapping(ERROR), self.bins, CollapsingLowestDenseStore(BINS), 0.0)

    def pairs(self) -> list[int]:
        """Each bin's key and count in turn, without those that are empty."""
        found = enumerate(self.bins.bins, self.bins.offset)
        return [number for key, count in found if count for number in (key, int(count))]


class LatencyWindows:
    """The windows of one worker.

    Implements :class:`~repartee.telemetry.stream.Counts`. ``clock`` is seconds since 1970."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._windows = SlottedWindows[Series, LatencySketch]()
        self._heard = HeardTurns()
        self._agents: set[str] = set()
        self._vendors: set[str] = set()

    def __repr__(self) -> str:
        return f"<LatencyWindows: {self.sketches} sketches>"

    @property
    def sketches(self) -> int:
        """How many there are."""
        return len(self._windows)

    def export(self, event: CallEvent) -> None:
        """Count a turn's stages, if it is one whose answer was audible, and those that its client reports."""
        if pair := self._heard.take(event):
            self._heard_by_client(*pair)
        if not isinstance(event, TurnOver) or event.trace is None:
            return
        trace, now = event.trace, self._clock()
        agent = capped(event.agent, self._agents)
        for stage, ms in values_of(event):
            vendor = capped(vendor_of(event, stage), self._vendors)
            self._add(Series(stage, trace.kind, event.region, vendor, agent), ms, now)

    def _heard_by_client(self, turn: TurnOver, heard: AnswerHeard) -> None:
        assert turn.trace is not None
        agent, now = capped(turn.agent, self._agents), self._clock()
        for stage, ms in client_stages_ms(heard).items():
            self._add(Series(stage, turn.trace.kind, turn.region, "", agent), ms, now)

    def quantiles(
        self, window: str, by: Iterable[str] = ("stage", "kind"), where: Mapping[str, str] | None = None
    ) -> dict[tuple[str, ...], Quantiles]:
        """By the values of these labels, of the turns of the window that have the others. Raises KeyError for
        what is no window."""
        names, merged = tuple(by), dict[tuple[str, ...], LatencySketch]()
        for _, series, sketch in self._recent(window):
            if all(getattr(series, name) == value for name, value in (where or {}).items()):
                key = tuple(str(getattr(series, name)) for name in names)
                merged.setdefault(key, LatencySketch()).merge(sketch)
        return {key: quantiles_of(sketch) for key, sketch in merged.items()}

    def over_time(self, window: str, stage: str, kind: str) -> list[tuple[float, Quantiles]]:
        """One stage of one kind of turn, by slot: when it began, and its percentiles."""
        slots: dict[float, LatencySketch] = {}
        for at, series, sketch in self._recent(window):
            if (series.stage, series.kind) == (stage, kind):
                slots.setdefault(at, LatencySketch()).merge(sketch)
        return [(at, quantiles_of(sketch)) for at, sketch in sorted(slots.items())]

    def slots(self, window: str, since: float = 0.0) -> Iterator[tuple[float, list[list[object]]]]:
        """When each slot began that may have changed ``since`` then, and its series: the labels, how many values were
        0, and each bin's key and count in turn. What the bins of several workers add up to is their merge."""
        for at, sketches in self._windows.slots(window, self._clock(), since):
            yield (
                at,
                [
                    [*series, int(sketch.count - sketch.bins.count), sketch.pairs()]
                    for series, sketch in tuple(sketches.items())
                ],
            )

    def _add(self, series: Series, ms: float, now: float) -> None:
        for sketches in self._windows.current(now):
            if series not in sketches and len(sketches) >= MOST_SERIES:
                series = series._replace(vendor=OTHER if series.vendor else "", agent=OTHER)
            sketches.setdefault(series, LatencySketch()).add(ms)

    def _recent(self, name: str) -> Iterator[tuple[float, Series, LatencySketch]]:
        for at, sketches in self._windows.slots(name, self._clock()):
            for series, sketch in sketches.items():
                yield at, series, sketch


def values_of(turn: TurnOver) -> Iterator[tuple[str, float]]:
    """What is counted of a turn, by stage, in ms."""
    trace = turn.trace
    assert trace is not None
    yield TOTAL, trace.voice_to_voice_ms
    yield from trace.stages_ms.items()
    if trace.kind == "tool":
        yield FIRST_SOUND, first_sound_ms(trace.voice_to_voice_ms, trace.filler_ms)
        yield ADDED, added_ms(trace.voice_to_voice_ms, trace.stages_ms)


def quantiles_of(sketch: LatencySketch) -> Quantiles:
    """Of what a sketch has seen; zeros of nothing."""
    p50, p90, p99 = (float(sketch.get_quantile_value(q) or 0.0) for q in (0.5, 0.9, 0.99))
    return Quantiles(int(sketch.count), p50, p90, p99)
