"""Percentiles over windows: within 1 % of exact, mergeable, gone when due, bounded."""

import random
from typing import Any

import msgspec
import pytest
from tests.regional.telemetry.samples import turn_over

from repartee.latency.kinds import TurnKind
from repartee.latency.timeline import TurnTrace
from repartee.telemetry.events import AnswerHeard, TurnOver
from repartee.telemetry.labels import MOST_LABELS, OTHER
from repartee.telemetry.latency_windows import (
    ADDED,
    FIRST_SOUND,
    MOST_SERIES,
    TOTAL,
    LatencySketch,
    LatencyWindows,
    quantiles_of,
)
from repartee.telemetry.windows import WINDOWS

TURNS = 100_000


def latencies(seed: int, count: int) -> list[float]:
    """As turns take: most near 400 ms, some in a tail of seconds."""
    chances = random.Random(seed)
    usual = (chances.lognormvariate(6.0, 0.25) for _ in range(count))
    return [ms * (8 if chances.random() < 0.02 else 1) for ms in usual]


def exact(values: list[float], share: float) -> float:
    return sorted(values)[int(share * (len(values) - 1))]


def turn(ms: float, *, kind: TurnKind = "plain", filler_ms: float | None = None, **fields: Any) -> TurnOver:
    stages = {"end_of_turn": 100.0, "llm": ms - 200.0, "tts": 100.0}
    if kind == "tool":
        stages["tool"] = 50.0
        stages["llm"] -= 50.0
    trace = TurnTrace(1, 1, ms, stages, False, filler_ms, kind=kind)
    return msgspec.structs.replace(turn_over("answered", ms, kind=kind), trace=trace, **fields)


class Clocked:
    """Windows on a clock of the test's."""

    def __init__(self) -> None:
        self.now = 1_000_000.0
        self.windows = LatencyWindows(lambda: self.now)

    def count(self, window: str) -> int:
        return sum(
            found.count for found in self.windows.quantiles(window, ["stage"], {"stage": TOTAL}).values()
        )


def test_percentiles_are_within_one_percent_of_exact_on_100_000_turns() -> None:
    values = latencies(1, TURNS)
    sketch = LatencySketch()
    for ms in values:
        sketch.add(ms)
    found = quantiles_of(sketch)
    assert found.count == TURNS
    for share, ms in ((0.5, found.p50), (0.9, found.p90), (0.99, found.p99)):
        assert ms == pytest.approx(exact(values, share), rel=0.01)


def test_merging_regions_equals_recording_together() -> None:
    regions, together = [LatencySketch() for _ in range(8)], LatencySketch()
    for number, ms in enumerate(latencies(2, 8_000)):
        regions[number % 8].add(ms)
        together.add(ms)
    merged = LatencySketch()
    for one in regions:
        merged.merge(one)
    assert quantiles_of(merged) == quantiles_of(together)


@pytest.mark.parametrize("window", sorted(WINDOWS))
def test_a_value_leaves_each_window_when_it_is_due(window: str) -> None:
    clocked = Clocked()
    length_s = WINDOWS[window].slot_s * WINDOWS[window].slots
    clocked.windows.export(turn(400.0))
    clocked.now += length_s - WINDOWS[window].slot_s - 1
    assert clocked.count(window) == 1
    clocked.now += WINDOWS[window].slot_s + 1
    assert clocked.count(window) == 0


def test_the_windows_are_a_minute_an_hour_and_a_day() -> None:
    assert {name: one.slot_s * one.slots for name, one in WINDOWS.items()} == {
        "1m": 60.0,
        "1h": 3_600.0,
        "24h": 86_400.0,
    }


def test_they_can_be_asked_by_stage_kind_region_vendor_and_agent() -> None:
    clocked = Clocked()
    clocked.windows.export(turn(400.0))
    clocked.windows.export(turn(500.0, providers={"stt": "s2", "llm": "l2", "tts": "t"}, region="there"))
    clocked.windows.export(turn(2_000.0, kind="tool", filler_ms=300.0, agent="bank:agent"))
    windows = clocked.windows
    assert windows.quantiles("1m")[(TOTAL, "plain")].count == 2
    assert windows.quantiles("1m")[(TOTAL, "tool")].p50 == pytest.approx(2_000.0, rel=0.01)
    assert windows.quantiles("1m", ["vendor"], {"stage": "llm"}).keys() == {("l",), ("l2",)}
    assert windows.quantiles("1m", ["vendor"], {"stage": TOTAL}).keys() == {("",)}
    assert windows.quantiles("1m", ["region"]).keys() == {("here",), ("there",)}
    assert windows.quantiles("1m", ["agent"], {"stage": TOTAL})[("bank:agent",)].count == 1
    held = windows.quantiles("1m", ["stage"], {"kind": "tool"})
    assert held[(FIRST_SOUND,)].p50 == pytest.approx(300.0, rel=0.01)
    assert held[(ADDED,)].p50 == pytest.approx(1_950.0, rel=0.01)


def test_they_can_be_asked_over_time() -> None:
    clocked = Clocked()
    for _ in range(3):
        clocked.windows.export(turn(400.0))
        clocked.now += WINDOWS["1m"].slot_s
    points = clocked.windows.over_time("1m", TOTAL, "plain")
    assert [found.count for _, found in points] == [1, 1, 1]
    assert [at for at, _ in points] == sorted(at for at, _ in points)


def test_turns_that_nobody_heard_have_no_latency() -> None:
    clocked = Clocked()
    clocked.windows.export(turn_over("unanswered"))
    assert clocked.windows.sketches == 0


def test_a_day_of_turns_with_many_labels_takes_bounded_memory() -> None:
    clocked = Clocked()
    chances = random.Random(3)
    for _ in range(3_000):
        clocked.now += 28.8
        agent, vendor = f"agent-{chances.randrange(500)}", f"llm-{chances.randrange(500)}"
        clocked.windows.export(turn(400.0, agent=agent, providers={"llm": vendor}))
    slots = sum(window.slots for window in WINDOWS.values())
    assert clocked.windows.sketches <= slots * (MOST_SERIES + 10)
    agents = clocked.windows.quantiles("24h", ["agent"])
    assert len(agents) == MOST_LABELS + 1
    assert (OTHER,) in agents


def test_the_clients_stages_are_counted_beside_the_servers() -> None:
    clocked = Clocked()
    clocked.windows.export(turn(400.0, kind="tool"))
    clocked.windows.export(
        AnswerHeard(
            call_id="call",
            at_s=1_000.0,
            region="here",
            agent="desk:agent",
            turn_id=1,
            capture_ms=20.0,
            network_ms=45.0,
            playback_ms=60.0,
        )
    )
    found = clocked.windows.quantiles("1m")
    for stage, ms in (("capture", 20.0), ("network", 45.0), ("playback", 60.0)):
        assert found[(stage, "tool")].p50 == pytest.approx(ms, rel=0.01)
