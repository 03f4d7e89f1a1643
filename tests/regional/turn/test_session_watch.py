"""Whether a session is lost, may be replaced, and when the caller is told: decided on virtual time."""

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repartee.turn.session_watch import SessionWatch, Verdict, WatchPolicy

POLICY = WatchPolicy()


def watching() -> SessionWatch:
    """A session that has been there for a while."""
    watch = SessionWatch(POLICY, 0.0)
    watch.opened(0.0)
    watch.served(0.0)
    return watch


def verdicts(
    watch: SessionWatch, *, owed_since: float | None, until: float, begin: float = 0.0
) -> list[object]:
    """What it says, and when, looked at ten times a second; a silent session is replaced by one that is as silent."""
    said: list[object] = []
    now = begin
    while now < until and Verdict.END not in said:
        verdict = watch.look(now, owed_since)
        if verdict is not Verdict.KEEP:
            said += [round(now, 1), verdict]
        if verdict is Verdict.EXCHANGE:
            watch.lost(now)
            watch.opened(now)
            owed_since = now
        now = round(now + 0.1, 1)
    return said


def test_a_silent_session_is_lost_after_5_s_and_replaced_at_most_every_30_s_and_three_times() -> None:
    said = verdicts(watching(), owed_since=100.0, begin=100.0, until=1_000.0)
    assert said == [
        *(105.0, Verdict.EXCHANGE, 106.5, Verdict.TELL),
        *(135.0, Verdict.EXCHANGE, 140.0, Verdict.TELL),
        *(165.0, Verdict.EXCHANGE, 170.0, Verdict.END),
    ]


def test_who_was_told_is_not_left_in_silence_until_they_are_heard_or_the_call_ends() -> None:
    watch, owed_since = watching(), 100.0
    spoken_to: list[float] = []
    now = 100.0
    while now < 1_000.0 and (verdict := watch.look(now, owed_since)) is not Verdict.END:
        if verdict is Verdict.TELL or (verdict is Verdict.KEEP and watch.takes_company(now, owed_since)):
            spoken_to.append(round(now, 1))
        if verdict is Verdict.EXCHANGE:
            watch.lost(now)
            watch.opened(now)
            owed_since = now
        now = round(now + 0.1, 1)
    assert spoken_to[:4] == [106.5, 114.5, 122.5, 130.5]
    assert now == 170.0
    assert max(later - earlier for earlier, later in itertools.pairwise([*spoken_to, now])) < 8.2


def test_who_is_heard_again_or_to_whom_nothing_is_owed_needs_no_company() -> None:
    watch = watching()
    assert watch.look(105.0, 100.0) is Verdict.EXCHANGE
    watch.lost(105.0)
    watch.opened(105.0)
    assert watch.look(110.0, 105.0) is Verdict.TELL
    assert not watch.takes_company(120.0, None)
    assert watch.takes_company(120.0, 105.0)
    watch.progressed()
    assert not watch.takes_company(140.0, 105.0)


def test_who_spoke_to_a_session_in_vain_is_told_though_the_next_owes_nothing_and_else_is_not() -> None:
    for in_vain, told in ((True, [106.5]), (False, [])):
        watch = watching()
        assert watch.look(105.0, 100.0) is Verdict.EXCHANGE
        watch.lost(105.0)
        watch.opened(105.0)
        looks = [105 + tenths / 10 for tenths in range(300)]
        assert [now for now in looks if watch.look(now, None, in_vain=in_vain) is Verdict.TELL] == told


def test_a_session_that_owes_nothing_may_be_silent_for_ever() -> None:
    assert verdicts(watching(), owed_since=None, until=4_000.0) == []


def test_a_session_that_has_served_again_has_all_its_exchanges() -> None:
    watch = watching()
    for start in (100.0, 200.0, 300.0, 400.0, 500.0):
        assert watch.look(start + 5, start) is Verdict.EXCHANGE
        watch.lost(start + 5)
        watch.opened(start + 5)
        watch.served(start + 6)


