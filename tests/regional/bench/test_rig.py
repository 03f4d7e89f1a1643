"""What the benchmarks make of a run: floors, figures, and which runs count."""

import os
import socket
from contextlib import closing

import pytest

from repartee.app.settings import Settings, variable_of
from repartee.bench.load import Load, Measured
from repartee.bench.rig import (
    LATENESS_LIMIT_MS,
    ProfileFloor,
    Step,
    Used,
    figures,
    floors,
    lateness,
    sockets,
    usage,
)
from repartee.bench.techniques import WITHOUT, Technique, without_env
from repartee.standins.profiles import floor_ms, load_profile, sequential_floor_ms


def told(name: str) -> dict[str, object]:
    """What the stand-ins say of a profile."""
    profile = load_profile(name)
    return {
        "floor_ms": {"flux": floor_ms(profile, 6)},
        "sequential_floor_ms": {"flux": sequential_floor_ms(profile, 6)},
        "medians": {"stt": {key: getattr(profile.stt, key).middle for key in profile.stt.__slots__}},
    }


def test_the_floors_of_the_budget() -> None:
    found = floors(told("budget"))
    # 120 + 140 + 5 intervals at 60 a second + 100; one after the other: 250 in whole frames instead of 120.
    assert found["flux"].ms == pytest.approx(443.3, abs=0.1)
    assert found["flux"].sequential_ms == pytest.approx(583.3, abs=0.1)
    # With nova 100 ms of silence begin the answer; its own end is at 300 + 60.
    assert found["nova"].ms == pytest.approx(423.3, abs=0.1)
    assert found["nova"].sequential_ms == pytest.approx(683.3, abs=0.1)


def test_without_delays_the_end_of_the_turn_is_the_floor() -> None:
    assert floors(told("instant"))["flux"].ms >= 0


def step_of(lateness_ms: list[float], latencies_ms: list[float]) -> Step:
    measured = Measured(latencies_ms=latencies_ms, lateness_ms=lateness_ms, seconds=30.0)
    measured.unanswered, measured.faults = 1, ["gone", "gone"]
    load = Load("http://x", calls=4, turns=3, binary_audio=True)
    return Step(load, measured, Used(cpu_s=1.0, mb=2.0), {"flux": ProfileFloor(443.3, 583.3)}, 1.234)


def test_figures_are_per_call_and_above_the_floor() -> None:
    report = figures(step_of([1.0], [450.0, 460.0, 470.0]))
    assert report["v2v_ms"] == {"p50": 460.0, "p90": 468.0, "p99": 469.8}
    assert report["above_floor_ms"]["p50"] == pytest.approx(16.7)
    assert report["cpu_s_per_call_minute"] == 0.5
    assert report["core_used"] == pytest.approx(1 / 30, abs=1e-3)
    assert report["mb_per_call"] == 0.5
    assert (report["turns"], report["unanswered"], report["faults"]) == (12, 1, ["gone"])


def test_a_run_without_answers_has_figures_too() -> None:
    assert figures(step_of([], []))["v2v_ms"] == {"p50": None, "p90": None, "p99": None}


def test_a_run_whose_generator_was_late_does_not_count() -> None:
    assert lateness(figures(step_of([LATENESS_LIMIT_MS - 1] * 100, [450.0]))) is None
    why = lateness(figures(step_of([LATENESS_LIMIT_MS + 1] * 100, [450.0])))
    assert why is not None and "at 4 calls" in why and "11.0 ms late" in why


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="the system does not tell")  # noqa: PTH110
def test_a_process_tells_what_it_uses() -> None:
    before = sockets(os.getpid())
    with closing(socket.socket()):
        assert sockets(os.getpid()) == before + 1
    used = usage(os.getpid())
    assert used.mb > 10 and used.cpu_s > 0


def test_a_process_that_is_gone_uses_nothing() -> None:
    assert usage(2**22 + 1) == Used(0.0, 0.0)
    assert sockets(2**22 + 1) == 0


def test_techniques_are_switched_off_by_settings_that_exist() -> None:
    known = {variable_of(field) for field in Settings.model_fields}
    for technique in Technique:
        assert WITHOUT[technique].keys() <= known
    assert without_env([Technique.hedging, Technique.speculation]) == {
        "REPARTEE_HEDGE": "0",
        "REPARTEE_SPECULATE": "0",
    }
