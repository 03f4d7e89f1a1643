"""What the pool's policy makes of providers that accept and close, refuse or ask to be left alone."""

from dataclasses import replace
from itertools import pairwise

import pytest
from tests.regional.pool.test_policy import filled

from repartee.pool.ceiling import DialCeiling
from repartee.pool.policy import Plan, PoolPolicy
from repartee.pool.settings import PoolSettings


def storm(policy: PoolPolicy, lives_s: float, until_s: float) -> list[float]:
    """When a provider is dialled that takes each connection and ends it after so long."""
    dials: list[float] = []
    open_until: dict[int, float] = {}
    now = 0.0
    while now < until_s:
        for key in [key for key, end in open_until.items() if now >= end]:
            del open_until[key]
            policy.lost(key, now, 1.0)
        plan = policy.plan(now)
        for _ in range(plan.dial):
            dials.append(now)
            open_until[policy.opened(now, 0.0)] = now + lives_s
        now += 0.01
    return dials


def busiest_second(dials: list[float]) -> int:
    return max(sum(1 for at in dials if begin <= at < begin + 1) for begin in dials)


def test_a_provider_that_accepts_and_closes_is_dialled_as_one_that_refuses() -> None:
    policy = PoolPolicy(PoolSettings(spare=4))
    dials = storm(policy, lives_s=0.02, until_s=60)
    assert dials[:4] == [0.0] * 4
    waits = [after - before for before, after in pairwise(dials[3:])]
    # The first four fill the second's ceiling; then it is the back-off that counts.
    assert waits[:5] == pytest.approx([1.0, 0.5, 1.0, 2.0, 3.5], abs=0.05)
    assert waits[5:] == pytest.approx([3.5] * len(waits[5:]), abs=0.05)
    assert (policy.warm, policy.usable, policy.filled) == (False, False, False)


@pytest.mark.parametrize("lives_s", [0.0, 0.1, 0.49, 0.51, 0.9, 1.5, 3.0, 8.0])
def test_however_long_a_connection_lives_there_are_no_more_than_two_dials_a_second(lives_s: float) -> None:
    dials = storm(PoolPolicy(PoolSettings(spare=4)), lives_s, until_s=60)
    assert busiest_second([at for at in dials if at >= 1]) <= 2


def test_while_a_call_is_in_progress_there_may_be_twenty_dials_a_second() -> None:
    policy = filled(PoolSettings(spare=1, max_dialling=64))
    policy.demand = policy.calls = 50
    assert policy.plan(10.0).dial == 20
    assert policy.plan(10.5).dial == 0
    assert policy.plan(10.5).wake_at == 11.0
    assert policy.plan(11.0).dial == 20


def test_callers_who_wait_count_against_the_ceiling_too() -> None:
    policy = filled(PoolSettings(spare=0))
    started = 0
    for tenth in range(100):
        now = tenth / 10
        urgent = policy.plan(now, waiting=1).urgent
        started += urgent
        for _ in range(urgent):
            policy.dial_failed(now, 0.0)
    assert started <= 20
    assert policy.take_dial(20.0) == 0
    assert policy.take_dial(20.0) == 0
    assert policy.take_dial(20.25) == 0.75


def test_a_connection_lost_young_is_a_failed_dial_although_it_served() -> None:
    policy = PoolPolicy(PoolSettings(spare=1, young_s=0.5))
    policy.plan(0.0)
    key = policy.opened(0.0, 0.0)
    policy.acquire(0.1)
    policy.release(key, 0.2)
    assert policy.lost(key, 0.4, 1.0)
    assert (policy.failures, policy.usable, policy.warm) == (1, False, False)
    assert policy.plan(0.4).wake_at == pytest.approx(0.65)


def test_a_connection_lost_before_it_served_is_a_failed_dial_however_old() -> None:
    policy = filled(PoolSettings(spare=1))
    assert policy.lost(policy.keys()[0], 60.0, 1.0)
    assert policy.failures == 1
    assert not policy.warm
    assert policy.usable, "its dials do not fail: the next call may be taken"
    assert policy.plan(60.0).wake_at == 60.25


def test_one_that_has_served_or_said_that_it_would_end_is_no_failure() -> None:
    policy = filled(PoolSettings(spare=2))
    served, announced = policy.keys()
    assert {policy.acquire(1.0), policy.acquire(1.0)} == {served, announced}
    policy.release(served, 2.0)
    policy.release(announced, 2.0, served=False)
    assert not policy.lost(served, 3.0, 1.0)
    assert not policy.lost(announced, 3.0, 1.0, agreed=True)
    assert policy.failures == 0
    assert policy.plan(3.0).dial == 2


