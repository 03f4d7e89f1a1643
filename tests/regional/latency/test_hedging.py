"""When a late request is asked again."""

import random
from collections.abc import Callable
from dataclasses import dataclass

import pytest

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


@dataclass(slots=True)
class Waiting:
    """A request in progress, at which times its first tokens would come. ``late``: the policy was asked about it."""

    number: int
    began_ms: float
    first_ms: float
    again_ms: float = float("inf")
    late: bool = False


def play(policy: HedgePolicy, draw: Callable[[], float], *, requests: int, gap_ms: float) -> list[float]:
    """Begin a request every ``gap_ms``, on a virtual clock; what each caller waited, to 4 ms."""
    waiting: list[Waiting] = []
    waited: dict[int, float] = {}
    now_ms, begun = 0.0, 0
    while len(waited) < requests:
        while begun < requests and begun * gap_ms <= now_ms:
            policy.begin()
            waiting.append(Waiting(begun, now_ms, now_ms + draw()))
            begun += 1
        for one in waiting:
            if min(one.first_ms, one.again_ms) <= now_ms:
                waited[one.number] = now_ms - one.began_ms
                policy.answered(waited[one.number], by_hedge=one.again_ms < one.first_ms)
            elif not one.late and now_ms - one.began_ms >= policy.deadline_ms:
                one.late = True
                if policy.may_hedge():
                    one.again_ms = now_ms + draw()
        waiting = [one for one in waiting if one.number not in waited]
        now_ms += 4.0
    return [waited[number] for number in range(requests)]


def heavy_tail(chance: random.Random) -> Callable[[], float]:
    """As the stand-ins' profile of that name."""
    return lambda: 2_000.0 if chance.random() < 0.05 else 140.0


def p99(values: list[float]) -> float:
    return sorted(values)[int(len(values) * 0.99)]


@pytest.mark.parametrize("gap_ms", [62.5, 2_500.0], ids=["40 calls at once", "1 call"])
def test_the_tail_is_cut_from_a_workers_first_request_on(gap_ms: float) -> None:
    first, every = [], []
    for seed in range(12):
        policy = HedgePolicy()
        waited = play(policy, heavy_tail(random.Random(seed)), requests=640, gap_ms=gap_ms)
        first += waited[:40]
        every += waited
        assert policy.hedged / policy.requests <= 0.06, "of 640 requests, with what a fresh worker is given"
    assert p99(every) < 450
    assert sum(ms > 500 for ms in first) / len(first) < 0.02, "of a worker's first 40, in a tail of 5 %"
    assert sum(ms > 700 for ms in every) / len(every) < 0.01


def test_requests_that_only_differ_do_not_use_up_a_fresh_workers_credit() -> None:
    chance = random.Random(3)
    policies = [HedgePolicy() for _ in range(20)]
    for policy in policies:
        play(policy, lambda: chance.lognormvariate(5.2, 0.35), requests=40, gap_ms=62.5)
    assert sum(policy.hedged for policy in policies) / len(policies) < HedgeSettings().first_credit


def test_a_fresh_worker_has_a_credit_and_no_more() -> None:
    policy = HedgePolicy()
    run(policy, [5_000.0] * 10, again_ms=5_000.0)
    assert policy.hedged == HedgeSettings().first_credit


def test_what_is_late_is_learnt_from_five_requests() -> None:
    policy = HedgePolicy()
    run(policy, [140.0] * 4, again_ms=0)
    assert (policy.learning, policy.deadline_ms) == (True, HedgeSettings().first_deadline_ms)

    run(policy, [140.0], again_ms=0)
    assert policy.learning is False
    assert 180 < policy.deadline_ms < 250


def test_two_slow_ones_of_a_few_do_not_make_slow_usual() -> None:
    policy = HedgePolicy(HedgeSettings(first_credit=0.0))
    run(policy, [2_000.0, 140.0, 140.0, 2_000.0, 150.0], again_ms=0)
    assert policy.deadline_ms < 350


def test_until_much_is_known_nothing_is_waited_for_longer_than_at_first() -> None:
    policy = HedgePolicy(HedgeSettings(enabled=False))
    run(policy, [900.0] * 99, again_ms=0)
    assert policy.deadline_ms == HedgeSettings().first_deadline_ms

    run(policy, [900.0], again_ms=0)
    assert policy.deadline_ms > 900, "a slow model's usual time is not late"


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
    assert 140 < policy.deadline_ms < 250

    run(policy, [300.0] * 300, again_ms=1_000)
    assert 300 < policy.deadline_ms < 450


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
