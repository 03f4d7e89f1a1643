"""The shapes in which chat servers stream: what the caller gets of each."""

import itertools
import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repartee.providers.chat_stream import MAX_EVENT_BYTES, BrokenAnswer, EventStream, StreamedReply
from repartee.providers.interfaces import CalledTool, Finished, ReplyPart, TextDelta
from repartee.turn.usage import TokenUsage

WORDS = ("Good ", "morning, ", "caller.")


def delta(finish: Any = None, **fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": fields, "finish_reason": finish}]}


def texts(*words: str) -> list[dict[str, Any]]:
    return [delta(content=word) for word in words]


def lines(*documents: Any, end: str = "\n") -> bytes:
    return "".join(f"data: {json.dumps(document)}{end}{end}" for document in documents).encode()


DONE = b"data: [DONE]\n\n"
WHOLE = lines(*texts(*WORDS), delta("stop"))


def read(body: bytes, cut: Sequence[int] = (), *, counted: bool = False) -> list[ReplyPart]:
    """What comes of a body, cut into pieces at these places."""
    events, reply = EventStream(), StreamedReply(counted=counted)
    parts: list[ReplyPart] = []
    edges = [0, *sorted(place % (len(body) + 1) for place in cut), len(body)]
    for start, stop in itertools.pairwise(edges):
        for data in events.feed(body[start:stop]):
            parts += reply.take(data)
        if reply.finished and not counted:
            return parts
    for data in events.finish():
        parts += reply.take(data)
    return parts + reply.end()


def text_of(parts: Sequence[ReplyPart]) -> str:
    return "".join(part.text for part in parts if isinstance(part, TextDelta))


SHAPES = {
    "as OpenAI": WHOLE + DONE,
    "CR only": lines(*texts(*WORDS), delta("stop"), end="\r") + b"data: [DONE]\r\r",
    "CRLF": lines(*texts(*WORDS), delta("stop"), end="\r\n") + b"data: [DONE]\r\n\r\n",
    "one line's end": lines(*texts(*WORDS), delta("stop")).replace(b"\n\n", b"\n") + b"data: [DONE]\n",
    "no newline after [DONE]": WHOLE + b"data: [DONE]",
    "no space after the colon": WHOLE.replace(b"data: ", b"data:") + b"data:[DONE]\n\n",
    "no [DONE]": WHOLE,
    "no reason": lines(*texts(*WORDS)) + DONE,
    "neither": lines(*texts(*WORDS)),
    "neither, and no last newline": lines(*texts(*WORDS)).rstrip(),
    "a byte order mark": b"\xef\xbb\xbf" + WHOLE + DONE,
    "comments, pings and empty data": b": hi\n\nevent: ping\ndata: \n\nid: 3\nretry: 5\n\n" + WHOLE + DONE,
    "a reason of '' on each": lines(*[delta("", content=word) for word in WORDS], delta("stop")) + DONE,
    "a reason of 'stop' on each": lines(*[delta("stop", content=word) for word in WORDS]) + DONE,
    "a reason of 'stop' on each, and no [DONE]": lines(*[delta("stop", content=word) for word in WORDS]),
    "an unknown reason on each": lines(*[delta("0", content=word) for word in WORDS], delta("stop")) + DONE,
    "an unknown reason before all": lines(delta("null"), *texts(*WORDS), delta("stop")) + DONE,
    "text past the end": WHOLE + lines(*texts("And ", "more.")) + DONE,
    "parts": lines(*[delta(content=[{"type": "text", "text": word}]) for word in WORDS], delta("stop"))
    + DONE,
    "bare texts as parts": lines(*[delta(content=[word]) for word in WORDS], delta("stop")) + DONE,
    "a usage chunk without choices": lines({"choices": None, "usage": {}}, {"choices": []}) + WHOLE + DONE,
    "a last delta of null": lines(*texts(*WORDS), {"choices": [{"delta": None, "finish_reason": "stop"}]}),
    "an unknown event": lines(
        {"type": "heartbeat"}, [1, 2], "hello", None, {"choices": 7}, {"choices": [None]}
    )
    + WHOLE,
    "an error of null": lines(*[each | {"error": None} for each in texts(*WORDS)], delta("stop")),
    "legacy text": lines(*[{"choices": [{"text": word}]} for word in WORDS]) + DONE,
    "numbers where texts were": lines(delta(content=3), delta(reasoning_content=5), delta(7)) + WHOLE + DONE,
    "one JSON document": json.dumps(
        {"choices": [{"message": {"role": "assistant", "content": "".join(WORDS)}, "finish_reason": "stop"}]}
    ).encode(),
    "a document over lines": json.dumps(
        {"choices": [{"message": {"content": "".join(WORDS)}, "finish_reason": "stop"}]}, indent=2
    ).encode(),
    "an event over lines": b'data: {"choices":\ndata: [{"delta": {"content": "Good morning, caller."}}]}\n\n',
}


@pytest.mark.parametrize("shape", SHAPES)
@given(cut=st.lists(st.integers(0, 2000), max_size=6))
def test_the_answer_is_whole(shape: str, cut: list[int]) -> None:
    parts = read(SHAPES[shape], cut)
    assert text_of(parts) == "".join(WORDS)
    assert [part for part in parts if isinstance(part, Finished)] == [Finished("stop")] == parts[-1:]


def test_the_end_is_told_before_the_last_newline() -> None:
    events, reply = EventStream(), StreamedReply()
    parts = [
        part for data in events.feed(lines(*texts(*WORDS)) + b"data: [DONE]") for part in reply.take(data)
    ]
    assert parts[-1] == Finished("stop")


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (json.dumps({"error": {"message": "overloaded", "code": 503}}).encode(), "overloaded"),
        (json.dumps({"error": "model not found"}).encode(), "model not found"),
        (lines({"error": {"type": "server_error"}}), "server_error"),
        (lines(*texts("Good ")) + lines({"error": {"message": "broke"}}), "broke"),
        (b"", "before it had begun"),
        (b": ping\n\n", "before it had begun"),
        (DONE[:8], "cannot be read"),
        (b"data: {oops\n\n", "cannot be read"),
        (b"<html>Bad gateway</html>", "before it had begun"),
        (b'data: {"x":' + b"[" * 8000 + b"]" * 8000 + b"}\n\n", "64 levels"),
        (b'data: {"choices": [', "cannot be read"),
    ],
)
def test_a_200_that_is_no_answer_is_a_failure_with_its_reason(body: bytes, says: str) -> None:
    with pytest.raises(BrokenAnswer, match=says):
        read(body)


