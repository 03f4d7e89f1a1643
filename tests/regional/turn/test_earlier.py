"""What was said and done before a call came here, written down and read again."""

import datetime
from typing import Any

import msgspec
import pytest

from repartee.turn.earlier import (
    Earlier,
    SaidEarlier,
    StateEarlier,
    ToolRanEarlier,
    items_of,
    keepable,
    noted_in,
    packed,
    unpacked,
)
from repartee.turn.history import History

SAID: list[Earlier] = [
    SaidEarlier("agent", "Good day.", 1.0),
    SaidEarlier("caller", "What is my balance?", 2.0),
    ToolRanEarlier("balance", '{"account":"7"}', '{"amount":40}'),
    SaidEarlier("agent", "It is forty, and", 3.0, interrupted=True),
]


def test_what_was_written_down_is_read_again_and_a_model_is_given_it() -> None:
    assert list(unpacked(packed(SAID, 10_000))) == SAID
    history = History()
    for item in items_of(SAID):
        history.append(item)
    assert history.messages() == [
        {"role": "assistant", "content": "Good day."},
        {"role": "user", "content": "What is my balance?"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": "call_earlier_2",
                    "type": "function",
                    "function": {"name": "balance", "arguments": '{"account":"7"}'},
                }
            ],
        },
        {"role": "tool", "tool_call_id": "call_earlier_2", "content": '{"amount":40}'},
        {"role": "assistant", "content": "It is forty, and"},
    ]


@pytest.mark.parametrize("most_bytes", [0, 2, 60, 200, 1_000, 5_000])
def test_the_newest_are_kept_where_there_is_too_much(most_bytes: int) -> None:
    many = [SaidEarlier("caller", f"Number {n}, which is über all.", n) for n in range(50)]
    text = packed(many, most_bytes)
    assert len(text.encode()) <= max(most_bytes, 2)
    kept = list(unpacked(text))
    assert kept == many[len(many) - len(kept) :]
    assert bool(kept) == (most_bytes > 100)


class Odd:  # noqa: PLW1641
    """An author's object that compares as it likes."""

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("not with me")


ROUND: list[Any] = ["a"]
ROUND.append(ROUND)


@pytest.mark.parametrize(
    "value",
    [
        (1, 2),
        {1: "a"},
        {"a": {1}},
        datetime.date(2026, 1, 1),
        float("nan"),
        b"x",
        Odd(),
        object(),
        ROUND,
        "x" * 500,
    ],
)
def test_of_an_authors_notes_only_that_is_kept_which_is_read_again_as_it_was(value: Any) -> None:
    noted = {"before": [1, 2.5, None, True, "ä"], "it": value, "after": {"a": {"b": []}}}
    kept = keepable(noted, 400)
    assert list(kept) == ["before", "after"]
    read = unpacked(packed([*SAID, StateEarlier(kept)], 10_000))
    assert noted_in(read) == {"before": noted["before"], "after": noted["after"]}
    assert items_of(read) == items_of(SAID)
    assert list(keepable({7: "a", "b": "c"}, 400)) == ["b"]  # type: ignore[dict-item]


@pytest.mark.parametrize("text", ["", "{}", "[1]", '[{"type":"said","who":"nobody","text":""}]'])
def test_what_nobody_has_written_down_is_refused(text: str) -> None:
    with pytest.raises(msgspec.DecodeError):
        unpacked(text)
