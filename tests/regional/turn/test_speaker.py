"""What the caller's loudspeaker has played, reckoned from what was sent when."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repartee.turn.speaker import Speaker


def test_audio_plays_from_when_it_is_sent() -> None:
    speaker = Speaker()
    assert speaker.ends_at == 0
    assert speaker.play(1, 500, 10.0) == 10.0
    assert speaker.ends_at == 10.5
    assert speaker.heard_ms(1, 9.0) == 0
    assert speaker.heard_ms(1, 10.2) == pytest.approx(200)
    assert speaker.heard_ms(1, 99.0) == 500
    assert speaker.heard_ms(2, 99.0) == 0


def test_audio_sent_ahead_waits_its_turn() -> None:
    speaker = Speaker()
    speaker.play(1, 500, 10.0)
    assert speaker.play(1, 500, 10.1) == 10.5
    assert speaker.play(2, 300, 10.2) == 11.0
    assert speaker.heard_ms(1, 11.1) == 1000
    assert speaker.heard_ms(2, 11.1) == pytest.approx(100)
    assert repr(speaker) == "<Speaker: 2 stretches, 1300 ms>"


def test_a_gap_is_not_heard() -> None:
    speaker = Speaker()
    speaker.play(1, 500, 10.0)
    assert speaker.play(1, 500, 12.0) == 12.0
    assert speaker.heard_ms(1, 11.0) == 500
    assert speaker.heard_ms(1, 12.1) == pytest.approx(600)


def test_after_a_stop_nothing_more_is_heard() -> None:
    speaker = Speaker()
    speaker.play(1, 500, 10.0)
    speaker.play(2, 500, 10.0)
    speaker.stop(10.2)
    assert speaker.heard_ms(1, 99.0) == pytest.approx(200)
    assert speaker.heard_ms(2, 99.0) == 0
    assert speaker.ends_at == pytest.approx(10.2)


def test_what_is_over_can_be_forgotten() -> None:
    speaker = Speaker()
    speaker.play(1, 500, 10.0)
    speaker.forget(10.5)
    assert speaker.heard_ms(1, 11) == 500
    speaker.forget(10.6)
    assert speaker.heard_ms(1, 11) == 0


pieces = st.lists(st.tuples(st.integers(1, 3), st.floats(0, 1000), st.floats(0, 2)), max_size=20)


@given(pieces, st.floats(0, 50))
def test_never_more_is_heard_than_was_sent_or_time_allows(
    sent: list[tuple[int, float, float]], later: float
) -> None:
    speaker = Speaker()
    now = 0.0
    lengths = dict.fromkeys((1, 2, 3), 0.0)
    for reply_id, length_ms, pause_s in sent:
        now += pause_s
        assert speaker.play(reply_id, length_ms, now) >= now
        lengths[reply_id] += length_ms
    at = now + later
    heard = {reply_id: speaker.heard_ms(reply_id, at) for reply_id in lengths}
    assert all(heard[reply_id] <= lengths[reply_id] + 1e-6 for reply_id in lengths)
    assert sum(heard.values()) <= at * 1000 + 1e-6
    if at >= speaker.ends_at:
        assert sum(heard.values()) == pytest.approx(sum(lengths.values()))
