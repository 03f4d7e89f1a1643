"""Tool calls as the servers stream them: each piece is (index, id, name, arguments)."""

import time
from typing import Any

import pytest

from repartee.providers.interfaces import CalledTool
from repartee.providers.tool_call_pieces import MAX_CALLS, MAX_CHARS, ToolCallPieces

Piece = tuple[int | None, str | None, str | None, Any]

PARIS, LONDON = '{"city": "Paris"}', '{"city": "London"}'

STREAMS: dict[str, list[Piece]] = {
    "OpenAI": [
        (0, "a", "weather", ""),
        (0, None, None, '{"city": '),
        (0, None, None, '"Paris"}'),
        (1, "b", "weather", ""),
        (1, None, None, LONDON),
    ],
    "Gemini: index 0 for all, whole at once": [(0, "a", "weather", PARIS), (0, "b", "weather", LONDON)],
    "Gemini: and no ids": [(0, None, "weather", PARIS), (0, None, "weather", LONDON)],
    "Ollama: no index": [(None, "a", "weather", PARIS), (None, "b", "weather", LONDON)],
    "Ollama: an object": [(0, "a", "weather", {"city": "Paris"}), (1, "b", "weather", {"city": "London"})],
    "vLLM: the name first, then pieces, ids repeated": [
        (0, "a", "weather", None),
        (0, "a", None, '{"city": '),
        (0, "a", None, '"Paris"}'),
        (1, "b", "weather", None),
        (1, "b", None, LONDON),
    ],
    "Groq: whole at once": [(0, "a", "weather", PARIS), (1, "b", "weather", LONDON)],
    "Mistral: whole at once, in one number": [(0, "a", "weather", PARIS), (0, "b", "weather", LONDON)],
    "pieces without an index": [
        (None, "a", "weather", '{"city": '),
        (None, None, None, '"Paris"}'),
        (None, "b", "weather", '{"city": '),
        (None, None, None, '"London"}'),
    ],
}


@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS)
def test_both_calls_are_whole(stream: list[Piece]) -> None:
    pieces = ToolCallPieces()
    for index, call_id, name, arguments in stream:
        pieces.take(index, call_id, name, arguments, None)
    calls = [call for call in pieces.complete() if isinstance(call, CalledTool)]
    assert [(call.name, call.arguments.replace(" ", "")) for call in calls] == [
        ("weather", PARIS.replace(" ", "")),
        ("weather", LONDON.replace(" ", "")),
    ]
    assert len({call.call_id for call in calls}) == 2


def test_arguments_in_very_many_pieces_take_time_in_proportion() -> None:
    def seconds(number: int) -> float:
        pieces = ToolCallPieces()
        pieces.take(0, "a", "weather", "", None)
        began = time.process_time()
        for _ in range(number):
            pieces.take(0, None, None, "0123456789", None)
        return time.process_time() - began

    assert min(seconds(100_000) for _ in range(3)) < 30 * min(seconds(10_000) for _ in range(3)) + 0.005


def test_neither_calls_nor_arguments_nor_thoughts_are_without_end() -> None:
    pieces = ToolCallPieces()
    for number in range(3 * MAX_CALLS):
        pieces.take(None, f"call_{number}", "weather", PARIS, None)
    assert len(pieces.complete()) == MAX_CALLS == 128
    pieces = ToolCallPieces()
    for _ in range(30):
        pieces.think("t" * 100_000)
        pieces.take(0, "a", "weather", "a" * 100_000, None)
    (call,) = pieces.complete()
    assert isinstance(call, CalledTool)
    assert len(call.arguments) == len(call.reasoning or "") == MAX_CHARS == 1_000_000


def test_what_must_come_back_is_kept() -> None:
    pieces = ToolCallPieces()
    pieces.think("The caller ")
    pieces.think("asks.")
    signature = {"extra_content": {"google": {"thought_signature": "x"}}}
    pieces.take(0, "a", "weather", PARIS, signature)
    (call,) = pieces.complete()
    assert call == CalledTool("a", "weather", PARIS, signature, "The caller asks.")
