"""When a late request is asked again."""

import random

from repartee.latency.hedging import HedgePolicy, HedgeSettings


def run(policy: HedgePolicy, times_ms: list[float], again_ms: float) -> list[float]:
    """Play requests that would take so long; a hedged one takes the deadline and ``again_ms``. Returns what callers
    waited."""
    waited = []
    for alone_ms in times_ms:
        policy.begin()
        took_ms = alone_ms
        if alone_ms > policy.deadline_ms and policy.may_hedge():
            took_ms = min(alone_ms, policy.deadline_ms + again_ms)
        policy.answered(took_ms, by_hedge=took_ms < alone_ms)
        waited.append(took_ms)
    return waited


def test_a_tail_of_one_in_twenty_is_cut_for_six_extra_requests_in_a_hundred() -> None:
    chance = random.Random(7)
    times = [2_000.0 if chance.random() < 0.05 else 140.0 for _ in range(5_000)]
    policy = HedgePolicy()

    waited = run(policy, times, again_ms=140.0)

    assert policy.hedged / policy.requests <= 0.06
    slow = sum(1 for ms in waited[200:] if ms > 500)
    assert slow / len(waited[200:]) < 0.01, "the P99 is not in the tail any more"


def test_the_deadline_follows_what_requests_take() -> None:
    policy = HedgePolicy()
    assert policy.deadline_ms == HedgeSettings().first_deadline_ms

    run(policy, [140.0] * 100, again_ms=0)
    assert 140 < policy.deadline_ms < 200

    run(policy, [300.0] * 300, again_ms=1_000)
    assert 300 < policy.deadline_ms < 400


def test_a_model_that_becomes_slow_for_everybody_is_not_asked_twice_as_often() -> None:
    policy = HedgePolicy()
    run(policy, [140.0] * 200, again_ms=0)
    before = policy.hedged

    run(policy, [600.0] * 100, again_ms=600)

    assert policy.hedged - before <= HedgeSettings().burst + 0.055 * 100


def test_it_can_be_switched_off() -> None:
    policy = HedgePolicy(HedgeSettings(enabled=False))
    run(policy, [5_000.0] * 50, again_ms=0)
    assert policy.hedged == 0
