"""Frames of equal length from pieces of any length."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repartee.audio.framing import Framer, Gatherer


@given(st.lists(st.binary(max_size=2000), max_size=20))
def test_nothing_is_lost_added_or_held_back_too_long(pieces: list[bytes]) -> None:
    framer = Framer(20, 16_000)
    out = []
    for piece in pieces:
        out += framer.feed(piece)
        assert framer.pending_bytes < framer.frame_bytes == 640
    assert all(len(frame) == 640 for frame in out)
    assert b"".join(out) + framer.flush() == b"".join(pieces)
    assert framer.flush() == b""


def test_a_piece_that_is_a_frame_passes_uncopied() -> None:
    piece = bytes(640)
    assert Framer(20, 16_000).feed(piece)[0] is piece


def test_a_frame_must_hold_a_sample() -> None:
    with pytest.raises(ValueError, match="holds no sample"):
        Framer(0, 16_000)


@given(st.lists(st.binary(max_size=2000), max_size=20))
def test_gathering_passes_on_all_there_is_once_it_is_enough(pieces: list[bytes]) -> None:
    gatherer = Gatherer(20, 16_000)
    out, fed = [], 0
    for piece in pieces:
        out.append(gatherer.feed(piece))
        fed += len(piece)
        assert len(out[-1]) % 2 == 0
        assert not out[-1] or len(out[-1]) >= 640
        assert fed - sum(map(len, out)) < 640 + 1
    out.append(gatherer.flush())
    everything = b"".join(pieces)
    assert b"".join(out) == everything[: len(everything) // 2 * 2]


def test_pieces_that_are_enough_pass_uncopied_and_leave_nothing_behind() -> None:
    gatherer = Gatherer(20, 16_000)
    assert gatherer.feed(bytes(440)) == b""
    assert len(gatherer.feed(bytes(640))) == 1080
    piece = bytes(640)
    assert gatherer.feed(piece) is piece