@pytest.mark.parametrize(
    "body", [b"data: " + b"x" * (MAX_EVENT_BYTES + 1), b"{" + b" " * (MAX_EVENT_BYTES + 1)]
)
def test_an_event_without_end_is_bounded(body: bytes) -> None:
    with pytest.raises(BrokenAnswer, match="endless"):
        read(body)


def call(**fields: Any) -> dict[str, Any]:
    return delta(tool_calls=[{"type": "function", **fields}])


ROME = CalledTool("a", "lookup", '{"city":"Rome"}')


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ([call(id="a", index=0, function={"name": "lookup", "arguments": {"city": "Rome"}})], ROME),
        (
            [
                call(id="a", index=0, function={"name": "lookup", "arguments": ""}),
                call(id="", index=0, function={"name": "", "arguments": '{"city":'}),
                call(id="", index=0, function={"name": "", "arguments": '"Rome"}'}),
            ],
            ROME,
        ),
        ([call(id=7, index=0, function={"name": "lookup", "arguments": '{"city":"Rome"}'})], "7"),
        ([call(id="a", index="0", function={"name": "lookup", "arguments": '{"city":"Rome"}'})], ROME),
        ([call(id="a", function={"name": "lookup", "arguments": None})], CalledTool("a", "lookup", "{}")),
        ([delta(function_call={"name": "lookup", "arguments": '{"city":"Rome"}'})], "call_0"),
        ([call(id="a", index=0, function=None), call(id="a", index=0, function={"name": "lookup"})], "a"),
        ([delta(tool_calls=[None, 3, {"id": "a", "function": {"name": "lookup"}}])], "a"),
    ],
)
def test_tool_calls(pieces: list[dict[str, Any]], expected: CalledTool | str) -> None:
    parts = read(lines(*pieces, delta("tool_calls")) + DONE)
    (called,) = [part for part in parts if isinstance(part, CalledTool)]
    if isinstance(expected, str):
        assert (called.call_id, called.name) == (expected, "lookup")
    else:
        assert called == expected
    assert parts[-1] == Finished("tool_calls")


