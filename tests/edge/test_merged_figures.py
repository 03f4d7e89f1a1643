"""Figures of several workers as one answer: what their sketches hold together, exactly."""

import json
import random
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from tests.regional.telemetry.samples import call_ended, turn_over

from repartee.telemetry.events import CallBegan, VendorUsed
from repartee.telemetry.latency_windows import ERROR, LatencyWindows
from repartee.telemetry.prices import Price, PriceTable
from repartee.telemetry.running_counts import RunningCounts
from repartee.telemetry.windows import WINDOWS
from repartee_edge.selfhosted.merged_figures import answer

NOW = 1_000_000.0


def part(region: str, windows: LatencyWindows, counts: RunningCounts, **fields: Any) -> Any:
    """As a worker tells it."""
    told = {
        "source": f"{region}/0",
        "region": region,
        "at": NOW,
        "error": ERROR,
        "budgets_ms": {"total": 500.0},
        "currency": counts.currency,
        "calls": 1,
        "slots": 10,
        "loop_lag_ms": 1.5,
        "pools": [("flux", 1, 2, 3, 4)],
        "latencies": {name: list(windows.slots(name)) for name in WINDOWS},
        "counts": {name: list(counts.slots(name)) for name in WINDOWS},
        "slow_turns": [],
        **fields,
    }
    return json.loads(msgspec.json.encode(told))


def worker(values: Sequence[float], region: str = "here", at: float = NOW) -> Any:
    windows, counts = LatencyWindows(lambda: at), RunningCounts(clock=lambda: at)
    for ms in values:
        turn = msgspec.structs.replace(turn_over("answered", ms), region=region)
        windows.export(turn)
        counts.export(turn)
    return part(region, windows, counts)


def latencies(count: int) -> list[float]:
    chances = random.Random(4)
    return [chances.lognormvariate(6.0, 0.3) for _ in range(count)]


def test_merging_eight_regions_equals_recording_together_within_one_percent_of_exact() -> None:
    values = latencies(4_000)
    merged = answer([worker(values[number::8], f"r{number}") for number in range(8)])
    together = answer([worker(values)])
    assert merged["windows"]["1h"]["latencies"] == together["windows"]["1h"]["latencies"]
    [total] = [one for one in merged["windows"]["1h"]["latencies"] if one["stage"] == "total"]
    exact = sorted(values)
    assert total["count"] == 4_000
    for share in (50, 90, 99):
        assert total[f"p{share}"] == pytest.approx(exact[int(share / 100 * 3_999)], rel=0.01)
    assert merged["windows"]["1h"]["counts"]["turns"] == {"answered": 4_000}
    assert merged["now"] == {
        "calls": 8,
        "slots": 80,
        "loop_lag_ms": 1.5,
        "pools": {"flux": {"idle": 8, "leased": 16, "hits": 24, "misses": 32}},
    }


def test_two_processes_of_a_region_share_its_slots() -> None:
    assert answer([worker([400.0]), worker([500.0])])["now"]["slots"] == 10


def test_they_can_be_asked_by_label_and_for_one_region() -> None:
    parts = [worker([400.0], "east"), worker([800.0, 900.0], "west")]
    by_region = answer(parts, ["region"], {"stage": "total"})["windows"]["1m"]["latencies"]
    assert [(one["region"], one["count"]) for one in by_region] == [("east", 1), ("west", 2)]
    of_west = answer(parts, ["vendor", "agent"], {"region": "west", "stage": "llm"})
    assert of_west["regions"] == ["west"]
    [llm] = of_west["windows"]["1m"]["latencies"]
    assert (llm["vendor"], llm["agent"], llm["count"]) == ("l", "desk:agent", 2)
    with pytest.raises(KeyError, match="is no label"):
        answer(parts, ["colour"])


def test_a_point_for_each_slot() -> None:
    windows = LatencyWindows(lambda: clock)
    for clock in (NOW, NOW + 120, NOW + 240):
        windows.export(turn_over("answered", clock - NOW + 300))
    merged = answer([part("here", windows, RunningCounts(clock=lambda: clock))])
    [total] = [one for one in merged["windows"]["1h"]["latencies"] if one["stage"] == "total"]
    assert [round(point["p50"], -1) for point in total["over_time"]] == [300, 420, 540]


def test_a_latency_of_nothing_is_zero() -> None:
    assert answer([worker([0.0, 0.0])])["windows"]["1m"]["latencies"][0]["p50"] == 0.0


def test_cost_a_minute_is_what_calls_cost_by_their_length() -> None:
    prices = PriceTable(
        "EUR", {"stt": {"*": Price(minute=0.006)}, "llm": {"l": Price(million_input_tokens=2.0)}}
    )
    counts = RunningCounts(prices, lambda: NOW)
    shared = {"call_id": "call", "at_s": 1_000.0, "region": "here", "agent": "desk:agent"}
    counts.export(CallBegan(**shared, providers={"stt": "s"}))  # type: ignore[arg-type]
    counts.export(turn_over("answered", 400.0))
    counts.export(VendorUsed(**shared, stage="llm", provider="l", input_tokens=1_000))  # type: ignore[arg-type]
    counts.export(call_ended())
    hour = answer([part("here", LatencyWindows(lambda: NOW), counts)])["windows"]["1h"]
    assert hour["cost"] == {"currency": "EUR", "stt": pytest.approx(0.006), "llm": pytest.approx(0.002)}
    assert hour["cost_per_minute"] == pytest.approx(0.008)
    assert hour["counts"]["prefetches"] == {"hit": 1, "miss": 2, "wasted": 1}


def test_nobody_watched_says_nothing() -> None:
    assert answer([])["windows"] == {}
