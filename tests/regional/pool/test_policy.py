"""The pool's decisions, on a virtual clock."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from repartee.pool.ceiling import DialCeiling
from repartee.pool.policy import Plan, PoolPolicy
from repartee.pool.settings import PoolSettings


def filled(settings: PoolSettings, now: float = 0.0) -> PoolPolicy:
    """A pool whose spare slots are ready. Its connections settle at once."""
    policy = PoolPolicy(replace(settings, young_s=0.0))
    while (dials := policy.plan(now).dial) > 0:
        for _ in range(dials):
            policy.opened(now, 0.0)
    return policy


def test_the_spare_slots_are_dialled_at_once_and_only_once() -> None:
    policy = PoolPolicy(PoolSettings(spare=3, young_s=0.0))
    assert policy.plan(0.0).dial == 3
    assert policy.plan(0.0).dial == 0
    warm = [policy.warm]
    for _ in range(3):
        policy.opened(0.1, 0.0)
        warm.append(policy.warm)
    assert warm == [False, False, False, True]
    assert (policy.idle, policy.leased, policy.dialling) == (3, 0, 0)


def test_what_is_taken_is_replaced_in_the_background() -> None:
    policy = filled(PoolSettings(spare=2))
    assert policy.acquire(1.0) is not None
    assert policy.plan(1.0).dial == 1


def test_calls_in_progress_each_have_a_connection_open_leased_or_not() -> None:
    policy = filled(PoolSettings(spare=2, max_dialling=16))
    policy.demand = 10
    assert policy.plan(1.0).dial == 8
    for _ in range(8):
        policy.opened(1.0, 0.0)

    taken = [policy.acquire(2.0) for _ in range(6)]
    assert None not in taken
    assert policy.plan(2.0).dial == 0, "ten are open, and four of them free"

    policy.demand = 0
    assert policy.plan(3.0).dial == 0


def test_an_empty_pool_gives_nothing_and_lets_a_caller_dial() -> None:
    policy = PoolPolicy(PoolSettings(spare=0, max_open=2))
    assert policy.acquire(0.0) is None
    assert policy.plan(0.0, waiting=1).urgent == 1
    assert policy.plan(0.0, waiting=2).urgent == 1
    assert policy.plan(0.0, waiting=3).urgent == 0


def test_dials_are_limited_in_the_background() -> None:
    policy = PoolPolicy(PoolSettings(spare=10, max_dialling=4))
    assert policy.plan(0.0).dial == 4


def test_shared_connections_are_loaded_evenly() -> None:
    policy = filled(PoolSettings(spare=8, slots=4))
    assert policy.idle == 2
    keys = [policy.acquire(1.0) for _ in range(4)]
    assert sorted(keys.count(key) for key in set(keys)) == [2, 2]
    assert policy.free_slots == 4


def test_a_connection_for_one_use_is_closed_when_given_back() -> None:
    policy = filled(PoolSettings(spare=1, single_use=True))
    key = policy.acquire(1.0)
    assert key is not None
    assert policy.release(key, 2.0)
    assert policy.open == 0


def test_a_shared_connection_that_went_bad_serves_its_other_leases_out_and_no_more() -> None:
    policy = filled(PoolSettings(spare=2, slots=2))
    first, second = policy.acquire(1.0), policy.acquire(1.0)
    assert first == second
    assert first is not None
    assert not policy.release(first, 2.0, reusable=False)
    policy.plan(2.0)
    fresh = policy.opened(2.0, 0.0)
    assert policy.acquire(2.1) == fresh
    assert policy.release(first, 3.0)


def test_ageing_connections_are_replaced_before_they_end() -> None:
    policy = filled(PoolSettings(spare=1, max_age_s=100, keepalive_s=None))
    assert policy.plan(79.0).dial == 0
    assert policy.plan(79.0).wake_at == 80.0
    plan = policy.plan(80.0)
    assert (plan.dial, plan.close) == (1, ())
    fresh = policy.opened(80.5, 0.0)
    assert len(policy.plan(80.5).close) == 1
    assert policy.keys() == (fresh,)


def test_a_connection_whose_life_is_over_is_closed_even_without_a_replacement() -> None:
    policy = filled(PoolSettings(spare=1, max_age_s=100))
    policy.plan(80.0)
    policy.dial_failed(81.0, 0.0)
    assert len(policy.plan(100.0).close) == 1


def test_an_old_connection_is_better_than_none_but_a_fresh_one_is_better() -> None:
    policy = filled(PoolSettings(spare=1, max_age_s=100))
    old = policy.keys()[0]
    assert policy.acquire(90.0) == old
    policy.release(old, 90.0)
    policy.plan(90.0)
    fresh = policy.opened(90.0, 0.0)
    assert policy.acquire(90.0) == fresh


def test_the_youngest_of_equals_is_leased() -> None:
    """The rest of its life and the provider's patience are longest; whichever was opened first."""
    policy = PoolPolicy(PoolSettings(spare=3, slots=2, max_age_s=100, young_s=0.0))
    assert policy.plan(0.0).dial == 2
    old, young = policy.opened(0.0, 0.0), policy.opened(5.0, 0.0)
    assert policy.acquire(10.0) == young
    assert policy.acquire(10.0) == old, "the least loaded comes first"
    assert policy.acquire(10.0) == young
    assert policy.acquire(10.0) == old
    policy.release(young, 11.0)
    policy.release(old, 11.0)
    assert policy.acquire(12.0) == young, "given back first, or last, is the same"


