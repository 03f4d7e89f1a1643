"""Marks in the order of time, and the stages between them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repartee.latency.timeline import STAGES, Stage, Timeline

stages = st.sampled_from(list(STAGES))
times = st.floats(min_value=0, max_value=1e6)


def test_what_lies_between_two_marks_belongs_to_the_second() -> None:
    timeline = Timeline(10.0)
    timeline.mark("end_of_turn", 10.25)
    timeline.mark("llm", 10.4)
    assert timeline.stages_ms() == {"end_of_turn": 250.0, "llm": 150.0}
    assert round(timeline.total_ms, 6) == 400
    assert repr(timeline) == "<Timeline {'end_of_turn': 250.0, 'llm': 150.0}>"


def test_a_stage_that_comes_again_adds_up() -> None:
    timeline = Timeline(0.0)
    marks: list[tuple[Stage, float]] = [("llm", 0.1), ("tool", 0.9), ("llm", 1.0)]
    for stage, at in marks:
        timeline.mark(stage, at)
    assert timeline.stages_ms() == {"llm": 200.0, "tool": 800.0}


def test_a_clock_read_late_takes_nothing_back() -> None:
    timeline = Timeline(1.0)
    timeline.mark("llm", 2.0)
    timeline.mark("tts", 1.5)
    assert timeline.stages_ms() == {"llm": 1000.0, "tts": 0.0}
    assert timeline.total_ms == 1000


def test_a_copy_goes_its_own_way() -> None:
    timeline = Timeline(0.0)
    timeline.mark("llm", 1.0)
    twin = timeline.copy()
    twin.mark("tts", 2.0)
    assert timeline.stages_ms() == {"llm": 1000.0}
    assert twin.stages_ms() == {"llm": 1000.0, "tts": 1000.0}


@given(times, st.lists(st.tuples(stages, times), max_size=20))
def test_stages_are_never_negative_and_sum_to_the_total(
    starts_at: float, marks: list[tuple[Stage, float]]
) -> None:
    timeline = Timeline(starts_at)
    totals = [timeline.total_ms]
    for stage, at in marks:
        timeline.mark(stage, at)
        totals.append(timeline.total_ms)
    assert totals == sorted(totals)
    assert all(ms >= 0 for ms in timeline.stages_ms().values())
    assert abs(sum(timeline.stages_ms().values()) - timeline.total_ms) < 0.01


def test_a_start_that_is_known_later_moves_the_first_stage_and_that_of_copies() -> None:
    timeline = Timeline(10.0)
    timeline.mark("end_of_turn", 10.0)
    timeline.mark("llm", 10.14)
    twin = timeline.copy()
    twin.mark("tool", 10.5)
    timeline.start_at(9.88)
    assert timeline.stages_ms() == pytest.approx({"end_of_turn": 120, "llm": 140})
    assert twin.stages_ms() == pytest.approx({"end_of_turn": 120, "llm": 140, "tool": 360})
    assert twin.total_ms == pytest.approx(620)


def test_a_start_is_never_after_the_first_mark() -> None:
    timeline = Timeline(10.0)
    timeline.mark("end_of_turn", 10.1)
    timeline.start_at(11.0)
    assert timeline.stages_ms() == {"end_of_turn": 0.0}