def test_what_is_lost_at_once_counts_once() -> None:
    policy = filled(PoolSettings(spare=4))
    policy.settings = replace(policy.settings, young_s=0.5)
    for key in list(policy.keys()):
        policy.lost(key, 30.0, 1.0)
    assert policy.failures == 1
    assert policy.plan(30.25).dial == 1, "one at a time, until it is seen whether it lasts"
    policy.opened(30.25, 0.0)
    assert policy.plan(30.5).dial == 0
    assert policy.plan(30.75).dial == 1
    policy.opened(30.75, 0.0)
    assert policy.plan(31.25).dial == 1


@pytest.mark.parametrize("lives_s", [0.02, 0.6, 0.9])
def test_a_provider_that_closes_what_is_unused_is_unusable_however_late_it_does(lives_s: float) -> None:
    """A busy machine, or a slow provider, makes a refusal late: the connection was open for half a second or more."""
    policy = PoolPolicy(PoolSettings(spare=1))
    assert policy.plan(0.0).dial == 1
    now, usable_s = 0.0, 0.0
    born = {policy.opened(now, 0.0): now}
    while now < 30:
        now = round(now + 0.01, 2)
        for key in [key for key, at in born.items() if now >= at + lives_s]:
            del born[key]
            policy.lost(key, now, 1.0)
        for _ in range(policy.plan(now).dial):
            born[policy.opened(now, 0.0)] = now
        usable_s += 0.01 * (policy.usable and now > 2)
    assert usable_s == 0


def test_and_is_trusted_again_once_one_has_outlived_that() -> None:
    policy = PoolPolicy(PoolSettings(spare=1))
    policy.plan(0.0)
    policy.lost(policy.opened(0.0, 0.0), 0.8, 0.0)
    policy.plan(5.0)
    policy.opened(5.0, 0.0)
    usable = []
    for now in (5.9, 6.0):
        policy.plan(now)
        usable.append(policy.usable)
    assert usable == [False, True]
    policy.lost(policy.keys()[0], 60.0, 0.0)
    policy.plan(61.0)
    policy.opened(61.0, 0.0)
    policy.plan(61.5)
    assert policy.warm, "half a second is enough again"


def test_a_provider_that_asks_to_be_left_alone_is_by_callers_too() -> None:
    policy = filled(PoolSettings(spare=0))
    assert policy.plan(0.0, waiting=1).urgent == 1
    policy.dial_failed(0.0, 0.0, retry_after_s=7.5)
    assert policy.left_alone_s(1.5) == 6.0
    plan = policy.plan(7.4, waiting=1)
    assert (plan.dial, plan.urgent, plan.wake_at) == (0, 0, 7.5)
    assert policy.plan(7.5, waiting=1).urgent == 1
    assert policy.left_alone_s(7.5) == 0


def test_nobody_is_left_alone_for_longer_than_the_setting_says() -> None:
    policy = PoolPolicy(PoolSettings(spare=1, retry_after_max_s=10.0))
    policy.plan(0.0)
    policy.dial_failed(0.0, 0.0, retry_after_s=86_400.0)
    assert policy.plan(9.9).dial == 0
    assert policy.plan(10.0).dial == 1


def test_the_pools_of_one_provider_share_a_ceiling() -> None:
    shared = DialCeiling(2, 20)
    pools = [PoolPolicy(PoolSettings(spare=0), shared) for _ in range(3)]
    started = [pool.plan(10.0, waiting=9).urgent for pool in pools]
    assert started == [2, 0, 0]
    assert [pool.plan(10.9, waiting=9).urgent for pool in pools] == [0, 0, 0]


@pytest.mark.parametrize("down_s", [1.0, 10.0, 100.0])
def test_the_pool_is_back_within_five_seconds_of_its_provider(down_s: float) -> None:
    policy = PoolPolicy(PoolSettings(spare=4))
    now = 0.0
    while not policy.usable or now < down_s:
        for _ in range(policy.plan(now).dial):
            if now < down_s:
                policy.dial_failed(now, 1.0, hopeless=True)
            else:
                policy.opened(now, 0.0)
        now += 0.01
    assert now - down_s < 5


def test_a_provider_that_keeps_nothing_open_is_dialled_on_demand() -> None:
    policy = PoolPolicy(PoolSettings(spare=4))
    assert policy.plan(0.0).dial == 4
    policy.on_demand = True
    for _ in range(4):
        policy.answered()
    assert (policy.warm, policy.usable) == (True, True)
    assert policy.plan(1.0) == Plan()
    assert policy.plan(2.0, waiting=1).urgent == 1
    policy.dial_failed(2.0, 1.0)
    assert not policy.usable
    assert policy.plan(3.0).dial == 1, "or nobody would see that it is back"
    policy.answered()
    assert policy.usable
