"""The pool's decisions, on a virtual clock."""

from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from repartee.pool.policy import PoolPolicy
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
