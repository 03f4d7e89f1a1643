"""When the end of speech is looked for, and which answer a turn's end takes."""

from collections.abc import Callable

import numpy as np
import pytest
from tests.regional.audio.test_end_search import QUESTIONS, question, spoken

from repartee.audio.pcm import bytes_for_ms, duration_ms
from repartee.bench.conditions import to_pcm
from repartee.bench.recordings import RATE_HZ
from repartee.session.end_timing import EndLooks, EndTiming
from repartee.turn.events import EagerEndOfTurn, EndOfTurn, PartialTranscript, TurnResumed


class Later:
    """A clock that runs what is due when told."""

    def __init__(self) -> None:
        self.now = 0.0
        self.due: list[tuple[float, Callable[[], None]]] = []

    def call_later(self, seconds: float, call: Callable[[], None]) -> "Handle":
        entry = (self.now + seconds, call)
        self.due.append(entry)
        return Handle(self, entry)

    def advance(self, seconds: float) -> None:
        self.now += seconds
        for entry in [entry for entry in self.due if entry[0] <= self.now]:
            self.due.remove(entry)
            entry[1]()


class Handle:
    def __init__(self, later: Later, entry: tuple[float, Callable[[], None]]) -> None:
        self._later, self._entry = later, entry

    def cancel(self) -> None:
        if self._entry in self._later.due:
            self._later.due.remove(self._entry)


def feed(timing: EndTiming, later: Later, audio: bytes) -> None:
    size = bytes_for_ms(20, RATE_HZ)
    for at in range(0, len(audio), size):
        later.advance(0.02)
        timing.feed(audio[at : at + size], later.now)


def quiet_question(after_ms: float) -> bytes:
    return to_pcm(spoken(QUESTIONS[0])) + bytes(bytes_for_ms(after_ms, RATE_HZ))


def test_a_turns_end_says_when_its_speech_ended() -> None:
    later = Later()
    timing = EndTiming(RATE_HZ, later.call_later)
    feed(timing, later, quiet_question(200))
    ended = timing.timed(EndOfTurn("hello"))
    assert isinstance(ended, EndOfTurn)
    assert ended.speech_ended_at is not None
    assert abs(later.now - 0.2 - ended.speech_ended_at) < 0.03
    assert ended.speech_end_certain


def test_where_silence_follows_the_first_look_counts() -> None:
    """What comes after it, between the eager end and the end, is not speech, however loud."""
    later = Later()
    timing = EndTiming(RATE_HZ, later.call_later, EndLooks(5, 130))
    feed(timing, later, quiet_question(120))
    spoken_until = later.now - 0.12
    timing.timed(EagerEndOfTurn("hello"))
    later.advance(0.005)
    click = np.full(800, 12_000, dtype="<i2").tobytes()
    feed(timing, later, bytes(bytes_for_ms(60, RATE_HZ)) + click + bytes(bytes_for_ms(100, RATE_HZ)))
    ended = timing.timed(EndOfTurn("hello"))
    assert isinstance(ended, EndOfTurn)
    assert ended.speech_ended_at is not None
    assert abs(ended.speech_ended_at - spoken_until) < 0.03


def test_in_noise_a_second_look_hears_more() -> None:
    later = Later()
    timing = EndTiming(RATE_HZ, later.call_later, EndLooks(5, 130))
    audio = question(QUESTIONS[1], "office", 20, after_ms=400)
    early = bytes_for_ms(260, RATE_HZ)
    feed(timing, later, audio[:-early])
    spoken_until = later.now - 0.14
    timing.timed(EagerEndOfTurn("hello"))
    feed(timing, later, audio[-early:])
    assert not later.due
    ended = timing.timed(EndOfTurn("hello"))
    assert isinstance(ended, EndOfTurn)
    assert ended.speech_ended_at is not None
    assert abs(ended.speech_ended_at - spoken_until) < 0.12


