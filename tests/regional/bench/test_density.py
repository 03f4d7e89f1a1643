"""How many calls a core holds: the steps taken, and what is said of a run that does not count."""

import json
from pathlib import Path

import pytest

from repartee.bench import density as bench_density
from repartee.bench.density import CallForm, DensityPlan, chart, density
from repartee.bench.load import Load
from repartee.bench.plot import plot
from repartee.bench.rig import Contender, LateGenerator, Setup


def figures(calls: int, holds: int) -> dict[str, object]:
    p90 = 455.0 if calls <= holds else 620.0
    return {
        "calls": calls,
        "v2v_ms": {"p50": 450.0, "p90": p90, "p99": p90 + 5},
        "unanswered": 0,
        "early": 0,
        "faults": [],
        "cpu_s_per_call_minute": 0.4,
        "core_used": 0.5,
        "mb_per_call": 0.4,
    }


def worker_that_holds(monkeypatch: pytest.MonkeyPatch, holds: int, late_at: int = 10_000) -> list[Setup]:
    """Measure nothing; the setups asked for."""
    setups = []

    async def step(setup: Setup, contender: Contender, load: Load) -> dict[str, object]:
        setups.append(setup)
        if load.calls >= late_at:
            raise LateGenerator(f"This run does not count: at {load.calls} calls.")
        return figures(load.calls, holds)

    monkeypatch.setattr(bench_density, "step_that_counts", step)
    return setups


def run(report: Path, most: int = 400) -> None:
    density(
        profile="budget",
        turns=8,
        turns_per_minute=24,
        start=20,
        stride=20,
        resolution=5,
        most=most,
        audio=CallForm.binary,
        port=1,
        json_path=report,
        plot_path=report.with_suffix(".svg"),
    )


def test_the_limit_is_found_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    worker_that_holds(monkeypatch, 73)
    run(tmp_path / "density.json")
    report = json.loads((tmp_path / "density.json").read_text())
    assert (report["calls_per_core"], report["limit_found"], report["stopped_by"]) == (70, True, None)
    assert report["audio"] == "binary"
    assert [step["calls"] for step in report["steps"]] == [20, 40, 60, 70, 75, 80]
    assert "One core holds 70 calls with P90 under 500 ms." in capsys.readouterr().out
    assert (tmp_path / "density.svg").read_text().startswith("<svg")


def test_a_limit_that_was_not_reached_is_told_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    worker_that_holds(monkeypatch, 1000)
    run(tmp_path / "density.json", most=40)
    assert "at least 40 calls" in capsys.readouterr().out


def test_a_late_generator_ends_the_search_with_what_was_held_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    worker_that_holds(monkeypatch, 1000, late_at=60)
    run(tmp_path / "density.json")
    report = json.loads((tmp_path / "density.json").read_text())
    assert (report["calls_per_core"], report["limit_found"]) == (40, False)
    assert report["stopped_by"] == "This run does not count: at 60 calls."
    assert [step["calls"] for step in report["steps"]] == [20, 40]
    told = capsys.readouterr().out
    assert "at least 40 calls" in told
    assert "More could not be measured: This run does not count: at 60 calls." in told


def test_a_generator_that_is_late_at_once_fails_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker_that_holds(monkeypatch, 1000, late_at=20)
    with pytest.raises(LateGenerator, match="at 20 calls"):
        run(tmp_path / "density.json")
    assert json.loads((tmp_path / "density.json").read_text())["steps"] == []


def test_the_worker_has_slots_for_its_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    setups = worker_that_holds(monkeypatch, 1000)
    run(tmp_path / "density.json", most=120)
    assert int(setups[-1].env["REPARTEE_MAX_CALLS"]) >= 120


def test_a_step_with_unanswered_turns_is_crossed_out() -> None:
    assert "<path" not in plot(chart([figures(20, 40)]))
    assert "<path" in plot(chart([figures(20, 40), figures(40, 40) | {"unanswered": 3}]))


def test_a_step_that_is_not_held_gets_a_second_chance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[int] = []

    async def step(setup: Setup, contender: Contender, load: Load) -> dict[str, object]:
        tried.append(load.calls)
        return figures(load.calls, 0 if len(tried) == 2 else 40)

    monkeypatch.setattr(bench_density, "step_that_counts", step)
    run(tmp_path / "density.json", most=40)
    assert tried == [20, 40, 40]
    assert json.loads((tmp_path / "density.json").read_text())["calls_per_core"] == 40


def test_a_few_calls_ask_more_often() -> None:
    plan = DensityPlan("budget", 8, 24.0, binary_audio=True, port=1)
    assert [plan.load(calls).turns for calls in (1, 2, 3, 100)] == [24, 12, 8, 8]