def test_lives_differ_so_that_not_all_end_at_once() -> None:
    policy = PoolPolicy(PoolSettings(spare=2, max_age_s=100, keepalive_s=None, young_s=0.0))
    policy.plan(0.0)
    policy.opened(0.0, 0.0)
    policy.opened(0.0, 1.0)
    assert policy.plan(0.0).wake_at == 68.0
    assert policy.plan(68.0).dial == 1


def test_idle_connections_are_kept_alive_and_leased_ones_left_alone() -> None:
    policy = filled(PoolSettings(spare=2, keepalive_s=5))
    leased = policy.acquire(1.0)
    policy.plan(1.0)
    assert policy.plan(1.0).wake_at == 5.0
    assert leased not in policy.plan(5.0).keepalive
    assert policy.plan(5.0).keepalive == ()
    assert len(policy.plan(10.0).keepalive) == 1


def test_failures_back_off_with_jitter_and_recover() -> None:
    policy = PoolPolicy(PoolSettings(spare=1, backoff_first_s=1, backoff_max_s=8))
    waits = []
    now = 0.0
    for _ in range(6):
        assert policy.plan(now).dial == 1
        policy.dial_failed(now, 1.0)
        wake_at = policy.plan(now).wake_at
        assert wake_at is not None
        waits.append(wake_at - now)
        now = wake_at
    assert waits == [1, 2, 4, 8, 8, 8]
    assert policy.plan(now).dial == 1
    policy.dial_failed(now, 0.0)
    assert policy.plan(now).wake_at == now + 4
    policy.plan(now + 4)
    key = policy.opened(now + 4, 0.0)
    policy.plan(now + 4.5)
    assert policy.usable
    assert policy.acquire(now + 5) == key
    policy.release(key, now + 6)
    assert policy.failures == 0, "it has served"


def test_a_refused_key_waits_the_longest_at_once_and_a_caller_dials_all_the_same() -> None:
    policy = PoolPolicy(PoolSettings(spare=1, backoff_max_s=30))
    policy.plan(0.0)
    policy.dial_failed(0.0, 1.0, hopeless=True)
    assert policy.plan(0.0).wake_at == 30
    assert policy.plan(0.0, waiting=1).urgent == 1


def test_a_pool_that_keeps_nothing_ready_is_warm() -> None:
    assert PoolPolicy(PoolSettings(spare=0)).warm