FIELDS = [
    "choices",
    "delta",
    "content",
    "tool_calls",
    "function",
    "name",
    "arguments",
    "id",
    "index",
    "finish_reason",
    "message",
    "refusal",
    "text",
]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(FIELDS),
                inner,
            )
        ),
        max_leaves=20,
    )
)
def test_whatever_a_document_holds_costs_no_answer(document: Any) -> None:
    try:
        parts = read(lines({"choices": document}, *texts(*WORDS), delta("stop")) + DONE)
    except BrokenAnswer:
        raise AssertionError("an odd document broke the answer") from None
    assert isinstance(parts[-1], Finished)


@given(st.binary(max_size=200), st.lists(st.integers(0, 300), max_size=5))
def test_no_bytes_hang_or_raise_anything_else(noise: bytes, cut: list[int]) -> None:
    try:
        parts = read(noise + b"\n\n" + WHOLE + DONE, cut)
    except BrokenAnswer:
        return
    assert isinstance(parts[-1], Finished)


TOLD = {"prompt_tokens": 20, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 16}}
ENDED = lines(*texts(*WORDS), delta("stop"))
COUNTED = {
    "behind the end, without choices": ENDED + lines({"choices": [], "usage": TOLD}) + DONE,
    "null with each piece, then behind the end": lines(
        *[each | {"usage": None} for each in (*texts(*WORDS), delta("stop"))], {"choices": [], "usage": TOLD}
    ),
    "with the end": lines(*texts(*WORDS), delta("stop") | {"usage": TOLD}) + DONE,
    "with every piece, growing": lines(
        *[each | {"usage": {"prompt_tokens": 20, "completion_tokens": 1}} for each in texts(*WORDS)],
        delta("stop") | {"usage": TOLD},
    ),
    "in Groq's words": lines(*texts(*WORDS), delta("stop") | {"x_groq": {"id": "r", "usage": TOLD}}) + DONE,
    "in one JSON document": json.dumps(
        {"choices": [{"message": {"content": "".join(WORDS)}, "finish_reason": "stop"}], "usage": TOLD}
    ).encode(),
    "with choices of another shape": lines(*texts(*WORDS), {"choices": 7, "usage": TOLD}) + DONE,
}


@pytest.mark.parametrize("shape", COUNTED)
@given(cut=st.lists(st.integers(0, 2000), max_size=6))
def test_what_was_used_is_told_behind_the_end_once(shape: str, cut: list[int]) -> None:
    parts = read(COUNTED[shape], cut, counted=True)
    assert parts[-1] == TokenUsage(input_tokens=20, output_tokens=4, cached_tokens=16)
    assert isinstance(parts[-2], Finished)
    assert text_of(parts) == "".join(WORDS)


@pytest.mark.parametrize(
    "late", [{"choices": [], "usage": {}}, {"usage": [1]}, {"usage": {"prompt_tokens": "many"}}, "usage", {}]
)
def test_what_is_no_figure_is_none(late: object) -> None:
    parts = read(ENDED + lines(late) + b"data: {oops\n\n", [], counted=True)
    assert parts[-1] == Finished("stop", usage_follows=True)


def test_at_done_nothing_is_awaited_any_more() -> None:
    assert read(lines(*texts(*WORDS)) + DONE, [], counted=True)[-1] == Finished("stop")
    assert read(lines(*texts(*WORDS)), [], counted=True)[-1] == Finished("stop")
