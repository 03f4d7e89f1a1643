"""Sounds over the agent that do not interrupt it: backchannels, and words to an agent that is not to be stopped."""

import pytest
from tests.regional.turn.conversation import Conversation

from repartee.turn import commands as c
from repartee.turn import events as e
from repartee.turn.policy import TurnPolicy

UNINTERRUPTIBLE = TurnPolicy(interruptible=False)


def answering(policy: TurnPolicy | None = None, *, ms: float = 4000) -> Conversation:
    talk = Conversation(policy)
    talk.caller_says("What is my balance?")
    talk.agent_says("Your balance is ten pounds, and nothing else is due.", ms=ms)
    return talk


@pytest.mark.parametrize("sound", ["mhm", "Mm-hmm.", "Right.", "yeah, okay"])
def test_a_backchannel_does_not_stop_the_agent(sound: str) -> None:
    talk = answering()
    talk.wait(1)
    assert talk.caller_starts(sound) == []
    assert talk.state == "OVERLAP"
    assert talk.caller_goes_on(sound) == []
    assert talk.caller_pauses(sound) == []
    talk.caller_ends(sound)
    assert talk.state == "SPEAKING"
    talk.wait(3)
    assert talk.state == "LISTENING"
    assert not talk.all(c.StopPlaying)
    assert len(talk.all(c.TurnStarted)) == 1
    assert len(talk.told) == 2
    assert talk.outcomes == [(1, "answered")]


def test_a_backchannel_that_becomes_more_is_an_interruption() -> None:
    talk = answering()
    talk.wait(1)
    talk.caller_starts("Okay")
    talk.caller_goes_on("Okay but")
    assert talk.state == "HEARING"
    assert talk.last(c.TurnHeard).text == "Okay but"
    assert talk.all(c.StopPlaying)
    talk.caller_ends("Okay but when?")
    assert talk.told[-1] == "user: Okay but when?"


def test_an_agent_that_finishes_meanwhile_leaves_the_floor_to_the_caller() -> None:
    """ "Yes", begun over the last words of a question, is its answer."""
    talk = answering()
    talk.wait(3.9)
    talk.caller_starts("Yes")
    talk.wait(0.2)
    assert talk.state == "HEARING"
    assert talk.last(c.TurnStarted).turn_id == 2
    assert talk.outcomes == [(1, "answered")]
    talk.caller_ends("Yes.")
    assert talk.state == "THINKING"
    assert talk.last(c.StartReply).messages[-1] == {"role": "user", "content": "Yes."}


def test_a_backchannel_while_the_answer_is_still_made() -> None:
    talk = Conversation()
    talk.caller_says("What is my balance?")
    talk.model_writes("It is ten pounds. And")
    talk.voice_speaks(1000)
    talk.wait(0.5)
    talk.caller_starts("mhm")
    talk.caller_ends("mhm")
    talk.model_writes(" nothing is due.")
    talk.model_ends()
    talk.voice_speaks(1000)
    talk.voice_ends()
    talk.wait(5)
    assert talk.state == "LISTENING"
    assert talk.played_ms() == 2000


def test_a_backchannel_over_a_tool_that_runs_on() -> None:
    talk = Conversation(TurnPolicy(tools=frozenset({"look_up"})))
    talk.caller_says("What is my balance?")
    talk.model_writes("Let me look.")
    talk.model_calls("call_1")
    talk.model_ends("tool_calls")
    talk.voice_speaks(1000)
    talk.voice_ends()
    talk.wait(0.9)
    talk.caller_starts("okay")
    talk.wait(0.3)
    assert talk.state == "OVERLAP"
    talk.caller_ends("okay")
    talk.wait(0)
    assert talk.state == "THINKING"
    talk.tool_gives("call_1", "ten")
    talk.agent_says("Ten pounds.")
    talk.wait(2)
    assert talk.outcomes == [(1, "answered")]