def test_a_pool_that_lost_all_and_cannot_dial_is_not_warm() -> None:
    policy = filled(PoolSettings(spare=1))
    policy.lost(policy.keys()[0], 1.0, 0.0)
    policy.plan(2.0)
    policy.dial_failed(2.0, 0.0)
    assert not policy.warm
    assert not policy.usable


def test_a_keepalives_loan_does_not_use_up_a_connection() -> None:
    policy = filled(PoolSettings(spare=1, single_use=True))
    key = policy.keys()[0]
    assert policy.borrow(key)
    assert not policy.borrow(key)
    assert policy.acquire(1.0) is None
    assert not policy.release(key, 1.0, used=False)
    assert policy.acquire(1.0) == key


@pytest.mark.parametrize(
    "wrong", [{"spare": -1}, {"slots": 0}, {"max_open": 0}, {"max_age_s": 0}, {"acquire_timeout_s": 0}]
)
def test_settings_that_cannot_work_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="a pool"):
        PoolSettings(**wrong)  # type: ignore[arg-type]


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


class AnyOrder(RuleBasedStateMachine):
    """Random histories: no slot is leased twice, nothing is forgotten, and the limits hold."""

    @initialize(spare=st.integers(0, 5), slots=st.integers(1, 3), single_use=st.booleans())
    def begin(self, spare: int, slots: int, single_use: bool) -> None:
        self.settings = PoolSettings(
            spare=spare, slots=slots, single_use=single_use, max_open=6, max_age_s=50, keepalive_s=3
        )
        self.policy = PoolPolicy(self.settings)
        self.now = 0.0
        self.open: set[int] = set()
        self.leases: list[int] = []
        self.dialling = 0
        self.dials: list[float] = []

    @rule(seconds=st.floats(0, 30))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        plan = self.policy.plan(self.now)
        self.dialling += plan.dial
        self.dials += [self.now] * plan.dial
        assert plan.urgent == 0
        assert set(plan.close) <= self.open
        assert not set(plan.close) & set(self.leases)
        self.open -= set(plan.close)
        assert set(plan.keepalive) <= self.open
        assert plan.wake_at is None or plan.wake_at >= self.now

    @rule()
    def acquire(self) -> None:
        key = self.policy.acquire(self.now)
        if key is None:
            plan = self.policy.plan(self.now, waiting=1)
            assert plan.urgent <= 1
            self.dialling += plan.urgent + plan.dial
            self.dials += [self.now] * (plan.urgent + plan.dial)
            self.open -= set(plan.close)
        else:
            assert key in self.open
            self.leases.append(key)
            assert self.leases.count(key) <= self.settings.slots

    @precondition(lambda self: self.leases)
    @rule(reusable=st.booleans(), data=st.data())
    def release(self, reusable: bool, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(self.leases))
        self.leases.remove(key)
        if key in self.open and self.policy.release(key, self.now, reusable=reusable):
            self.open.discard(key)
            assert key not in self.leases

    @precondition(lambda self: self.dialling)
    @rule(good=st.booleans(), jitter=st.floats(0, 1))
    def dial_ends(self, good: bool, jitter: float) -> None:
        self.dialling -= 1
        if good:
            self.open.add(self.policy.opened(self.now, jitter))
        else:
            self.policy.dial_failed(self.now, jitter)

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def lose(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.open)))
        self.policy.lost(key, self.now, 0.5)
        assert not self.policy.has(key)
        self.open.discard(key)
        self.leases = [leased for leased in self.leases if leased != key]

    @invariant()
    def books_balance(self) -> None:
        if hasattr(self, "policy"):
            assert set(self.policy.keys()) == self.open
            assert self.policy.leased == len(self.leases)
            assert self.policy.dialling == self.dialling
            assert self.policy.open + self.policy.dialling <= self.settings.max_open
            latest = [at for at in self.dials if self.now - at < 1]
            assert len(latest) <= self.settings.call_dials_per_s


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
