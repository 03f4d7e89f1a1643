"""A call as two channels: where each side's audio stands in time."""

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from repartee.audio.stereo import JITTER_S, RATE_HZ, SETTLED_S, StereoCall


def tone(ms: int, value: int) -> bytes:
    return np.full(RATE_HZ * ms // 1000, value, "<i2").tobytes()


def channels(pcm: bytes) -> tuple[np.ndarray, np.ndarray]:
    both = np.frombuffer(pcm, "<i2").reshape(-1, 2)
    return both[:, 0], both[:, 1]


def spans(lane: np.ndarray) -> list[tuple[int, int, int]]:
    """Where it has which value, in ms: silence left out."""
    edges = [0, *(np.flatnonzero(np.diff(lane)) + 1).tolist(), len(lane)]
    pieces = itertools.pairwise(edges)
    return [
        (round(a * 1000 / RATE_HZ), round(b * 1000 / RATE_HZ), int(lane[a])) for a, b in pieces if lane[a]
    ]


def test_the_caller_is_left_where_they_spoke_and_the_agent_right_where_it_was_played() -> None:
    call = StereoCall(10.0)
    for n in range(50):
        call.heard(tone(20, 5), 10.02 + n * 0.02)
    call.sent(tone(400, 7), 10.5)
    call.sent(tone(400, 8), 10.5)  # sent at once, played after
    caller, agent = channels(call.end(12.0))
    assert spans(caller) == [(0, 1_000, 5)]
    assert spans(agent) == [(500, 900, 7), (900, 1_300, 8)]
    assert len(caller) == 2 * RATE_HZ
    assert call.seconds == 2.0


def test_what_is_cut_is_not_in_it_and_what_comes_after_is_where_it_was_played() -> None:
    call = StereoCall(0.0)
    call.sent(tone(2_000, 7), 1.0)
    call.cut(1.3)
    call.sent(tone(100, 8), 2.0)
    _, agent = channels(call.end(3.0))
    assert spans(agent) == [(1_000, 1_300, 7), (2_000, 2_100, 8)]


def test_the_end_of_a_call_cuts_what_was_not_played() -> None:
    call = StereoCall(0.0)
    call.sent(tone(2_000, 7), 0.0)
    _, agent = channels(call.end(0.5))
    assert spans(agent) == [(0, 500, 7)]


def test_what_was_sent_before_the_beginning_is_played_from_it_and_what_was_heard_before_is_not_in_it() -> (
    None
):
    call = StereoCall(5.0)
    call.sent(tone(100, 7), 4.0)
    call.heard(tone(20, 5), 4.9)
    call.heard(tone(20, 6), 5.01)
    caller, agent = channels(call.end(6.0))
    assert spans(agent) == [(0, 100, 7)]
    assert spans(caller) == [(0, 10, 6)]


def test_late_frames_follow_without_a_gap_and_a_pause_is_one() -> None:
    call = StereoCall(0.0)
    call.heard(tone(20, 5), 0.02)
    call.heard(tone(20, 5), 0.04 + JITTER_S * 0.9)
    call.heard(tone(20, 6), 2.0)
    caller, _ = channels(call.end(3.0))
    assert spans(caller) == [(0, 40, 5), (1_980, 2_000, 6)]


@given(st.lists(st.tuples(st.sampled_from("hsc"), st.floats(0, 0.7)), max_size=30))
def test_taking_it_piece_by_piece_gives_the_same_as_at_once(steps: list[tuple[str, float]]) -> None:
    whole, pieces, taken = StereoCall(0.0), StereoCall(0.0), b""
    now = 0.0
    for what, pause in steps:
        now += pause
        for call in (whole, pieces):
            match what:
                case "h":
                    call.heard(tone(20, 5), now)
                case "s":
                    call.sent(tone(300, 7), now)
                case "c":
                    call.cut(now)
        taken += pieces.take(now - SETTLED_S)
    assert taken + pieces.end(now) == whole.end(now)
