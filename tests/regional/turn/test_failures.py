"""A model, a voice or a deadline fails: the caller is never left in silence if anything can be said."""

import pytest
from tests.regional.turn.conversation import Conversation, silence

from repartee.turn import commands as c
from repartee.turn import events as e
from repartee.turn.policy import TurnPolicy

APOLOGY = TurnPolicy().apology


def asked(policy: TurnPolicy | None = None) -> Conversation:
    talk = Conversation(policy)
    talk.caller_says("What is my balance?")
    return talk


def fails(talk: Conversation, stage: str, reply: int = 1) -> list[c.Command]:
    return talk.send(e.ReplyFailed(reply, stage, "gone"))


@pytest.mark.parametrize("stage", ["llm", "tts"])
def test_a_reply_that_cannot_be_had_is_apologised_for(stage: str) -> None:
    talk = asked()
    commands = fails(talk, stage)
    assert commands[0] == c.StopReply(1)
    ended = talk.last(c.ReplyEnded)
    assert (ended.reply_id, ended.status, ended.reason) == (1, "failed", "gone")
    assert talk.outcomes == [(1, "unanswered")]
    assert "".join(talk.said(2)) == APOLOGY
    assert talk.last(c.Say).last
    talk.voice_speaks(3000)
    talk.voice_ends()
    assert talk.state == "SPEAKING"
    talk.wait(3)
    assert talk.state == "LISTENING"
    assert talk.outcomes == [(1, "unanswered")], "an apology is no answer"
    assert talk.told[-1] == f"assistant: {APOLOGY}"


@pytest.mark.parametrize("stage", ["llm", "tts"])
def test_an_apology_that_fails_is_not_apologised_for(stage: str) -> None:
    talk = asked()
    fails(talk, stage)
    fails(talk, "tts", reply=2)
    assert talk.state == "LISTENING"
    assert len(talk.all(c.ReplyStarted)) == 2
    assert talk.told == ["user: What is my balance?"]


def test_without_an_apology_the_call_listens_on() -> None:
    talk = asked(TurnPolicy(apology=""))
    fails(talk, "llm")
    assert talk.state == "LISTENING"
    assert talk.outcomes == [(1, "unanswered")]


def test_the_caller_may_interrupt_an_apology() -> None:
    talk = asked()
    fails(talk, "llm")
    talk.voice_speaks(1000)
    talk.wait(0.5)
    talk.caller_starts("Hello?")
    assert talk.state == "HEARING"
    assert talk.all(c.StopPlaying)


def test_if_the_model_fails_after_some_words_the_voice_finishes_them() -> None:
    talk = asked()
    talk.model_writes("It is ten pounds. And you have")
    assert talk.said() == ["It is ten pounds."]
    assert fails(talk, "llm")[0] == c.Say(1, "", last=True)
    assert talk.said() == ["It is ten pounds."]
    talk.voice_speaks(900)
    talk.voice_ends()
    talk.wait(1)
    ended = talk.last(c.ReplyEnded)
    assert (ended.status, ended.reason) == ("failed", "gone")
    assert talk.told[-1] == "assistant: It is ten pounds."
    assert talk.outcomes == [(1, "answered")]
    assert talk.state == "LISTENING"


def test_if_the_voice_then_fails_too_the_caller_hears_an_apology() -> None:
    talk = asked()
    talk.model_writes("It is ten pounds. And you have")
    fails(talk, "llm")
    fails(talk, "tts")
    assert "".join(talk.said(2)) == APOLOGY
    assert talk.told == ["user: What is my balance?", f"assistant: {APOLOGY}"]


def test_if_the_voice_fails_in_its_midst_the_history_holds_what_it_had_spoken() -> None:
    talk = asked()
    talk.model_writes("It is ten pounds. And nothing else is due this month.")
    talk.voice_speaks(1100)
    talk.voice_tells_words(("It", 0, 200), ("is", 200, 400), ("ten", 400, 700), ("pounds.", 700, 1100))
    commands = fails(talk, "tts")
    assert commands[0] == c.StopReply(1)
    assert talk.last(c.ReplyEnded).status == "failed"
    talk.wait(1.1)
    assert talk.state == "LISTENING"
    assert talk.told[-1] == "assistant: It is ten pounds."
    assert talk.outcomes == [(1, "answered")]
    assert len(talk.all(c.ReplyStarted)) == 1


