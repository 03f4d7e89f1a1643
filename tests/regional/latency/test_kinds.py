"""What each kind of turn may take."""

import pytest

from repartee.latency.kinds import added_ms, first_sound_ms, kind_of, over_budget


@pytest.mark.parametrize(
    ("stages", "prefetch", "kind"),
    [
        ({"llm": 100.0}, None, "plain"),
        ({"llm": 100.0}, "miss", "plain"),
        ({"llm": 100.0}, "hit", "hit"),
        ({"llm": 100.0, "tool": 0.0}, "hit", "tool"),
        ({"llm": 100.0, "tool": 900.0}, None, "tool"),
    ],
)
def test_the_kind(stages: dict[str, float], prefetch: str | None, kind: str) -> None:
    assert kind_of(stages, prefetch) == kind


@pytest.mark.parametrize("kind", ["plain", "hit"])
def test_plain_turns_and_hits_are_held_to_500_ms(kind: str) -> None:
    assert not over_budget(kind, 500.0, {}, None)  # type: ignore[arg-type]
    assert over_budget(kind, 500.1, {}, None)  # type: ignore[arg-type]


def test_a_tools_turn_is_held_to_its_first_sound() -> None:
    stages = {"llm": 500.0, "tool": 2_000.0}
    assert not over_budget("tool", 2_500.0, stages, 450.0)
    assert over_budget("tool", 2_500.0, stages, 501.0)
    assert over_budget("tool", 2_500.0, stages, None), "nothing was heard in 2.5 s"
    assert first_sound_ms(2_500.0, 450.0) == 450.0


def test_and_to_what_it_adds_beyond_the_tool() -> None:
    assert added_ms(2_900.0, {"tool": 2_000.0}) == 900.0
    assert not over_budget("tool", 2_900.0, {"tool": 2_000.0}, 400.0)
    assert over_budget("tool", 3_100.0, {"tool": 2_000.0}, 400.0)


def test_an_apology_has_no_budget() -> None:
    assert not over_budget("apology", 10_000.0, {}, None)
