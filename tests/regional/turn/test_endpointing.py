"""Turns made of a transcribing recogniser's results and a local detector's frames, on a virtual clock."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from repartee.turn.endpointing import (
    Endpointer,
    EndpointingSettings,
    Finalize,
    Output,
    Transcript,
    same_words,
)
from repartee.turn.events import EagerEndOfTurn, EndOfTurn, PartialTranscript, StartOfTurn, TurnResumed

FRAME_MS = 20


class Call:
    """A caller speaking into the rule, frame by frame; the recogniser answers when the script says so."""

    def __init__(
        self, settings: EndpointingSettings | None = None, *, answers_after_ms: float | None = None
    ) -> None:
        self.rule = Endpointer(settings or EndpointingSettings(), frame_ms=FRAME_MS)
        self.now = 0.0
        self.heard: list[tuple[int, Output]] = []
        self.spoken = ""
        self.segment_start_s = 0.0
        self._answers_after_ms = answers_after_ms
        self._answers: list[tuple[float, float]] = []

    @property
    def now_ms(self) -> int:
        return round(self.now * 1000)

    def say(self, text: str, ms: int) -> "Call":
        self.spoken = f"{self.spoken} {text}".strip()
        return self._frames(ms, speech=True)

    def pause(self, ms: int) -> "Call":
        return self._frames(ms, speech=False)

    def starts(self) -> "Call":
        self.note(self.rule.speech_started())
        return self

    def words(self, text: str, *, end_s: float | None = None, **flags: bool) -> "Call":
        end_s = self.now if end_s is None else end_s
        result = Transcript(text, self.segment_start_s, end_s, **flags)
        if result.final:
            self.segment_start_s = end_s
        self.note(self.rule.transcript(result, self.now))
        return self

    def outputs(self, kind: type[Output] | None = None) -> list[Output]:
        return [event for _, event in self.heard if kind is None or isinstance(event, kind)]

    def at(self, kind: type[Output]) -> int:
        return next(at for at, event in self.heard if isinstance(event, kind))

    def _frames(self, ms: int, *, speech: bool) -> "Call":
        for _ in range(ms // FRAME_MS):
            self.now += FRAME_MS / 1000
            self._answer()
            self.note(self.rule.frame(speech, self.now))
        return self

    def _answer(self) -> None:
        while self._answers and self._answers[0][0] <= self.now + 1e-9:
            _, end_s = self._answers.pop(0)
            self.words(self.spoken, end_s=end_s, final=True, finalized=True)
            self.spoken = ""

    def note(self, outputs: Sequence[Output]) -> None:
        for output in outputs:
            self.heard.append((self.now_ms, output))
            if isinstance(output, Finalize) and self._answers_after_ms is not None:
                self._answers.append((self.now + self._answers_after_ms / 1000, self.now))


def test_an_eager_end_comes_as_soon_as_the_final_words_do() -> None:
    call = Call(answers_after_ms=60).starts().say("what are your opening hours", 1200).pause(400)
    assert call.outputs() == [
        StartOfTurn(""),
        Finalize(),
        PartialTranscript("what are your opening hours"),
        EagerEndOfTurn("what are your opening hours"),
        EndOfTurn("what are your opening hours"),
    ]
    assert call.at(Finalize) - 1200 == 60
    assert call.at(EagerEndOfTurn) - 1200 == 120
    assert call.at(EndOfTurn) - 1200 == 360


def test_the_recognisers_own_end_of_speech_ends_the_turn() -> None:
    call = Call().starts().say("yes", 400).pause(300).words("Yes.", final=True, speech_final=True)
    assert call.outputs(EndOfTurn) == [EndOfTurn("Yes.")]
    assert call.at(EndOfTurn) == 700


def test_polished_words_are_the_same_words_and_end_the_turn_as_announced() -> None:
    call = Call(answers_after_ms=40).starts().say("i'd like to book a table", 900).pause(140)
    assert call.outputs(EagerEndOfTurn) == [EagerEndOfTurn("i'd like to book a table")]
    call.words("", final=True, speech_final=True)
    assert call.outputs(EndOfTurn) == [EndOfTurn("i'd like to book a table")]
    assert call.outputs(TurnResumed) == []


def test_other_words_after_an_eager_end_take_it_back_before_the_turn_ends() -> None:
    call = Call(answers_after_ms=40).starts().say("i want to", 900).pause(140).say("go home", 40)
    call.words("go home", final=True, speech_final=True)
    kinds = [type(event) for event in call.outputs()]
    assert kinds[-4:] == [EagerEndOfTurn, TurnResumed, PartialTranscript, EndOfTurn]
    assert call.outputs(EndOfTurn) == [EndOfTurn("i want to go home")]


def test_speech_after_an_eager_end_takes_it_back_but_a_click_does_not() -> None:
    call = Call(answers_after_ms=40).starts().say("i want to", 900).pause(140)
    assert len(call.outputs(EagerEndOfTurn)) == 1
    call.say("", 20).pause(40)
    assert call.outputs(TurnResumed) == []
    call.say("go home", 600)
    assert call.outputs(TurnResumed) == [TurnResumed()]
    call.pause(500)
    assert call.outputs(EndOfTurn) == [EndOfTurn("i want to go home")]


def test_gaps_within_words_are_not_cut_up() -> None:
    call = Call(answers_after_ms=40).starts()
    for word in ("a", "cat", "sat", "on"):
        call.say(word, 100).pause(60)
    assert len(call.outputs(Finalize)) <= 2


def test_without_finalising_interim_words_that_reach_the_last_sound_are_complete() -> None:
    call = Call(EndpointingSettings(finalize_silence_ms=None)).starts().say("hello there", 800).pause(60)
    call.words("hello there").pause(60)
    assert call.outputs(Finalize) == []
    assert call.outputs(EagerEndOfTurn) == [EagerEndOfTurn("hello there")]
    assert call.at(EagerEndOfTurn) - 800 == 100


def test_interim_words_that_stop_short_of_the_last_sound_are_not_complete() -> None:
    call = Call(EndpointingSettings(finalize_silence_ms=None)).starts().say("hello there", 800)
    call.words("hello", end_s=0.6).pause(300)
    assert call.outputs(EagerEndOfTurn) == []


def test_an_unanswered_request_holds_up_the_end_no_longer_than_its_limit() -> None:
    call = Call().starts().say("hello there", 800).words("hello there").pause(600)
    assert call.outputs(EndOfTurn) == [EndOfTurn("hello there")]
    assert call.at(EndOfTurn) - 800 == 60 + 500


def test_words_of_an_ended_turn_do_not_open_the_next() -> None:
    call = Call().starts().say("hello there", 800).words("hello there").pause(380)
    call.words("hello there", final=True, speech_final=True)
    call.words("", final=True, finalized=True)
    assert len(call.outputs(StartOfTurn)) == len(call.outputs(EndOfTurn)) == 1
    call.starts().say("bye", 400).words("bye").pause(600)
    assert call.outputs(EndOfTurn) == [EndOfTurn("hello there"), EndOfTurn("bye")]


def test_words_that_come_after_their_turn_was_answered_are_dropped() -> None:
    """All that was known was final, so nothing is being flushed: late words for audio of that turn are still its."""
    call = Call().starts().say("hello there", 800).words("hello there", final=True).pause(400)
    assert call.outputs(EndOfTurn) == [EndOfTurn("hello there")]
    ended = call.outputs()
    call.pause(200).words("there", end_s=1.1)
    call.words("there", end_s=1.1, final=True, speech_final=True)
    assert call.outputs() == ended
    call.starts().say("bye", 400).words("bye", final=True).pause(400)
    assert call.outputs(EndOfTurn) == [EndOfTurn("hello there"), EndOfTurn("bye")]


def test_until_the_flush_is_answered_words_that_began_in_the_ended_turn_are_dropped() -> None:
    call = Call().starts().say("hello there", 800).words("hello there").pause(600)
    assert call.outputs(EndOfTurn) == [EndOfTurn("hello there")]
    ended = call.outputs()
    call.pause(200).words("hello")  # reaches past the end of the turn, as recognisers cut their stretches
    call.words("hello there")
    call.words("hello there", final=True, finalized=True)
    assert call.outputs() == ended
    call.say("bye", 400).words("bye")
    assert call.outputs(StartOfTurn) == [StartOfTurn(""), StartOfTurn("bye")]


def test_noise_without_words_ends_as_an_empty_turn() -> None:
    call = Call().starts().say("", 200).pause(1600)
    assert call.outputs() == [StartOfTurn(""), Finalize()]
    call.words("", final=True, finalized=True).pause(20)
    assert call.outputs() == [StartOfTurn(""), Finalize(), EndOfTurn("")]


def test_nor_does_a_recogniser_that_says_nothing_keep_it_open() -> None:
    call = Call().starts().say("", 200).pause(4600)
    assert call.outputs() == [StartOfTurn(""), Finalize(), EndOfTurn("")]


def test_the_turn_ends_at_its_deadline_when_audio_stops_coming() -> None:
    call = Call().starts().say("hello", 400).words("hello")
    deadline = call.rule.deadline
    assert deadline == pytest.approx(0.4 + 1.0)
    assert deadline is not None
    assert call.rule.expire(deadline - 0.01) == []
    assert EndOfTurn("hello") in call.rule.expire(deadline)
    assert call.rule.deadline is None


def test_frames_held_back_by_the_network_neither_end_a_turn_nor_draw_it_out() -> None:
    call = Call(answers_after_ms=0).starts().say("hello", 400)
    call.now += 0.8  # nothing comes, and then all at once
    late = call.now
    call.say("there", 400).pause(400)
    assert call.outputs(EndOfTurn) == [EndOfTurn("hello there")]
    assert call.at(EndOfTurn) == round(late * 1000) + 400 + 360


def test_a_voice_too_soft_for_the_local_detector_is_given_its_time() -> None:
    call = Call().pause(3000).starts().words("hello", end_s=3.0).pause(340)
    assert call.outputs(EndOfTurn) == []
    call.pause(40)
    assert call.outputs(EndOfTurn) == [EndOfTurn("hello")]


def test_a_turn_can_be_ended_by_hand_and_there_may_be_none() -> None:
    call = Call().starts().say("hello", 400).words("hello")
    assert EndOfTurn("hello") in call.rule.force_end()
    assert call.rule.force_end() == [EndOfTurn("")]


def test_utterance_end_ends_a_turn_with_words_only() -> None:
    call = Call().starts()
    assert call.rule.utterance_end() == []
    call.words("hello", end_s=0.5)
    assert EndOfTurn("hello") in call.rule.utterance_end()


class TestOwedFinals:
    """A request to finalise is out, and the words that it is to bring have not come."""

    def test_a_late_final_is_in_the_turn(self) -> None:
        call = Call().starts().say("i would like two", 900).words("i would like", end_s=0.7).pause(460)
        assert call.outputs(Finalize) and not call.outputs(EndOfTurn), "it has been silent for long enough"
        call.words("i would like two", end_s=0.9, final=True, finalized=True)
        assert call.outputs(EndOfTurn) == [EndOfTurn("i would like two")]
        assert call.at(EndOfTurn) == 900 + 460

    def test_the_turn_ends_at_the_limit_without_it(self) -> None:
        settings = EndpointingSettings(owed_final_ms=500)
        call = Call(settings).starts().say("i would like two", 900).words("i would like", end_s=0.9)
        call.pause(2_000)
        assert call.outputs(EndOfTurn) == [EndOfTurn("i would like")]
        assert call.at(EndOfTurn) == call.at(Finalize) + 500

    def test_a_recogniser_that_has_not_heard_that_far_is_left_to_be_exchanged(self) -> None:
        call = Call().starts().say("i would like two", 900).words("i would like", end_s=0.7)
        call.pause(2_900)
        assert call.outputs(EndOfTurn) == []
        call.pause(200)
        assert call.outputs(EndOfTurn) == [EndOfTurn("i would like")]

    @pytest.mark.parametrize("says", ["speech final", "utterance end"])
    def test_nor_does_the_recognisers_own_end_come_before_it(self, says: str) -> None:
        call = Call().starts().say("i would like two", 900).words("i would like", end_s=0.7).pause(100)
        if says == "utterance end":
            call.note(call.rule.utterance_end())
        else:
            call.words("i would like", end_s=0.7, final=True, speech_final=True)
        assert call.outputs(Finalize) and not call.outputs(EndOfTurn)
        call.say("", 60).words("two", end_s=0.9, final=True, finalized=True)
        [ended] = call.outputs(EndOfTurn)
        assert isinstance(ended, EndOfTurn) and ended.text.endswith("two")

    def test_or_at_the_limit_even_if_there_is_noise(self) -> None:
        call = Call().starts().say("i would like two", 900).words("i would like", end_s=0.7).pause(100)
        call.note(call.rule.utterance_end())
        call.say("", 600)
        assert call.outputs(EndOfTurn) == [EndOfTurn("i would like")]
        assert call.at(EndOfTurn) == call.at(Finalize) + 500


def test_words_are_compared_without_punctuation_and_capitals() -> None:
    assert same_words("I'd like a table, please.", "i'd like a table please")
    assert not same_words("I'd like a table", "I'd like two tables")


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("say"), st.integers(1, 40)),
        st.tuples(st.just("pause"), st.integers(1, 40)),
        st.tuples(st.just("interim"), st.integers(0, 3)),
        st.tuples(st.just("final"), st.integers(0, 3)),
        st.tuples(st.just("speech_final"), st.integers(0, 3)),
        st.tuples(st.just("finalized"), st.integers(0, 3)),
        st.tuples(st.just("starts"), st.just(0)),
        st.tuples(st.just("force"), st.just(0)),
    ),
    max_size=40,
)


TEXTS = ("", "one", "one two", "three")


def take(call: Call, what: str, amount: int) -> None:
    if what == "say":
        call.say("", amount * FRAME_MS)
    elif what == "pause":
        call.pause(amount * FRAME_MS)
    elif what == "starts":
        call.starts()
    elif what == "force":
        call.note(call.rule.force_end() if call.rule.in_turn else [])
    elif what == "interim":
        call.words(TEXTS[amount])
    else:
        call.words(TEXTS[amount], final=True, **({} if what == "final" else {what: True}))


def check_order(events: list[Output]) -> None:
    """Turns open and close in turn; an eager end is taken back before other words end the turn."""
    open_turn, eager = False, None
    for event in events:
        assert open_turn is not isinstance(event, StartOfTurn) or isinstance(event, Finalize)
        match event:
            case StartOfTurn():
                open_turn, eager = True, None
            case EagerEndOfTurn(text=text):
                assert eager is None and text
                eager = text
            case TurnResumed():
                assert eager is not None
                eager = None
            case EndOfTurn(text=text):
                assert eager in (None, text)
                open_turn = False
    assert not open_turn


@given(STEPS)
@settings(max_examples=300, deadline=None)
def test_whatever_comes_events_are_in_order_and_no_turn_stays_open(steps: list[tuple[str, int]]) -> None:
    call = Call()
    for what, amount in steps:
        take(call, what, amount)
    call.pause(6000)
    assert not call.rule.in_turn
    check_order(call.outputs())
