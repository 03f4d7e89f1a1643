"""The caller's audio in its order, with silence where some was lost."""

import random

import pytest
from tests.regional.transport.telephone.messages import ULAW

from repartee.transport.telephone.caller_stream import CallerStream
from repartee.transport.telephone.framing import AudioReceived
from repartee.transport.telephone.line_watch import LineWatch


def frame(number: int, *, timed: bool = True) -> AudioReceived:
    """The frame of this number, from 0; each holds its number."""
    return AudioReceived(bytes([number % 250]) * 160, number * 20 if timed else None, number + 1)


def heard(stream: CallerStream, frames: list[AudioReceived]) -> bytes:
    return b"".join(piece for one in frames for piece in stream.take(one))


@pytest.mark.parametrize("sorts", [False, True])
def test_what_comes_in_order_goes_on_at_once(sorts: bool) -> None:
    stream = CallerStream(ULAW, sorts=sorts)
    for number in range(50):
        assert stream.take(frame(number)) == [frame(number).audio]


@pytest.mark.parametrize("timed", [True, False], ids=["timestamps", "numbers"])
def test_a_jump_is_filled_with_silence_at_once(timed: bool) -> None:
    stream = CallerStream(ULAW)
    stream.take(frame(0, timed=timed))
    assert stream.take(frame(4, timed=timed)) == [b"\xff" * 480, frame(4).audio]
    assert stream.filled_ms == 60


def test_a_fifth_lost_leaves_the_length_as_it_was() -> None:
    rng = random.Random(7)
    stream = CallerStream(ULAW)
    kept = [frame(0), *(frame(n) for n in range(1, 499) if rng.random() > 0.2), frame(499)]
    assert len(heard(stream, kept)) == 500 * 160


def test_timestamps_that_waver_are_no_loss() -> None:
    stream = CallerStream(ULAW)
    for number in range(100):
        piece = AudioReceived(b"\x10" * 160, number * 20 + (number % 3) * 4)
        assert stream.take(piece) == [piece.audio]


def test_a_gap_longer_than_two_seconds_is_no_loss() -> None:
    stream = CallerStream(ULAW)
    stream.take(frame(0))
    assert stream.take(frame(200)) == [frame(200).audio]


def test_what_promises_no_order_is_sorted_by_its_number() -> None:
    rng = random.Random(3)
    stream = CallerStream(ULAW, sorts=True)
    order = list(range(300))
    for at in range(1, 298, 3):
        order[at : at + 3] = rng.sample(order[at : at + 3], 3)
    assert heard(stream, [frame(n) for n in order]) == b"".join(frame(n).audio for n in range(300))


def test_one_that_does_not_come_is_silence_after_three_others() -> None:
    stream = CallerStream(ULAW, sorts=True)
    out = [stream.take(frame(n)) for n in (0, 2, 3, 4, 5)]
    assert out[:4] == [[frame(0).audio], [], [], []]
    assert b"".join(out[4]) == b"\xff" * 160 + b"".join(frame(n).audio for n in (2, 3, 4, 5))
    assert stream.take(frame(1)) == [], "too late"


def test_words_out_of_order_are_kept_where_a_carrier_promises_order() -> None:
    stream = CallerStream(ULAW)
    out = heard(stream, [frame(n) for n in (0, 2, 1, 3)])
    assert all(frame(n).audio in out for n in range(4))


def test_a_line_without_frames_for_two_seconds_is_told_once() -> None:
    watch = LineWatch(10.0)
    watch.received(11.0)
    assert watch.look(12.99, late_mark=False) == []
    assert watch.look(13.0, late_mark=False) == ["nothing_received"]
    assert watch.look(14.0, late_mark=False) == []
    watch.received(15.0)
    assert watch.look(17.0, late_mark=True) == ["nothing_received", "nothing_played"]
