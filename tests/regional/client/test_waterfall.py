"""How a turn looks in a terminal."""

from typing import Any

from rich.console import Console

from repartee.client.waterfall import BAR_COLUMNS, summary_view, turn_view

TURN: dict[str, Any] = {
    "question": "What are your opening hours?",
    "answer": "We open at eight thirty. On weekdays we are here until six in the evening, every day.",
    "answered": True,
    "interrupted": False,
    "voice_to_voice_ms": 400.0,
    "stages_ms": {"end_of_turn": 100.0, "llm": 250.0, "tts": 50.0},
    "filler_ms": None,
    "prefetch": None,
}


def drawn(view: Any, *, width: int = 80) -> list[str]:
    console = Console(width=width, color_system=None)
    with console.capture() as capture:
        console.print(view)
    return capture.get().splitlines()


def bar(line: str) -> tuple[int, int]:
    """Where a plain bar begins and ends."""
    return line.index("#"), line.rindex("#") + 1


def test_each_stage_begins_where_the_one_before_ended() -> None:
    lines = drawn(turn_view(TURN, 1, plain=True))
    bars = [bar(line) for line in lines if "#" in line]
    assert len(bars) == 3
    assert [begin for begin, _ in bars[1:]] == [end for _, end in bars[:-1]]
    # 400 ms of the 500 that the columns stand for.
    assert bars[-1][1] - bars[0][0] == BAR_COLUMNS * 400 // 500
    assert all(line.index("|") == bars[0][0] + BAR_COLUMNS for line in lines if "#" in line)


def test_it_fits_80_columns_and_tells_everything() -> None:
    view = turn_view(TURN | {"interrupted": True, "filler_ms": 150.0, "prefetch": "hit"}, 2)
    lines = drawn(view)
    told = " ".join(" ".join(lines).split())
    assert max(len(line.rstrip()) for line in lines) <= 80
    for words in (
        TURN["question"],
        TURN["answer"],
        "(interrupted)",
        "400 ms",
        "filler after 150 ms",
        "prefetch hit",
    ):
        assert words in told


def test_a_slow_turn_keeps_the_budget_in_view() -> None:
    lines = drawn(
        turn_view(TURN | {"voice_to_voice_ms": 1000.0, "stages_ms": {"llm": 1000.0}}, 1, plain=True)
    )
    (line,) = [line for line in lines if "#" in line]
    assert bar(line)[1] - bar(line)[0] == BAR_COLUMNS


def test_an_unanswered_turn() -> None:
    turn = TURN | {"answered": False, "answer": "", "voice_to_voice_ms": None, "stages_ms": {}}
    assert "(no answer)" in " ".join(drawn(turn_view(turn, 1)))


def test_the_summary() -> None:
    report = {"p50_ms": 440.0, "p90_ms": 470.0, "turns": [{"filler_ms": None}, {"filler_ms": 519.2}]}
    lines = drawn(summary_view(report))
    assert "P50 440 ms   P90 470 ms" in lines[0]
    assert [line for line in lines if "Turn 2 waited for a tool" in line and "519 ms" in line]
    assert not [line for line in lines if "Turn 1" in line]
    assert "Nothing was answered" in drawn(summary_view({"p50_ms": None, "p90_ms": None, "turns": []}))[0]
