"""What reports add up to, and how long a region that failed is left alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repartee_edge.health import (
    BREAKER_LONGEST_S,
    Breaker,
    RegionStatus,
    Report,
    effective,
    report_from_words,
    report_of_probe,
    report_to_words,
    summarise,
)


def test_a_regions_load_is_that_of_its_workers_that_take_calls() -> None:
    reports = [
        Report("a", 100, active=10, capacity=50, p90_ms=400),
        Report("a", 101, active=50, capacity=50, draining=True, p90_ms=650),
        Report("b", 100, active=5, capacity=10, draining=True),
        Report("c", 100, up=False),
        Report("d", 0),
    ]
    found = summarise(reports, now=110)
    assert found["a"] == RegionStatus(load=0.2, p90_ms=650, reported_at=101)
    assert found["b"].draining and found["b"].load is None
    assert not found["c"].up
    assert "d" not in found, "a report of 110 s ago says nothing"


def test_a_region_admits_while_any_worker_that_takes_calls_does() -> None:
    reports = [
        Report("a", 100, capacity=10, admitting=False),
        Report("a", 100, active=2, capacity=10),
        Report("b", 100, capacity=10, admitting=False),
        Report("b", 100, capacity=10, draining=True),
    ]
    found = summarise(reports, now=100)
    assert found["a"].admitting and found["a"].load == 0.2
    assert found["b"].up and not found["b"].admitting


@pytest.mark.parametrize(
    ("status", "body", "up", "admitting"),
    [
        (200, "ready\n", True, True),
        (200, '{"admitting": true}', True, True),
        (200, '{"admitting": false, "faults": [{"pool": "deepgram"}]}', True, False),
        (503, '{"admitting": false}', True, False),
        (502, "", False, False),
        (200, "[" * 9000, True, True),
    ],
)
def test_a_probe_tells_what_readyz_says(status: int, body: str, up: bool, admitting: bool) -> None:
    report = report_of_probe("a", status, body, 100.0)
    assert (report.up, report.admitting) == (up, admitting)


def test_a_worker_that_reports_outweighs_a_probe_that_failed() -> None:
    reports = [Report("a", 100, up=False), Report("a", 100, active=1, capacity=10)]
    assert summarise(reports, now=100)["a"].up


def test_reports_survive_the_store_and_nonsense_does_not() -> None:
    report = Report("a", 100.5, True, True, 3, 10, None)
    assert report_from_words(report_to_words(report)) == report
    wrong: list[object] = [None, [], "x", {}, {"region": "a"}, {**report_to_words(report), "active": "many"}]
    for nonsense in wrong:
        assert report_from_words(nonsense) is None


def test_a_failure_closes_the_breaker_for_longer_each_time_and_one_probe_opens_it() -> None:
    breaker = Breaker()
    assert breaker.allows("a", 0)
    breaker.failed("a", 0)
    assert not breaker.allows("a", 1.9) and breaker.allows("a", 2.0)
    breaker.started("a", 2.0, deadline_s=0.8)
    assert not breaker.allows("a", 2.1), "one caller probes, the next does not"
    breaker.failed("a", 2.8)
    assert not breaker.allows("a", 6.7) and breaker.allows("a", 6.8)
    breaker.started("a", 6.8, deadline_s=0.8)
    breaker.abandoned("a")
    assert breaker.allows("a", 6.9), "a probe given up without an answer is free for the next caller"
    breaker.succeeded("a")
    assert breaker.allows("a", 6.9) and repr(breaker) == "<Breaker closed>"


def test_a_full_region_is_left_alone_only_as_long_as_it_asked_and_counts_as_full() -> None:
    breaker = Breaker()
    breaker.full("a", 0, retry_after_s=2)
    status = effective(["a"], {"a": RegionStatus(load=0.3)}, breaker, 1.0)["a"]
    assert status.up and status.full
    breaker.full("b", 0, retry_after_s=3600)
    assert breaker.allows("a", 2.0) and breaker.allows("b", 5.0)
    breaker.failed("b", 5.0)
    assert not effective(["b"], {}, breaker, 6.0)["b"].up


@given(
    st.lists(
        st.tuples(st.sampled_from(["failed", "full", "started", "succeeded"]), st.floats(0, 100)), max_size=40
    )
)
def test_a_region_always_gets_another_chance(steps: list[tuple[str, float]]) -> None:
    breaker, now = Breaker(), 0.0
    for step, pause in steps:
        now += pause
        match step:
            case "failed":
                breaker.failed("a", now)
            case "full":
                breaker.full("a", now, pause)
            case "started":
                breaker.started("a", now, 0.8)
            case _:
                breaker.succeeded("a")
    assert breaker.allows("a", now + BREAKER_LONGEST_S)
