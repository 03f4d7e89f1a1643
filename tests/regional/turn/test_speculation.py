"""Replies begun at an eager end of turn, before the turn is confirmed."""

import pytest
from tests.regional.turn.conversation import Conversation, tone

from repartee.turn import commands as c
from repartee.turn import events as e
from repartee.turn.policy import TurnPolicy

QUESTION = "What is my balance?"


def after_a_pause(policy: TurnPolicy | None = None) -> Conversation:
    """The caller has probably finished; an answer is being made."""
    talk = Conversation(policy)
    talk.caller_starts("What")
    talk.wait(1)
    talk.caller_pauses(QUESTION)
    return talk


def test_a_reply_is_asked_for_at_the_eager_end() -> None:
    talk = after_a_pause()
    start = talk.last(c.StartReply)
    assert start.speculative
    assert start.messages == [{"role": "user", "content": QUESTION}]
    assert talk.state == "EAGER"
    assert not talk.all(c.ReplyStarted)
    assert talk.told == [], "the words are not in the history before the turn has ended"


def test_its_first_piece_is_spoken_and_held() -> None:
    talk = after_a_pause()
    talk.model_writes("It is ten pounds. You spent five. Anything else?")
    assert talk.said() == ["It is ten pounds."]
    talk.voice_speaks(800)
    assert talk.played_ms() == 0


def test_it_is_released_the_instant_the_turn_ends() -> None:
    talk = after_a_pause()
    talk.model_writes("It is ten pounds. You spent five. Anything else?")
    talk.voice_speaks(800)
    talk.wait(0.13)
    talk.caller_ends(QUESTION)
    assert talk.state == "SPEAKING"
    assert talk.played_ms() == 800
    assert talk.said() == ["It is ten pounds.", " You spent five.", " Anything else?"]
    assert talk.last(c.SpeculationEnded).outcome == "released"
    assert len(talk.all(c.StartReply)) == 1
    assert talk.told[0] == f"user: {QUESTION}"
    talk.model_ends()
    talk.voice_speaks(700)
    talk.voice_ends()
    talk.wait(2)
    assert talk.outcomes == [(1, "answered")]
    assert talk.told[1] == "assistant: It is ten pounds. You spent five. Anything else?"


def test_it_may_be_complete_before_the_turn_is_confirmed() -> None:
    talk = after_a_pause()
    talk.model_writes("Ten pounds.")
    talk.model_ends()
    talk.voice_speaks(600)
    talk.voice_ends()
    assert talk.state == "EAGER"
    talk.caller_ends(QUESTION)
    assert talk.last(c.ReplyEnded).status == "completed"
    assert talk.state == "SPEAKING"
    talk.wait(0.6)
    assert talk.state == "LISTENING"
    assert talk.outcomes == [(1, "answered")]


def test_punctuation_and_capitals_are_not_other_words() -> None:
    talk = after_a_pause()
    talk.caller_ends("what is my balance")
    assert talk.last(c.SpeculationEnded).outcome == "released"
    assert talk.told == ["user: what is my balance"]


def test_it_is_dropped_if_the_caller_goes_on() -> None:
    talk = after_a_pause()
    talk.model_writes("It is ten pounds.")
    talk.voice_speaks(800)
    resumed = talk.caller_resumes()
    assert resumed == [c.StopReply(1), c.SpeculationEnded(1, "resumed")]
    assert talk.state == "HEARING"
    assert talk.voice_speaks(100, reply=1) == []
    talk.caller_ends("What is my balance at the bank?")
    assert talk.played_ms() == 0
    assert talk.last(c.StartReply).reply_id == 2
    assert not talk.last(c.StartReply).speculative
    assert talk.told == ["user: What is my balance at the bank?"]


def test_it_is_dropped_if_the_turn_ends_with_other_words() -> None:
    talk = after_a_pause()
    talk.model_writes("It is ten pounds.")
    talk.voice_speaks(800)
    talk.caller_ends("What is my balance now?")
    assert talk.last(c.SpeculationEnded).outcome == "reworded"
    assert talk.played_ms() == 0
    assert talk.last(c.StartReply).messages == [{"role": "user", "content": "What is my balance now?"}]


def test_only_so_many_are_made_for_one_turn() -> None:
    talk = Conversation(TurnPolicy(speculations_per_turn=2))
    talk.caller_starts("One")
    for text in ("One.", "One, two.", "One, two, three."):
        talk.caller_pauses(text)
        assert talk.state == "EAGER"
        talk.caller_resumes()
    assert len(talk.all(c.StartReply)) == 2
    talk.caller_pauses("One, two, three, four.")
    talk.caller_ends("One, two, three, four.")
    assert len(talk.all(c.StartReply)) == 3
    assert len(talk.all(c.ReplyStarted)) == 1


def test_the_next_turn_has_a_budget_of_its_own() -> None:
    talk = Conversation(TurnPolicy(speculations_per_turn=1))
    for text in ("Hello.", "Hello again."):
        talk.caller_starts()
        talk.caller_pauses(text)
        talk.caller_ends(text)
        talk.agent_says("Hi.")
        talk.wait(2)
    assert [start.speculative for start in talk.all(c.StartReply)] == [True, True]


