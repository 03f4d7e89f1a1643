"""A vendor that keeps failing is left alone for a while, and then tried by one request."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repartee.latency.breaker import BreakerSettings, BreakerState, VendorBreaker, ranked

SETTINGS = BreakerSettings(failures=3, open_s=5.0, open_most_s=60.0, trial_s=5.0)


def opened(now: float = 0.0) -> VendorBreaker:
    breaker = VendorBreaker(SETTINGS)
    for _ in range(3):
        breaker.failed(now)
    return breaker


def test_it_opens_after_three_failures_in_a_row() -> None:
    breaker = VendorBreaker(SETTINGS)
    breaker.failed(0.0)
    breaker.failed(0.1)
    assert breaker.allows(0.2)
    breaker.failed(0.3)
    assert breaker.state(0.4) is BreakerState.OPEN
    assert not breaker.allows(0.4)


def test_what_serves_in_between_begins_the_count_anew() -> None:
    breaker = VendorBreaker(SETTINGS)
    for _ in range(10):
        breaker.failed(0.0)
        breaker.failed(0.0)
        breaker.served()
    assert breaker.state(0.0) is BreakerState.CLOSED


@pytest.mark.parametrize(
    ("lasting", "retry_after_s", "opens_until"), [(True, 0.0, 5.0), (False, 2.0, 5.0), (False, 30.0, 30.0)]
)
def test_a_lasting_fault_and_a_wish_to_be_left_alone_open_it_at_once(
    lasting: bool, retry_after_s: float, opens_until: float
) -> None:
    breaker = VendorBreaker(SETTINGS)
    breaker.failed(0.0, lasting=lasting, retry_after_s=retry_after_s)
    assert breaker.state(opens_until - 0.01) is BreakerState.OPEN
    assert breaker.state(opens_until) is BreakerState.HALF_OPEN


def test_half_open_one_request_tries_it() -> None:
    breaker = opened()
    assert breaker.state(5.0) is BreakerState.HALF_OPEN
    assert breaker.allows(5.0)
    breaker.asked(5.0)
    assert not breaker.allows(5.1)
    breaker.served()
    assert breaker.state(5.2) is BreakerState.CLOSED


def test_a_trial_of_which_nothing_becomes_known_is_followed_by_another() -> None:
    breaker = opened()
    breaker.asked(5.0)
    assert not breaker.allows(9.9)
    assert breaker.allows(10.0)


def test_it_stays_open_twice_as_long_each_time_up_to_a_minute() -> None:
    breaker, now = opened(), 0.0
    for open_s in (5.0, 10.0, 20.0, 40.0, 60.0, 60.0):
        assert not breaker.allows(now + open_s - 0.01)
        now += open_s
        assert breaker.allows(now)
        breaker.asked(now)
        breaker.failed(now)


def test_failures_of_one_that_was_asked_for_want_of_another_do_not_prolong_it() -> None:
    breaker = opened()
    breaker.failed(4.0)
    assert breaker.state(5.0) is BreakerState.HALF_OPEN


def test_those_that_are_left_alone_come_last_each_in_its_order() -> None:
    assert ranked([opened(), VendorBreaker(), opened(), VendorBreaker()], 1.0) == [1, 3, 0, 2]


@given(st.lists(st.tuples(st.sampled_from(["asked", "failed", "lasting", "served"]), st.floats(0, 30))))
def test_whatever_happens_it_is_asked_again_within_a_minute_and_a_trial(
    events: list[tuple[str, float]],
) -> None:
    breaker, now = VendorBreaker(SETTINGS), 0.0
    for what, after_s in events:
        now += after_s
        match what:
            case "asked":
                breaker.asked(now)
            case "failed":
                breaker.failed(now)
            case "lasting":
                breaker.failed(now, lasting=True)
            case _:
                breaker.served()
    assert breaker.allows(now + SETTINGS.open_most_s + SETTINGS.trial_s)
