"""A turn's words on the way: only ever added to, and all of them at its end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.regional.wire.announced_client import CALLER_IS_DONE, CALLER_SPEAKS, Client

from repartee.turn import commands as c
from repartee.turn.history import Message
from repartee.wire.transcript_deltas import TranscriptDeltas

DELTA = "conversation.item.input_audio_transcription.delta"
COMPLETED = "conversation.item.input_audio_transcription.completed"


def told(*hypotheses: str, end: str) -> list[str]:
    deltas = TranscriptDeltas()
    return [*(deltas.heard(text) for text in hypotheses), deltas.ended(end)]


@pytest.mark.parametrize(
    ("hypotheses", "end", "pieces"),
    [
        (["What", "What time", "What time is it"], "What time is it?", ["", "What", " time", " is it?"]),
        (["Wh", "What's", "What's on"], "What's on?", ["", "", "What's", " on?"]),
        (["two", "to the", "to the airport"], "to the airport", ["", "", "to the", " airport"]),
        ([], "Hello.", ["Hello."]),
        (["今日", "今日は", "今日は雨"], "今日は雨", ["", "今日", "は", "雨"]),
        ([" a b", " a b c "], "a b c", ["", "a b", " c"]),
    ],
    ids=["grows", "half a word", "rethought", "only its end", "unspaced", "padded"],
)
def test_words_are_told_once_they_are_made_out_twice(
    hypotheses: list[str], end: str, pieces: list[str]
) -> None:
    assert told(*hypotheses, end=end) == pieces


def test_what_was_told_and_rethought_is_not_told_again() -> None:
    assert told("I want to", "I want to fly", "I went to fly home", end="I went to fly home") == [
        "",
        "I want to",
        "",
        "",
    ]


WORDS = st.lists(st.sampled_from(["a", "ab", "can", "you", "hear", "me?", "Dr.", "日本", "語"]), max_size=8)


@given(st.lists(WORDS, max_size=6), WORDS)
def test_whatever_recognition_thinks_the_pieces_are_a_beginning(
    hypotheses: list[list[str]], end: list[str]
) -> None:
    text = " ".join(end)
    pieces = told(*map(" ".join, hypotheses), end=text)
    if pieces[-1] or "".join(pieces) == text:
        assert "".join(pieces) == text


def test_they_come_while_the_caller_speaks_and_before_the_whole() -> None:
    client = Client(asks=False)
    client.tell(*CALLER_SPEAKS, c.TurnHeard(1, "item_1", "What time is it now?"), CALLER_IS_DONE)
    assert client.types == [
        "input_audio_buffer.speech_started",
        DELTA,
        DELTA,
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        DELTA,
        COMPLETED,
    ]
    pieces = [event["delta"] for event in client.raw if event["type"] == DELTA]
    assert pieces == ["What time", " is", " it?"]


def test_together_they_are_the_transcript() -> None:
    client = Client(asks=False).tell(*CALLER_SPEAKS, CALLER_IS_DONE)
    pieces = [event for event in client.raw if event["type"] == DELTA]
    assert {event["item_id"] for event in pieces} == {"item_1"}
    assert "".join(event["delta"] for event in pieces) == client.one(COMPLETED)["transcript"]


def test_those_of_a_turn_that_a_provider_has_announced_are_its_own() -> None:
    client = Client(asks=False).tell(c.TurnHeard(1, "item_9", "What"), c.TurnHeard(1, "item_9", "What time"))
    assert client.types == []


def test_each_turn_begins_anew() -> None:
    client = Client(asks=False).tell(*CALLER_SPEAKS)
    client.tell(c.TurnStarted(2, "item_5"), c.TurnHeard(2, "item_5", "What"))
    client.tell(c.TurnEnded(2, "item_5", Message("item_5", "user", "What now?"), None))
    assert [event["delta"] for event in client.raw if event["type"] == DELTA][-1] == "What now?"
