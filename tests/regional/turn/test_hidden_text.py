"""What a model writes that is not for the caller, however its tokens cut it."""

import time

import pytest

from repartee.turn.hidden_text import HiddenText

CASES = [
    ("<think>The caller wants 5 < 6.</think>It is ten.", "It is ten."),
    ("<think>\nnever ends", ""),
    ("Half a thought</think>\nIt is ten.", "Half a thought\nIt is ten."),
    ('One moment. <tool_call>{"name": "look_up"}</tool_call>', "One moment. "),
    ("<function=look_up>{}</function>It is ten.", "It is ten."),
    ('[TOOL_CALLS][{"name": "look_up"}]', ""),
    ("5 < 6 and <b>bold</b> [1]", "5 < 6 and <b>bold</b> [1]"),
    ("It is <", "It is <"),
    ("<spell>AB, 12</spell>", "<spell>AB, 12</spell>"),
]


@pytest.mark.parametrize("unit", ["<", "[", "<think", "<think>", "</think>", "x"])
def test_a_token_of_any_length_takes_time_in_proportion(unit: str) -> None:
    def seconds(length: int) -> float:
        began = time.process_time()
        HiddenText().feed(unit * (length // len(unit)))
        return time.process_time() - began

    # In proportion it would be tenfold, for what is quadratic a hundredfold.
    assert min(seconds(300_000) for _ in range(3)) < 30 * min(seconds(30_000) for _ in range(3)) + 0.005


@pytest.mark.parametrize(("text", "shown"), CASES)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_it_is_left_out(text: str, shown: str, size: int) -> None:
    hidden = HiddenText()
    tokens = [text[at : at + size] for at in range(0, len(text), size)]
    assert "".join([*(hidden.feed(token) for token in tokens), hidden.finish()]) == shown
