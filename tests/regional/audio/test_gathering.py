"""What goes to a recogniser at once, and what waits for company."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from repartee.audio.gathering import Gatherer, GatherSettings

HZ = 16_000
FRAME = 640
QUIET = bytes(FRAME)
LOUD = np.full(FRAME // 2, 3_000, dtype="<i2").tobytes()


def gatherer() -> Gatherer:
    return Gatherer(HZ, GatherSettings())


def sizes(gatherer: Gatherer, frame: bytes, count: int, *, in_turn: bool) -> list[int]:
    """How many frames go out at each of so many equal ones."""
    return [len(gatherer.feed(frame, in_turn=in_turn)) // FRAME for _ in range(count)]


@given(st.lists(st.tuples(st.binary(max_size=3000), st.booleans()), max_size=30))
def test_nothing_is_lost_or_held_longer_than_said(pieces: list[tuple[bytes, bool]]) -> None:
    stream, out, fed = gatherer(), [], 0
    for piece, in_turn in pieces:
        out.append(stream.feed(piece, in_turn=in_turn))
        fed += len(piece)
        assert len(out[-1]) % 2 == 0
        assert not out[-1] or len(out[-1]) >= FRAME
        assert fed - sum(map(len, out)) < 3 * FRAME + 1
    out.append(stream.flush())
    everything = b"".join(piece for piece, _ in pieces)
    assert b"".join(out) == everything[: len(everything) // 2 * 2]


def test_a_frame_that_goes_at_once_is_not_copied() -> None:
    assert gatherer().feed(LOUD, in_turn=False) is LOUD


def test_silence_in_which_nothing_can_end_goes_in_threes() -> None:
    assert sizes(gatherer(), QUIET, 6, in_turn=False) == [0, 0, 3, 0, 0, 3]


def test_the_first_sound_after_silence_goes_at_once_with_what_was_held() -> None:
    stream = gatherer()
    sizes(stream, QUIET, 5, in_turn=False)
    assert stream.feed(LOUD, in_turn=False) == QUIET + QUIET + LOUD
    assert sizes(stream, LOUD, 7, in_turn=False) == [1] * 7


def test_sound_goes_in_threes_once_it_is_known_to_be_a_turn() -> None:
    stream = gatherer()
    assert sizes(stream, LOUD, 15, in_turn=True) == [1] * 15
    assert sizes(stream, LOUD, 6, in_turn=True) == [0, 0, 3, 0, 0, 3]


def test_the_first_silence_of_a_turn_goes_at_once_and_all_of_it_frame_by_frame() -> None:
    stream = gatherer()
    sizes(stream, LOUD, 17, in_turn=True)
    assert sizes(stream, QUIET, 5, in_turn=True) == [3, 1, 1, 1, 1]


def test_pieces_that_are_short_wait_until_there_are_20_ms() -> None:
    stream = gatherer()
    assert stream.feed(LOUD[:440], in_turn=False) == b""
    assert len(stream.feed(LOUD, in_turn=False)) == 1080


@pytest.mark.parametrize(("least", "most"), [(5, 60), (40, 20), (20, 200)])
def test_lengths_that_make_no_sense_are_refused(least: float, most: float) -> None:
    with pytest.raises(ValueError, match="10 to 100 ms"):
        GatherSettings(least_ms=least, most_ms=most)