def test_a_voice_that_fails_after_silence_was_not_heard() -> None:
    talk = asked()
    talk.model_writes("It is ten pounds.")
    talk.send(e.SpeechAudio(1, silence(100)))
    fails(talk, "tts")
    assert "".join(talk.said(2)) == APOLOGY
    assert talk.told == ["user: What is my balance?", f"assistant: {APOLOGY}"]
    talk.voice_speaks(1000)
    talk.voice_ends()
    talk.wait(2)
    assert talk.state == "LISTENING"


def test_text_replies_fail_with_what_they_had() -> None:
    talk = asked(TurnPolicy(spoken=False))
    talk.model_writes("It is ten ")
    fails(talk, "llm")
    assert talk.state == "LISTENING"
    assert talk.last(c.ReplyEnded).status == "failed"
    assert talk.told[-1] == "assistant: It is ten "
    assert not talk.all(c.Say)


class TestDeadlines:
    def test_an_answer_that_never_comes_has_failed(self) -> None:
        talk = asked()
        talk.wait(6.7)
        assert talk.state == "THINKING"
        talk.wait(0.1)
        ended = talk.last(c.ReplyEnded)
        assert (ended.status, ended.reason) == ("failed", "Nothing came for 7 s.")
        assert talk.all(c.StopReply)
        assert "".join(talk.said(2)) == APOLOGY

    def test_an_apology_that_never_sounds_is_given_up(self) -> None:
        talk = asked()
        talk.wait(16)
        assert talk.state == "LISTENING"
        assert not talk.deadlines

    def test_tokens_alone_do_not_save_it(self) -> None:
        talk = asked()
        for _ in range(8):
            talk.wait(1)
            talk.model_writes("and ")
        assert talk.last(c.ReplyEnded).status == "failed"

    def test_an_answer_that_falls_silent_in_its_midst_ends(self) -> None:
        talk = asked()
        talk.model_writes("It is ten pounds. And")
        talk.voice_speaks(2000)
        talk.wait(2 + 6.9)
        assert not talk.all(c.ReplyEnded)
        talk.wait(0.2)
        assert talk.last(c.ReplyEnded).status == "failed"
        assert talk.state == "LISTENING"

    def test_a_long_answer_is_not_late(self) -> None:
        talk = asked()
        talk.model_writes("It began long ago.")
        for _ in range(30):
            talk.voice_speaks(1000)
            talk.wait(1)
        assert talk.state == "SPEAKING"
        assert not talk.all(c.ReplyEnded)

    def test_an_answer_behind_a_long_announcement_is_not_late(self) -> None:
        talk = Conversation()
        talk.send(e.SayRequested("This call is recorded."))
        talk.voice_speaks(20_000)
        talk.voice_ends()
        talk.send(e.ReplyRequested())
        talk.wait(20)
        assert len(talk.all(c.ReplyEnded)) == 1

    def test_text_that_trickles_is_not_late(self) -> None:
        talk = asked(TurnPolicy(spoken=False))
        for _ in range(5):
            talk.wait(6)
            talk.model_writes("and ")
        assert not talk.all(c.ReplyEnded)
        talk.wait(8)
        assert talk.last(c.ReplyEnded).status == "failed"
        assert talk.state == "LISTENING"

    def test_a_deadline_that_came_early_is_set_again(self) -> None:
        talk = asked()
        asked_at = talk.now
        talk.wait(1)
        assert talk.send(e.DeadlinePassed("first audio")) == [
            c.SetDeadline("first audio", asked_at - 0.25 + 7)
        ]
        talk.agent_says("It is ten pounds.", ms=1000)
        ends_at = talk.deadlines["played out"]
        assert talk.send(e.DeadlinePassed("played out")) == [c.SetDeadline("played out", ends_at)]

    @pytest.mark.parametrize("name", ["first audio", "played out", "commit"])
    def test_a_stale_one_is_nothing(self, name: str) -> None:
        assert Conversation().send(e.DeadlinePassed(name)) == []

    def test_the_wait_is_a_setting(self) -> None:
        talk = asked(TurnPolicy(first_audio_s=2))
        talk.wait(2)
        assert talk.last(c.ReplyEnded).status == "failed"


