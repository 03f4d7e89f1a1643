"""The comparison with a peer: in which order it measures, and what it reports."""

import pytest
from rich.console import Console

from repartee.bench import density as bench_density
from repartee.bench import peers as bench_peers
from repartee.bench.density import DensityPlan
from repartee.bench.load import Load
from repartee.bench.peers import Race, told_of
from repartee.bench.rig import REPARTEE, Contender, LateGenerator, Setup
from repartee.bench.search import Search

PEER = Contender("Peer 1.0", lambda port: [str(port)])
PLAN = DensityPlan("budget", 8, 24.0, binary_audio=True, port=1)


def figures(calls: int, p90: float) -> dict[str, object]:
    return {
        "calls": calls,
        "v2v_ms": {"p50": p90 - 10, "p90": p90, "p99": p90},
        "above_floor_ms": {"p50": p90 - 453, "p90": p90 - 443, "p99": p90 - 443},
        "unanswered": 0,
        "early": 0,
        "faults": [],
    }


def races() -> list[Race]:
    return [Race(REPARTEE, Search(1, 20, 5, 100)), Race(PEER, Search(1, 4, 1, 100))]


def measured_by(monkeypatch: pytest.MonkeyPatch, order: list[tuple[str, int]], late_at: int = 1000) -> None:
    """Measure nothing: this worker holds 50 calls, the peer 5."""

    async def step(setup: Setup, contender: Contender, load: Load) -> dict[str, object]:
        order.append((contender.name, load.calls))
        if load.calls >= late_at:
            raise LateGenerator("This run does not count.")
        holds = 50 if contender is REPARTEE else 5
        return figures(load.calls, 450 if load.calls <= holds else 600)

    monkeypatch.setattr(bench_density, "step_that_counts", step)


def test_both_are_measured_in_turn_until_both_limits_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[tuple[str, int]] = []
    measured_by(monkeypatch, order)
    run = races()
    bench_peers.run(run, PLAN, Console(quiet=True))
    assert order[:6] == [
        ("Repartee", 1),
        ("Peer 1.0", 1),
        ("Repartee", 20),
        ("Peer 1.0", 4),
        ("Repartee", 40),
        ("Peer 1.0", 8),
    ]
    report = told_of(run, "budget")
    ours, theirs = report["contenders"]
    assert (ours["calls_held"], theirs["calls_held"], report["ratio"]) == (50, 5, 10.0)
    assert ours["alone_p50_ms"] == 440.0
    assert [step["calls"] for step in theirs["steps"]] == sorted(step["calls"] for step in theirs["steps"])


def test_what_could_not_be_measured_leaves_the_ratio_at_least_what_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    measured_by(monkeypatch, [], late_at=40)
    run = races()
    bench_peers.run(run, PLAN, Console(quiet=True))
    report = told_of(run, "budget")
    ours, theirs = report["contenders"]
    assert (ours["calls_held"], ours["limit_found"]) == (20, False)
    assert ours["stopped_by"] == "This run does not count."
    assert (theirs["calls_held"], theirs["limit_found"], report["ratio"]) == (5, True, 4.0)


def test_a_peer_whose_limit_is_not_known_makes_no_ratio(monkeypatch: pytest.MonkeyPatch) -> None:
    measured_by(monkeypatch, [], late_at=4)
    run = races()
    bench_peers.run(run, PLAN, Console(quiet=True))
    assert told_of(run, "budget")["ratio"] is None


def test_a_peer_that_holds_nothing_makes_no_ratio() -> None:
    assert told_of(races(), "budget")["ratio"] is None
