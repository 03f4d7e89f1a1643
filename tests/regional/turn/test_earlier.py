"""What was said and done before a call came here, written down and read again."""

import msgspec
import pytest

from repartee.turn.earlier import Earlier, SaidEarlier, ToolRanEarlier, items_of, packed, unpacked
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


@pytest.mark.parametrize("text", ["", "{}", "[1]", '[{"type":"said","who":"nobody","text":""}]'])
def test_what_nobody_has_written_down_is_refused(text: str) -> None:
    with pytest.raises(msgspec.DecodeError):
        unpacked(text)