class TestWithTools:
    POLICY = TurnPolicy(tools=frozenset({"look_up"}))

    def test_a_tool_still_answers_for_a_reply_that_failed(self) -> None:
        """The voice failed on "One moment", but the answer itself may yet come."""
        talk = asked(self.POLICY)
        talk.model_writes("One moment.")
        talk.model_calls("call_1")
        fails(talk, "tts")
        assert talk.state == "THINKING"
        assert len(talk.all(c.ReplyStarted)) == 1
        talk.tool_gives("call_1", "ten")
        talk.agent_says("It is ten pounds.")
        talk.wait(2)
        assert talk.outcomes == [(1, "answered")]
        assert talk.told[1:] == ["assistant: calls", "tool: ten", "assistant: It is ten pounds."]

    def held(self) -> Conversation:
        """The first reply speaks; the second waits behind it."""
        talk = asked(self.POLICY)
        talk.model_writes("One moment.")
        talk.model_calls("call_1")
        talk.model_ends("tool_calls")
        talk.tool_gives("call_1", "ten")
        assert talk.last(c.StartReply).reply_id == 2
        return talk

    def test_a_reply_that_fails_behind_another_is_apologised_for_after_it(self) -> None:
        talk = self.held()
        talk.voice_speaks(500, reply=1)
        assert fails(talk, "llm", reply=2) == [c.StopReply(2)]
        assert len(talk.all(c.ReplyStarted)) == 1
        talk.voice_speaks(500, reply=1)
        talk.voice_ends(reply=1)
        assert [ended.status for ended in talk.all(c.ReplyEnded)] == ["completed", "failed"]
        assert "".join(talk.said(3)) == APOLOGY
        talk.voice_speaks(1000, reply=3)
        talk.voice_ends(reply=3)
        talk.wait(3)
        assert talk.state == "LISTENING"

    def test_a_reply_behind_one_that_fails_is_heard(self) -> None:
        talk = self.held()
        talk.model_writes("It is ten pounds.", reply=2)
        talk.voice_speaks(800, reply=2)
        fails(talk, "tts", reply=1)
        assert talk.played_ms(2) == 800
        assert len(talk.all(c.ReplyStarted)) == 2
        talk.model_ends(reply=2)
        talk.voice_ends(reply=2)
        talk.wait(1)
        assert talk.outcomes == [(1, "answered")]
        assert talk.last(c.TurnTraced).trace.reply_id == 2

    def test_a_second_reply_that_fails_after_the_first_was_heard(self) -> None:
        talk = self.held()
        talk.voice_speaks(500, reply=1)
        talk.voice_ends(reply=1)
        fails(talk, "tts", reply=2)
        assert "".join(talk.said(3)) == APOLOGY
        fails(talk, "tts", reply=3)
        talk.wait(1)
        assert talk.state == "LISTENING"

    def test_a_model_that_fails_with_words_behind_another_has_them_spoken(self) -> None:
        talk = self.held()
        talk.model_writes("It is ten pounds. And", reply=2)
        fails(talk, "llm", reply=2)
        talk.voice_speaks(500, reply=1)
        talk.voice_ends(reply=1)
        talk.voice_speaks(800, reply=2)
        talk.voice_ends(reply=2)
        talk.wait(2)
        assert [ended.status for ended in talk.all(c.ReplyEnded)] == ["completed", "failed"]
        assert talk.told[-1] == "assistant: It is ten pounds."

    def test_a_reply_that_called_for_the_clients_tools_and_failed_waits_for_nothing(self) -> None:
        talk = asked(TurnPolicy(apology=""))
        talk.model_calls("call_1")
        fails(talk, "llm")
        assert talk.outcomes == [(1, "unanswered")]
        assert talk.state == "LISTENING"
