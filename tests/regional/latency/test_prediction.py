"""What turns will take, from what the stages took."""

import pytest

from repartee.latency.prediction import (
    OWN_MS,
    StageTimes,
    gains_ms,
    percentiles_of,
    stages_ms,
    to_change,
    voice_to_voice,
)


def times(
    *, eager: float = 120, end: float = 260, token: float = 140, piece: float = 223.3, sound: float = 100
) -> StageTimes:
    return StageTimes([(eager, end)] * 10, [token] * 10, [piece] * 10, [sound] * 10)


def test_the_profile_budgets_floor_and_the_workers_share() -> None:
    assert voice_to_voice(times())["p50"] == round(443.3 + OWN_MS, 1)


def test_an_answer_that_is_ready_waits_for_the_end_of_the_turn() -> None:
    assert voice_to_voice(times(end=900))["p90"] == 900 + OWN_MS


def test_stages_are_put_beside_each_other() -> None:
    """One in ten slow in two stages: one in a hundred turns has both."""
    slow = StageTimes([(0, 0)], [0] * 10, [100] * 9 + [1000], [100] * 9 + [1000])
    turns = voice_to_voice(slow)
    assert turns["p50"] == 200 + OWN_MS
    assert turns["p90"] == 1100 + OWN_MS
    assert turns["p99"] > 1100 + OWN_MS


def test_many_measurements_keep_their_percentiles() -> None:
    many = [float(ms) for ms in range(1000)]
    turns = voice_to_voice(StageTimes([(0, 0)], many, many, [0]))
    assert turns["p90"] == pytest.approx(899 + OWN_MS, abs=2)


def test_each_stages_own() -> None:
    assert stages_ms(times()) == {
        "eager_end_of_turn": percentiles_of([120]),
        "end_of_turn": percentiles_of([260]),
        "llm": percentiles_of([140]),
        "chunk": percentiles_of([83.3]),
        "tts": percentiles_of([100]),
    }


@pytest.mark.parametrize(
    ("changes", "stage"),
    [
        ({}, None),
        ({"token": 671, "piece": 754}, "llm"),
        ({"sound": 700}, "tts"),
        ({"eager": 900, "end": 1100}, "stt"),
        ({"token": 300, "piece": 383, "sound": 600}, "tts"),
    ],
)
def test_what_to_change_is_what_costs_most(changes: dict[str, float], stage: str | None) -> None:
    assert to_change(times(**changes)) == stage


def test_the_gain_is_that_of_the_budgets_own_figure() -> None:
    assert gains_ms(times(token=671, piece=754.3))["llm"] == 531.0
