"""Latency profiles: what they draw, what they refuse, and the floors they set."""

import json
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

import pytest

from repartee.standins.profiles import (
    ProfileError,
    floor_ms,
    load_profile,
    parse_profile,
    profile_names,
    sequential_floor_ms,
)


def document(**changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        (Path(__file__).parents[3] / "regional/repartee/standins/profiles/budget.json").read_text(
            encoding="utf-8"
        )
    )
    for path, value in changes.items():
        group, _, key = path.partition("__")
        found[group][key] = value
    return found


def test_four_profiles_come_along_and_those_of_published_figures() -> None:
    own = [name for name in profile_names() if not name.startswith("published-")]
    assert own == ["budget", "heavy-tail", "instant", "typical"]
    for name in profile_names():
        assert load_profile(name).description


def test_budget_answers_at_443_ms_with_a_clause_of_six_tokens() -> None:
    budget = load_profile("budget")
    assert floor_ms(budget, 6) == pytest.approx(443.33, abs=0.01)
    assert sequential_floor_ms(budget, 6) == pytest.approx(260 + 140 + 83.33 + 100, abs=0.01)


def test_floor_is_the_end_of_turn_when_the_answer_is_ready_sooner() -> None:
    fast = parse_profile(document(llm__ttft_ms=10, tts__ttfb_ms=10), "fast")
    assert floor_ms(fast, 1) == 260


def test_floor_with_nova_counts_its_endpointing_in_whole_frames_and_its_extra() -> None:
    budget = load_profile("budget")
    assert floor_ms(budget, 6, "nova") == pytest.approx(120 + 60 + 140 + 83.33 + 100, abs=0.01)
    assert floor_ms(budget, 6, "nova", endpointing_ms=210) == pytest.approx(220 + 60 + 323.33, abs=0.01)


def test_heavy_tail_is_slow_one_time_in_twenty() -> None:
    ttft = load_profile("heavy-tail").llm.ttft_ms
    drawn = [ttft.draw(Random(seed)) for seed in range(4000)]
    assert set(drawn) == {140, 2000}
    assert 0.03 < drawn.count(2000) / len(drawn) < 0.07


def test_typical_jitters_around_its_medians_within_its_bounds() -> None:
    random = Random(1)
    ttft = load_profile("typical").llm.ttft_ms
    drawn = [ttft.draw(random) for _ in range(4000)]
    assert median(drawn) == pytest.approx(ttft.middle, rel=0.05)
    assert min(drawn) >= 90
    assert max(drawn) <= 1500


def test_all_faults_are_named_at_once() -> None:
    wrong = document(stt__start_of_turn_ms=-1, llm__tokens_per_s=0, tts__speed={"normal": {"mean": 4}})
    wrong["sttt"] = {}
    del wrong["tts"]["ttfb_ms"]
    with pytest.raises(ProfileError) as caught:
        parse_profile(wrong, "mine")
    text = str(caught.value)
    for part in (
        "stt.start_of_turn_ms",
        "llm.tokens_per_s",
        "tts.speed.normal.sd",
        "sttt",
        "tts.ttfb_ms: is missing",
    ):
        assert part in text


@pytest.mark.parametrize("text", ["", "[]", "{", '{"stt": 1}'])
def test_a_file_that_is_no_profile_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mine.json"
    path.write_text(text)
    with pytest.raises(ProfileError, match="mine"):
        load_profile(str(path))


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ProfileError, match="budget, heavy-tail, instant, published-"):
        load_profile("no-such")
