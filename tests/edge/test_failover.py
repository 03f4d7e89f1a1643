"""Attempts on virtual time: who is tried when, and when it ends."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repartee_edge.failover import Attempts, FailoverPolicy, RegionFault, is_callers
from repartee_edge.geo import Point
from repartee_edge.placement import Ranked
from repartee_edge.regions import Region


def ranked(*rtts: float) -> list[Ranked]:
    regions = [Region(f"r{i}", Point(0, 0), f"https://r{i}.example") for i in range(len(rtts))]
    return [Ranked(region, rtt, rtt, 0, 0.0, "away") for region, rtt in zip(regions, rtts, strict=True)]


def test_a_refusal_starts_the_next_at_once() -> None:
    attempts = Attempts(ranked(10, 20), now=0)
    first = attempts.due(0)
    assert first is not None and first.ranked.region.name == "r0"
    assert attempts.due(0.01) is None
    attempts.failed(RegionFault("r0", "status", 503))
    second = attempts.due(0.01)
    assert second is not None and (second.ranked.region.name, second.number) == ("r1", 2)


def test_a_slow_region_gets_company_and_a_third_attempt_waits() -> None:
    attempts = Attempts(ranked(10, 20, 30), now=0)
    attempts.due(0)
    patience = FailoverPolicy().patience_ms(10) / 1000
    assert attempts.wake_at() == pytest.approx(patience)
    assert attempts.due(patience - 0.001) is None
    assert attempts.due(patience) is not None
    assert attempts.due(patience + 5) is None and attempts.running == 2
    assert attempts.wake_at() is None


def test_deadlines_follow_the_round_trip_and_stay_within_bounds() -> None:
    policy = FailoverPolicy()
    assert policy.deadline_ms(5) == 800
    assert policy.deadline_ms(200) == 1100
    assert policy.deadline_ms(5000) == 2000
    assert policy.patience_ms(5) < policy.deadline_ms(5)
    assert policy.patience_ms(9999) == 2000


def test_the_whole_search_has_an_end() -> None:
    attempts = Attempts(ranked(*[10] * 50), now=0, policy=FailoverPolicy(total_ms=1000))
    late = attempts.due(0.9)
    assert late is not None and late.timeout_s == pytest.approx(0.1)
    attempts.failed(RegionFault("r0", "timeout"))
    assert attempts.due(1.0) is None


@given(st.lists(st.floats(0, 400), max_size=8), st.lists(st.floats(0, 1), max_size=60))
def test_every_region_is_tried_at_most_once_in_order_and_never_more_than_two_at_a_time(
    rtts: list[float], pauses: list[float]
) -> None:
    attempts, now, tried, running = Attempts(ranked(*rtts), now=0), 0.0, [], []
    for pause in pauses:
        now += pause
        attempt = attempts.due(now)
        if attempt is not None:
            tried.append(attempt.ranked.region.name)
            running.append(attempt.ranked.region.name)
            assert 0 < attempt.timeout_s <= 2
        elif running:
            attempts.failed(RegionFault(running.pop(0), "timeout"))
        assert attempts.running == len(running) <= 2
    assert tried == [f"r{i}" for i in range(len(tried))]


def test_a_client_error_is_the_callers_unless_no_client_has_a_part_in_it() -> None:
    regions = {401, 404, 405, 407, 408, 410, 421, 425}
    assert {status for status in range(100, 600) if is_callers(status)} == set(range(400, 500)) - regions


def test_every_server_error_is_doubtful() -> None:
    doubtful = {status for status in range(100, 600) if RegionFault("a", "status", status).is_doubtful}
    assert doubtful == set(range(500, 600))
    assert not RegionFault("a", "timeout").is_doubtful