@pytest.mark.parametrize("chunks", [0, 2])
def test_how_much_is_spoken_beforehand_is_a_setting(chunks: int) -> None:
    talk = after_a_pause(TurnPolicy(speculative_chunks=chunks))
    talk.model_writes("It is ten pounds. You spent five. Anything else?")
    talk.model_ends()
    assert len(talk.said()) == chunks
    talk.caller_ends(QUESTION)
    assert len(talk.said()) == 3
    assert talk.last(c.Say).last


@pytest.mark.parametrize("policy", [TurnPolicy(speculate=False), TurnPolicy(reply_to_turns=False)])
def test_it_can_be_switched_off(policy: TurnPolicy) -> None:
    talk = after_a_pause(policy)
    assert talk.state == "EAGER"
    assert not talk.all(c.StartReply)


def test_it_is_not_made_for_no_words() -> None:
    talk = Conversation()
    talk.caller_starts()
    talk.caller_pauses("")
    assert not talk.all(c.StartReply)
    talk.caller_ends("")
    assert talk.state == "LISTENING"


def test_its_tools_run_only_once_the_turn_is_confirmed() -> None:
    talk = after_a_pause(TurnPolicy(tools=frozenset({"look_up"})))
    talk.model_calls("call_1")
    talk.model_ends("tool_calls")
    assert not talk.all(c.RunTool)
    assert talk.told == []
    talk.caller_ends(QUESTION)
    assert talk.last(c.RunTool).call_id == "call_1"
    talk.tool_gives("call_1", "ten")
    talk.agent_says("Ten pounds.")
    talk.wait(2)
    assert talk.told == [f"user: {QUESTION}", "assistant: calls", "tool: ten", "assistant: Ten pounds."]


def test_its_tools_never_run_if_it_is_dropped() -> None:
    talk = after_a_pause(TurnPolicy(tools=frozenset({"look_up"})))
    talk.model_calls("call_1")
    talk.caller_resumes()
    talk.caller_ends("Never mind.")
    assert not talk.all(c.RunTool)
    assert talk.model_calls("call_1", reply=1) == []
    assert talk.told == ["user: Never mind."]


def test_if_it_fails_the_turn_is_asked_anew() -> None:
    talk = after_a_pause()
    assert talk.send(e.ReplyFailed(1, "llm", "gone")) == [c.StopReply(1)]
    assert talk.state == "EAGER"
    talk.caller_ends(QUESTION)
    assert talk.last(c.StartReply).reply_id == 2
    assert talk.state == "THINKING"


def test_a_second_eager_end_without_a_word_between_changes_nothing() -> None:
    talk = after_a_pause()
    assert talk.caller_pauses(QUESTION) == []
    assert len(talk.all(c.StartReply)) == 1


def test_after_a_resumption_the_speech_did_not_end_at_the_pause() -> None:
    talk = Conversation()
    talk.caller_starts("What")
    talk.wait(1)
    talk.caller_pauses("What is", ended_at=0.9)
    talk.caller_resumes()
    talk.wait(3)
    talk.caller_ends("What is it?")
    talk.agent_says("It is Monday.")
    assert talk.last(c.TurnTraced).trace.stages_ms["end_of_turn"] == 0


def test_a_turn_can_be_ended_by_recognition_alone_while_speculating() -> None:
    """The policy changes in the middle: the client asks for replies from now on."""
    talk = after_a_pause()
    talk.machine.policy = TurnPolicy(reply_to_turns=False)
    talk.caller_ends(QUESTION)
    assert talk.last(c.SpeculationEnded).outcome == "reworded"
    assert talk.state == "LISTENING"


class TestRequestedMeanwhile:
    """The client asks for a reply while one is made that it does not know of."""

    def test_a_plain_request_is_met_by_it(self) -> None:
        talk = after_a_pause()
        talk.send(e.ReplyRequested())
        talk.caller_ends(QUESTION)
        assert talk.last(c.SpeculationEnded).outcome == "released"
        assert len(talk.all(c.StartReply)) == 1

    def test_a_request_with_terms_of_its_own_is_not(self) -> None:
        talk = after_a_pause()
        talk.send(e.ReplyRequested(options={"instructions": "Be brief."}))
        talk.caller_ends(QUESTION)
        assert talk.last(c.SpeculationEnded).outcome == "reworded"
        assert talk.last(c.StartReply).options == {"instructions": "Be brief."}

    def test_the_turn_is_answered_and_then_what_is_to_be_said_is_said(self) -> None:
        talk = after_a_pause()
        talk.send(e.SayRequested("This call is recorded."))
        talk.caller_ends(QUESTION)
        talk.agent_says("Ten pounds.")
        assert talk.said(2) == ["This call is recorded."]
        talk.voice_speaks(900)
        talk.voice_ends()
        talk.wait(3)
        assert talk.told[-2:] == ["assistant: Ten pounds.", "assistant: This call is recorded."]
        assert talk.outcomes == [(1, "answered")]


def test_audio_of_a_dropped_one_never_reaches_the_caller() -> None:
    talk = after_a_pause()
    talk.model_writes("It is ten pounds.")
    talk.caller_resumes()
    talk.caller_pauses("What is my balance today?")
    talk.send(e.SpeechAudio(1, tone(500)))
    talk.caller_ends("What is my balance today?")
    assert talk.played_ms() == 0
