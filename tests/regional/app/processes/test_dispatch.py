"""Which process gets a connection, and when one is started again: decided on made-up figures and times."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from repartee.app.processes.dispatch import (
    COLD_HANDICAP,
    MOST_WAITING,
    Candidate,
    RestartPolicy,
    RestartSettings,
    preferred,
)
from repartee.app.processes.shared_table import Row

WELL = Row(started=True, ready=True)


def candidate(index: int, row: Row = WELL, *, sent: int = 0, turn: int = 0) -> Candidate:
    return Candidate(index, row, sent, turn)


def test_the_least_busy_comes_first_and_equals_take_turns() -> None:
    busy = candidate(0, replace(WELL, taken=3))
    idle, idler_for_longer = candidate(1, turn=8), candidate(2, turn=7)
    assert preferred([busy, idle, idler_for_longer]) == [2, 1, 0]


def test_what_is_on_its_way_counts_like_a_call() -> None:
    given_two = candidate(0, sent=2)
    picked_up_one = candidate(1, replace(WELL, received=1, unsettled=1), sent=1)
    assert preferred([given_two, picked_up_one]) == [1, 0]
    one_call = candidate(2, replace(WELL, received=9, taken=1), sent=9)
    assert preferred([given_two, one_call]) == [2, 0]


def test_a_process_that_takes_none_gets_none() -> None:
    starting = candidate(0, Row())
    stuck = candidate(1, sent=MOST_WAITING)
    assert preferred([starting, stuck]) == []
    assert preferred([starting, stuck, candidate(2, replace(WELL, taken=99))]) == [2]


def test_a_cold_one_waits_until_the_others_are_much_busier() -> None:
    cold = candidate(0, Row(started=True))
    assert preferred([cold, candidate(1, replace(WELL, taken=COLD_HANDICAP - 1))]) == [1, 0]
    assert preferred([cold, candidate(1, replace(WELL, taken=COLD_HANDICAP + 1))]) == [0, 1]


def test_one_that_drains_is_the_last_resort() -> None:
    leaving = candidate(0, replace(WELL, draining=True))
    assert preferred([leaving, candidate(1, replace(WELL, taken=50))]) == [1, 0]
    assert preferred([leaving]) == [0]


@given(st.lists(st.integers(0, 20), min_size=2, max_size=8), st.integers(1, 60))
def test_a_rush_evens_out_what_there_is(calls: list[int], rush: int) -> None:
    taken, turns = list(calls), [0] * len(calls)
    for turn in range(1, rush + 1):
        rows = [replace(WELL, taken=count) for count in taken]
        chosen = preferred([candidate(n, row, turn=turns[n]) for n, row in enumerate(rows)])[0]
        taken[chosen] += 1
        turns[chosen] = turn
        assert taken[chosen] <= min(taken) + 1


def test_pauses_grow_until_a_process_has_lived_long_enough() -> None:
    policy = RestartPolicy(RestartSettings(first_s=1, longest_s=4, well_after_s=60))
    assert [policy.pause_s(lived_s=1) for _ in range(4)] == [1, 2, 4, 4]
    assert policy.pause_s(lived_s=60) == 1
    assert policy.pause_s(lived_s=59) == 2
