"""Streams as no carrier should send them: whatever comes, a call goes on or is refused, and no other is touched."""

import json
import random
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.regional.transport.telephone.messages import DOCUMENTED, PIECE, ULAW

from repartee.transport.telephone import framing as f
from repartee.transport.telephone.caller_stream import LATE_IN_A_ROW, CallerStream
from repartee.transport.telephone.carriers import FRAMINGS
from repartee.transport.telephone.pacer import StreamPacer

CARRIERS = pytest.mark.parametrize("carrier", sorted(FRAMINGS))
ODD: list[Any] = [
    None,
    True,
    -1,
    1e308,
    2**80,
    "9" * 400,
    "NaN",
    "",
    "\0",
    [],
    {},
    [[1]],
    {"a": {}},
    "\ud800",
]
STREAM_EVENTS = (f.StreamStarted, f.AudioReceived, f.DigitReceived, f.MarkPlayed, f.StreamEnded, type(None))


def bent(message: Any, rng: random.Random) -> Any:
    """The message with something in it exchanged."""
    if isinstance(message, dict) and message and rng.random() < 0.8:
        name = rng.choice(list(message))
        return {**message, name: bent(message[name], rng)}
    return rng.choice(ODD)


@CARRIERS
@pytest.mark.parametrize("seed", range(40))
def test_a_message_that_is_bent_anywhere_is_read_or_refused_and_the_next_is_read_as_ever(
    carrier: str, seed: int
) -> None:
    rng, documented, framing = random.Random(f"{carrier}{seed}"), DOCUMENTED[carrier], FRAMINGS[carrier]()
    framing.parse(documented.start)
    stream = CallerStream(documented.format, sorts=framing.sorts)
    texts = [
        text
        for text in (documented.start, documented.media, documented.dtmf, documented.mark)
        if isinstance(text, str)
    ]
    for _ in range(60):
        message = json.dumps(bent(json.loads(rng.choice(texts)), rng))
        try:
            said = framing.parse(message)
        except f.BadFrame:
            continue
        assert isinstance(said, STREAM_EVENTS)
        if isinstance(said, f.AudioReceived):
            assert all(isinstance(audio, bytes) for audio in stream.take(said))
    assert framing.parse(documented.media) == f.AudioReceived(PIECE, *documented.place)
    assert json_of(framing.clear()) == documented.clears


@CARRIERS
@given(st.one_of(st.text(max_size=200), st.binary(max_size=200)))
def test_any_bytes_are_read_or_refused(carrier: str, message: str | bytes) -> None:
    framing = FRAMINGS[carrier]()
    with suppress(f.BadFrame):
        assert isinstance(framing.parse(message), STREAM_EVENTS)


@CARRIERS
def test_a_second_start_changes_nothing_of_what_the_stream_is_sent(carrier: str) -> None:
    documented, framing = DOCUMENTED[carrier], FRAMINGS[carrier]()
    framing.parse(documented.start)
    before = [framing.audio(PIECE), framing.mark("0.1"), framing.clear()]
    other = documented.start
    for old, new in (("8000", "16000"), (documented.stream_id or "none", "another")):
        other = other.replace(old, new)
    framing.parse(other)
    assert [framing.audio(PIECE), framing.mark("0.1"), framing.clear()] == before


def test_a_carrier_that_counts_anew_is_heard_again_after_a_second() -> None:
    stream = CallerStream(ULAW, sorts=True)
    for number in range(100):
        assert stream.take(f.AudioReceived(PIECE, None, 5_000 + number)) == [PIECE]
    heard = [stream.take(f.AudioReceived(PIECE, None, number)) for number in range(1, 101)]
    assert heard[: LATE_IN_A_ROW - 1] == [[]] * (LATE_IN_A_ROW - 1)
    assert heard[LATE_IN_A_ROW - 1 :] == [[PIECE]] * (101 - LATE_IN_A_ROW)


def test_marks_that_come_back_out_of_order_twice_or_unknown_say_no_more_than_was_played() -> None:
    pacer, now = StreamPacer(ULAW), 0.0
    pacer.put("a", b"\x10" * 8_000)
    pacer.end("a")
    names: list[str] = []
    while pacer.wake_at() is not None:
        names += [due.name for due in pacer.due(now) if not hasattr(due, "audio")]
        now = max(now + 0.001, pacer.wake_at() or now)
    names += [due.name for due in pacer.due(now) if not hasattr(due, "audio")]
    third = pacer.returned(names[2])
    assert third is not None and third.ms == 300
    for stale in (names[0], names[2], names[1], "nobody's", ""):
        assert pacer.returned(stale) is None
    last = pacer.returned(names[-1])
    assert last is not None and last.ms == 1_000 and pacer.idle


def json_of(message: str | bytes) -> Any:
    return json.loads(message)
