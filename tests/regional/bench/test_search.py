"""The search for the number of calls that a worker holds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repartee.bench.search import Search, held


def found(search: Search, limit: int) -> tuple[int, list[int]]:
    """What the search says of a worker that holds so many, and the calls it tried."""
    tried = []
    while (calls := search.next()) is not None:
        tried.append(calls)
        search.tell(calls, calls <= limit)
        assert len(tried) <= 300
    return search.holds, tried


def test_it_strides_until_it_fails_and_then_halves() -> None:
    assert found(Search(20, 20, 5), 73) == (70, [20, 40, 60, 80, 70, 75])


def test_it_begins_alone_if_told_to() -> None:
    assert found(Search(1, 4, 1), 6) == (6, [1, 4, 8, 6, 7])


def test_a_worker_that_does_not_hold_the_first_step_is_found_out_below_it() -> None:
    assert found(Search(20, 20, 1), 3) == (3, [20, 10, 5, 2, 3, 4])


def test_a_worker_that_holds_nothing() -> None:
    assert found(Search(1, 4, 1), 0) == (0, [1])


def test_more_than_the_most_is_not_tried() -> None:
    search = Search(20, 20, 5, most=50)
    assert found(search, 1000) == (50, [20, 40, 50])
    assert search.fails is None


@given(st.integers(0, 300), st.integers(1, 40), st.integers(1, 40), st.integers(1, 20), st.integers(40, 250))
def test_what_it_finds_is_held_and_close_to_the_limit(
    limit: int, start: int, stride: int, resolution: int, most: int
) -> None:
    holds, _ = found(Search(start, stride, resolution, most), limit)
    assert min(limit, most) - resolution < holds <= min(limit, most)


@pytest.mark.parametrize("wrong", [{"start": 0}, {"stride": 0}, {"resolution": 0}, {"start": 30, "most": 20}])
def test_a_search_that_cannot_end_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="1 or more"):
        Search(**wrong)


GOOD = {"v2v_ms": {"p90": 480.0}, "unanswered": 0, "early": 0, "faults": []}


@pytest.mark.parametrize(
    "but", [{"unanswered": 1}, {"early": 1}, {"faults": ["gone"]}, {"v2v_ms": {"p90": 500.0}}]
)
def test_a_step_is_held_only_with_everything_in_order(but: dict[str, object]) -> None:
    assert held(GOOD)
    assert not held(GOOD | but)


def test_a_step_without_answers_is_not_held() -> None:
    assert not held(GOOD | {"v2v_ms": {"p90": None}})
