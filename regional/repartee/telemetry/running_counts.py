"""What is counted of calls over the last minute, hour and day, beside latencies: by name and label.

Cost is counted as it arises, and by the same prices as in the records of calls.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from repartee.telemetry import events as t
from repartee.telemetry.labels import MOST_LABELS, capped
from repartee.telemetry.prices import PriceTable, VendorUse
from repartee.telemetry.windows import SlottedWindows

COST, SECONDS = "cost", "call_seconds"


@dataclass(slots=True)
class _Meter:
    """A call in progress: who recognises its speech, since when it goes on, and how much of it is counted."""

    recogniser: str
    began_at: float
    counted_s: float = 0.0


class RunningCounts:
    """Counts of one worker.

    Implements :class:`~repartee.telemetry.stream.Counts`. ``clock`` is seconds since 1970."""

    def __init__(self, prices: PriceTable | None = None, clock: Callable[[], float] = time.time) -> None:
        self._prices = prices or PriceTable()
        self._clock = clock
        self._windows = SlottedWindows[tuple[str, str], float]()
        self._labels: dict[str, set[str]] = {}
        self._calls: dict[str, _Meter] = {}

    def __repr__(self) -> str:
        return f"<RunningCounts: {len(self._windows)} counts, {len(self._calls)} calls in progress>"

    @property
    def currency(self) -> str:
        """Of what calls cost."""
        return self._prices.currency

    def export(self, event: t.CallEvent) -> None:
        """Count what has happened."""
        match event:
            case t.TurnOver():
                self._add("turns", event.outcome)
                self._go_on(event)
            case t.VendorUsed():
                use = VendorUse(
                    event.input_tokens,
                    event.cached_tokens,
                    event.output_tokens,
                    characters=event.characters,
                    audio_input_tokens=event.audio_input_tokens,
                    audio_output_tokens=event.audio_output_tokens,
                )
                self._pay(event.stage, event.provider, use)
            case t.SpeculationSettled():
                self._add("speculations", event.outcome)
            case t.ExtraRequestMade():
                self._add("extra_requests", event.kind)
            case t.Interrupted():
                self._add("interruptions", "")
            case t.ProviderFailed():
                self._add("errors", f"{event.stage} {event.provider}")
            case t.VendorLeft():
                self._add("vendors_left", f"{event.stage} {event.vendor}")
            case t.AuthorFault():
                self._add("author_faults", event.what)
            case t.CallBegan():
                self._calls[event.call_id] = _Meter(event.providers.get("stt", ""), event.at_s)
            case t.CallEnded():
                self._ended(event)

    def slots(self, window: str, since: float = 0.0) -> Iterator[tuple[float, list[tuple[str, str, float]]]]:
        """When each slot began that may have changed ``since`` then, and its counts: name, label and sum."""
        for at, counts in self._windows.slots(window, self._clock(), since):
            yield at, [(name, label, count) for (name, label), count in counts.items()]

    def _ended(self, call: t.CallEnded) -> None:
        self._go_on(call, call.length_s)
        self._calls.pop(call.call_id, None)
        self._add("calls", call.outcome)
        figures = call.prefetched
        for outcome, count in (("hit", figures.hits), ("miss", figures.misses), ("wasted", figures.wasted)):
            if count:
                self._add("prefetches", outcome, count)

    def _go_on(self, event: t.CallEvent, seconds: float | None = None) -> None:
        """A call has lasted so long: its recogniser has heard all of it."""
        meter = self._calls.get(event.call_id)
        if meter is None:
            return
        lasted_s = max(event.at_s - meter.began_at if seconds is None else seconds, 0.0)
        more_s, meter.counted_s = lasted_s - meter.counted_s, lasted_s
        self._add(SECONDS, "", more_s)
        if meter.recogniser:
            self._pay("stt", meter.recogniser, VendorUse(seconds=more_s))

    def _pay(self, stage: str, vendor: str, use: VendorUse) -> None:
        if price := self._prices.of(stage, vendor):
            self._add(COST, stage, price.of(use))

    def _add(self, name: str, label: str, count: float = 1) -> None:
        known = self._labels.setdefault(name, set())
        key = (name, capped(label, known, MOST_LABELS) if label else "")
        for counts in self._windows.current(self._clock()):
            counts[key] = counts.get(key, 0) + count