def test_a_turn_that_goes_on_is_looked_at_anew() -> None:
    later = Later()
    timing = EndTiming(RATE_HZ, later.call_later)
    feed(timing, later, quiet_question(120))
    timing.timed(EagerEndOfTurn("hello"))
    later.advance(0.01)
    timing.timed(TurnResumed())
    assert not later.due
    feed(timing, later, quiet_question(200))
    ended = timing.timed(EndOfTurn("hello hello"))
    assert isinstance(ended, EndOfTurn)
    assert ended.speech_ended_at is not None
    assert abs(later.now - 0.2 - ended.speech_ended_at) < 0.03


def test_word_times_are_counted_from_what_the_recogniser_has_been_sent() -> None:
    """50 ms of the audio wait still: the word ended so much longer ago."""
    later = Later()
    timing = EndTiming(RATE_HZ, later.call_later)
    audio = question(QUESTIONS[1], "babble", 10, after_ms=500)
    feed(timing, later, audio)
    ended = timing.timed(EndOfTurn("hello", word_ended_ms=450.0), waiting_ms=50.0)
    assert isinstance(ended, EndOfTurn)
    assert ended.speech_ended_at is not None
    assert abs(later.now - 0.5 - ended.speech_ended_at) < 0.15


def late_looks(timing: EndTiming, later: Later, after: bytes) -> None:
    """Whoever waits for a late end looks every quarter of a second."""
    size = bytes_for_ms(250, RATE_HZ)
    for at in range(0, len(after), size):
        feed(timing, later, after[at : at + size])
        timing.note_late()


@pytest.mark.parametrize("waits_ms", [2_900, 3_000, 3_250, 6_000])
@pytest.mark.parametrize("noise", [0, 10, 100])
def test_a_late_end_of_turn_has_the_time_of_the_callers_last_word(waits_ms: int, noise: int) -> None:
    """Even when the audio that is kept holds only the last of it, or none. Patience counts from that word."""
    later = Later()
    timing = EndTiming(RATE_HZ, later.call_later)
    feed(timing, later, quiet_question(0))
    spoken_until = later.now
    after = np.random.default_rng(1).normal(0, noise, RATE_HZ * waits_ms // 1000).astype("<i2").tobytes()
    feed(timing, later, after[: bytes_for_ms(150, RATE_HZ)])
    late_looks(timing, later, after[bytes_for_ms(150, RATE_HZ) :])
    ended = timing.timed(EndOfTurn("hello"))
    assert isinstance(ended, EndOfTurn)
    assert ended.speech_ended_at is not None
    assert abs(ended.speech_ended_at - spoken_until) < 0.1


def test_what_is_said_after_a_late_look_moves_the_end() -> None:
    later = Later()
    timing = EndTiming(RATE_HZ, later.call_later)
    for _ in range(2):
        feed(timing, later, quiet_question(0))
        spoken_until = later.now
        late_looks(timing, later, bytes(bytes_for_ms(1_500, RATE_HZ)))
    ended = timing.timed(EndOfTurn("hello hello"))
    assert isinstance(ended, EndOfTurn)
    assert ended.speech_ended_at is not None
    assert abs(ended.speech_ended_at - spoken_until) < 0.1


def test_in_noise_words_that_are_heard_live_show_that_an_end_noted_was_none() -> None:
    later = Later()
    timing = EndTiming(RATE_HZ, later.call_later)
    feed(timing, later, quiet_question(0))
    late_looks(timing, later, bytes(bytes_for_ms(1_000, RATE_HZ)))
    feed(timing, later, np.random.default_rng(1).normal(0, 300, 4 * RATE_HZ).astype("<i2").tobytes())
    timing.goes_on()
    feed(timing, later, question(QUESTIONS[1], "office", 20, after_ms=400))
    ended = timing.timed(EndOfTurn("hello hello"))
    assert isinstance(ended, EndOfTurn)
    assert ended.speech_ended_at is not None
    assert abs(ended.speech_ended_at - (later.now - 0.4)) < 0.15


def test_other_events_pass_unchanged_and_nothing_heard_is_no_time() -> None:
    later = Later()
    timing = EndTiming(RATE_HZ, later.call_later)
    assert timing.timed(PartialTranscript("hel")) == PartialTranscript("hel")
    assert timing.timed(EndOfTurn("hello")) == EndOfTurn("hello")
    assert duration_ms(0, RATE_HZ) == 0
