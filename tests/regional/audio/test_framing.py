"""Frames of equal length from pieces of any length."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repartee.audio.framing import Framer


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