def test_what_a_session_owes_counts_from_its_own_beginning() -> None:
    watch = SessionWatch(POLICY, 0.0)
    watch.opened(50.0)
    assert watch.look(54.9, 1.0) is Verdict.KEEP
    assert watch.look(55.0, 1.0) is Verdict.EXCHANGE


def test_without_a_session_the_caller_is_told_once_and_the_call_ends() -> None:
    watch = watching()
    watch.lost(100.0)
    said = verdicts(watch, owed_since=None, begin=100.0, until=200.0)
    assert said == [106.5, Verdict.TELL, 111.0, Verdict.END]


def test_a_caller_told_twice_hears_no_third_notice_and_the_call_ends_when_it_would_be_due() -> None:
    watch = SessionWatch(POLICY, 0.0)
    said = verdicts(watch, owed_since=None, until=7.0)
    watch.opened(7.0)
    said += verdicts(watch, owed_since=7.0, begin=7.0, until=200.0)
    assert said == [
        *(6.5, Verdict.TELL),
        *(12.0, Verdict.EXCHANGE, 17.0, Verdict.TELL),
        *(42.0, Verdict.EXCHANGE, 47.0, Verdict.END),
    ]


def test_a_session_that_has_served_restores_the_notices() -> None:
    watch = watching()
    for start in (100.0, 200.0, 300.0, 400.0):
        assert watch.look(start + 5, start) is Verdict.EXCHANGE
        watch.lost(start + 5)
        watch.opened(start + 5)
        assert watch.look(start + 10, start + 5) is Verdict.TELL
        watch.served(start + 11)


def test_without_a_session_the_last_attempt_is_awaited_however_often_the_caller_was_told() -> None:
    watch = SessionWatch(replace(POLICY, notices=0), 0.0)
    assert verdicts(watch, owed_since=None, until=100.0) == [11.0, Verdict.END]


def test_the_last_attempt_is_made_after_10_s() -> None:
    watch = watching()
    watch.lost(100.0)
    watch.failed(110.4)
    assert watch.look(110.4, None) is Verdict.TELL
    watch.failed(110.5)
    assert watch.look(110.5, None) is Verdict.END


def test_attempts_back_off_and_the_first_two_are_made_at_once() -> None:
    watch = watching()
    watch.lost(100.0)
    waits = []
    for _ in range(2_000):
        waits.append(watch.retry_in_s)
        watch.failed(100.0)
    assert waits[:5] == [0.0, 0.0, 0.2, 0.4, 0.5]
    assert waits[-1] == 0.5


def test_sessions_that_die_young_do_not_begin_the_wait_anew() -> None:
    watch = watching()
    now = 100.0
    watch.lost(now)
    while (verdict := watch.look(now, None)) is not Verdict.END and now < 200:
        watch.opened(now)
        watch.lost(now + 0.1)
        now += 0.1 + watch.retry_in_s
    assert verdict is Verdict.END
    assert now <= 112


@pytest.mark.parametrize("wrong", [{"silent_s": 0.0}, {"exchanges": -1}, {"notices": -1}, {"away_s": -1.0}])
def test_a_policy_that_cannot_work_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must"):
        WatchPolicy(**wrong)  # type: ignore[arg-type]


@given(st.lists(st.sampled_from(["opened", "lost", "failed", "served", "look", "owed"]), max_size=200))
def test_whatever_happens_exchanges_lie_30_s_apart_and_nobody_is_told_a_third_time(
    happens: list[str],
) -> None:
    watch, now, exchanged, told = SessionWatch(POLICY, 0.0), 0.0, [-100.0], 0
    for what in happens:
        now += 1.7
        if what in ("look", "owed"):
            verdict = watch.look(now, now - 6 if what == "owed" else None)
            told += verdict is Verdict.TELL
            assert told <= 2
            if verdict is Verdict.EXCHANGE:
                assert now - exchanged[-1] >= 30
                exchanged.append(now)
                watch.lost(now)
        else:
            told = 0 if what == "served" else told
            getattr(watch, what)(now)