class TestUninterruptible:
    def test_words_over_the_agent_are_answered_when_it_has_finished(self) -> None:
        talk = answering(UNINTERRUPTIBLE)
        talk.wait(1)
        talk.caller_starts("And")
        talk.caller_goes_on("And in euros")
        assert talk.state == "OVERLAP"
        talk.caller_ends("And in euros?")
        assert talk.state == "SPEAKING"
        assert talk.last(c.TurnEnded).item is not None
        assert len(talk.all(c.StartReply)) == 1
        talk.wait(3)
        assert not talk.all(c.StopPlaying)
        assert talk.state == "THINKING"
        assert talk.last(c.StartReply).messages[-1] == {"role": "user", "content": "And in euros?"}
        talk.agent_says("Eleven euros.")
        talk.wait(2)
        assert talk.state == "LISTENING"
        assert talk.outcomes == [(1, "answered"), (2, "answered")]
        assert len(talk.all(c.StartReply)) == 2

    def test_they_are_answered_once_if_more_follow(self) -> None:
        talk = answering(UNINTERRUPTIBLE)
        talk.wait(1)
        talk.caller_starts("And")
        talk.caller_ends("And in euros?")
        talk.wait(2.9)
        talk.caller_starts("Please")
        talk.wait(0.5)
        assert talk.state == "HEARING"
        talk.caller_ends("Please.")
        talk.agent_says("Eleven euros.")
        talk.wait(5)
        assert talk.state == "LISTENING"
        assert len(talk.all(c.StartReply)) == 2
        assert talk.told[-3:] == ["user: And in euros?", "user: Please.", "assistant: Eleven euros."]

    def test_they_are_answered_even_if_a_noise_follows(self) -> None:
        talk = answering(UNINTERRUPTIBLE)
        talk.wait(1)
        talk.caller_starts("And")
        talk.caller_ends("And in euros?")
        talk.wait(2.9)
        talk.caller_starts()
        talk.wait(0.5)
        talk.caller_ends("")
        assert talk.state == "THINKING"
        assert talk.last(c.StartReply).messages[-1]["content"] == "And in euros?"

    def test_where_the_client_asks_they_are_only_noted(self) -> None:
        talk = answering(UNINTERRUPTIBLE)
        talk.machine.policy = TurnPolicy(interruptible=False, reply_to_turns=False)
        talk.caller_starts("And")
        talk.caller_ends("And in euros?")
        talk.wait(5)
        assert talk.state == "LISTENING"
        assert talk.told[-1] == "user: And in euros?"

    def test_words_before_its_first_sound_do_not_stop_it_either(self) -> None:
        """A greeting that must be heard is heard, though the caller says hello first."""
        talk = Conversation(UNINTERRUPTIBLE)
        talk.send(e.SayRequested("This call is recorded."))
        assert talk.caller_starts("Hello") == []
        assert talk.state == "OVERLAP"
        talk.caller_ends("Hello?")
        assert talk.state == "THINKING"
        talk.voice_speaks(1000)
        talk.voice_ends()
        talk.wait(1)
        assert talk.played_ms() == 1000
        assert talk.state == "THINKING"
        talk.agent_says("Hello. How can I help?")
        talk.wait(2)
        assert talk.told == [
            "assistant: This call is recorded.",
            "user: Hello?",
            "assistant: Hello. How can I help?",
        ]

    def test_it_may_become_audible_meanwhile(self) -> None:
        talk = Conversation(UNINTERRUPTIBLE)
        talk.send(e.SayRequested("This call is recorded."))
        talk.caller_starts("Hello")
        talk.voice_speaks(1000)
        talk.voice_ends()
        assert talk.state == "OVERLAP"
        talk.caller_ends("Hello?")
        assert talk.state == "SPEAKING"
        talk.wait(1)
        assert talk.state == "THINKING"

    def test_if_it_comes_to_nothing_the_caller_has_the_floor(self) -> None:
        talk = Conversation(TurnPolicy(interruptible=False, apology=""))
        talk.caller_says("Hello.")
        talk.caller_starts("Is")
        assert talk.state == "OVERLAP"
        talk.send(e.ReplyFailed(1, "llm", "gone"))
        assert talk.state == "HEARING"
        talk.caller_ends("Is anybody there?")
        assert talk.last(c.StartReply).messages[-1]["content"] == "Is anybody there?"


def test_a_request_over_a_backchannel_is_met_when_the_agent_has_finished() -> None:
    talk = answering()
    talk.wait(1)
    talk.caller_starts("mhm")
    assert talk.send(e.ReplyRequested(options="later")) == []
    talk.caller_ends("mhm")
    talk.wait(3)
    assert talk.last(c.StartReply).options == "later"
    assert talk.state == "THINKING"


def test_a_cancelled_reply_over_a_backchannel_leaves_the_floor_to_the_caller() -> None:
    talk = Conversation()
    talk.caller_says("What is my balance?")
    talk.model_writes("It is ten pounds.")
    talk.voice_speaks(1000)
    talk.caller_starts("mhm")
    talk.send(e.ReplyCancelled())
    assert talk.state == "HEARING"
    assert talk.last(c.TurnStarted).turn_id == 2
    talk.caller_ends("mhm")
    assert talk.state == "THINKING"
