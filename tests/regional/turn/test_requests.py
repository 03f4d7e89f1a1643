"""What the client asks for: replies, announcements, text, cancellation."""

import pytest
from tests.regional.turn.conversation import Conversation

from repartee.errors import ClientProtocolError
from repartee.turn import commands as c
from repartee.turn import events as e
from repartee.turn.history import Message
from repartee.turn.policy import TurnPolicy
from repartee.turn.reply import MAX_REPLY_CHARS


def asking(talk: Conversation, spoken: bool | None = None, options: object = None) -> list[c.Command]:
    return talk.send(e.ReplyRequested(spoken, options))


class TestRequested:
    def test_a_reply_to_what_was_typed(self) -> None:
        talk = Conversation()
        talk.machine.history.add(Message("typed", "user", "Hello."))
        asking(talk, options={"metadata": 1})
        assert talk.last(c.StartReply).messages == [{"role": "user", "content": "Hello."}]
        assert talk.last(c.StartReply).options == talk.last(c.ReplyStarted).options == {"metadata": 1}
        talk.agent_says("Hi.")
        assert talk.last(c.TurnTraced).trace.voice_to_voice_ms == pytest.approx(240)
        talk.wait(2)
        assert talk.outcomes == [(0, "answered")]

    def test_each_has_a_turn_id_of_its_own(self) -> None:
        talk = Conversation()
        for _ in range(3):
            asking(talk)
            talk.agent_says("Hi.")
            talk.wait(2)
        talk.caller_says("Hello.")
        assert [command.turn_id for command in talk.all(c.StartReply)] == [0, 1, 2, 3]

    def test_while_the_agent_still_plays_it_follows(self) -> None:
        talk = Conversation()
        asking(talk)
        talk.agent_says("Hi.", ms=2000)
        asking(talk)
        talk.agent_says("How are you?", ms=1000)
        assert talk.state == "SPEAKING"
        talk.wait(1.9)
        assert talk.state == "SPEAKING"
        talk.wait(1)
        assert talk.state == "LISTENING"
        assert talk.outcomes == [(0, "answered")]

    def test_while_one_is_made_it_is_refused(self) -> None:
        talk = Conversation()
        asking(talk)
        assert talk.machine.generating
        with pytest.raises(ClientProtocolError) as refused:
            asking(talk)
        assert refused.value.code == "conversation_already_has_active_response"
        assert len(talk.all(c.StartReply)) == 1

    def test_while_the_caller_speaks_it_waits_for_the_turns_end(self) -> None:
        talk = Conversation(TurnPolicy(reply_to_turns=False))
        talk.caller_starts("Hello")
        assert asking(talk, options="brief") == []
        talk.caller_ends("Hello.")
        assert talk.last(c.StartReply).options == "brief"
        assert talk.state == "THINKING"

    def test_while_the_caller_makes_a_noise_it_waits_for_that(self) -> None:
        talk = Conversation()
        talk.caller_starts()
        asking(talk)
        talk.caller_ends("")
        assert talk.state == "THINKING"

    def test_words_over_the_agent_and_a_request_are_two_turns(self) -> None:
        talk = Conversation(TurnPolicy(interruptible=False))
        talk.caller_says("Hello.")
        talk.agent_says("Hello, what can I do for you?", ms=3000)
        talk.caller_starts("My")
        talk.caller_ends("My balance, please.")
        asking(talk)
        talk.agent_says("Ten pounds.")
        talk.wait(9)
        assert talk.outcomes == [(1, "answered"), (2, "answered")]
        assert len(talk.all(c.StartReply)) == 2


class TestSay:
    def test_it_is_spoken_as_it_is(self) -> None:
        talk = Conversation()
        talk.send(e.SayRequested("Welcome to the bank. How can I help you today?"))
        assert not talk.all(c.StartReply)
        assert talk.said() == ["Welcome to the bank. How can I help you today?"]
        talk.voice_speaks(2000)
        talk.voice_ends()
        talk.wait(2)
        assert talk.state == "LISTENING"
        assert talk.told == ["assistant: Welcome to the bank. How can I help you today?"]
        assert talk.outcomes == [], "it answers nobody's turn"
        assert not talk.all(c.TurnTraced)

    @pytest.mark.parametrize("text", ["", "  ", "…"])
    def test_nothing_to_say_is_over_at_once(self, text: str) -> None:
        talk = Conversation()
        talk.send(e.SayRequested(text))
        assert talk.state == "LISTENING"
        assert talk.last(c.ReplyEnded).status == "completed"

    def test_in_a_text_session_it_is_text(self) -> None:
        talk = Conversation(TurnPolicy(spoken=False))
        talk.send(e.SayRequested("Welcome."))
        assert talk.state == "LISTENING"
        assert talk.last(c.ReplyEnded).message is not None
        assert not talk.all(c.Say)

    def test_the_caller_may_interrupt_it(self) -> None:
        talk = Conversation()
        talk.send(e.SayRequested("Welcome to the bank. How can I help you today?"))
        talk.voice_speaks(3000)
        talk.wait(1.5)
        talk.caller_says("Hello?")
        assert talk.told == ["assistant: Welcome to the bank.", "user: Hello?"]
        assert talk.state == "THINKING"


class TestLength:
    @pytest.mark.parametrize("spoken", [True, False])
    def test_an_answer_ends_where_it_is_too_long(self, spoken: bool) -> None:
        talk = Conversation(TurnPolicy(spoken=spoken))
        talk.caller_says("Tell me everything.")
        talk.model_writes("word " * (MAX_REPLY_CHARS // 5 - 1))
        talk.model_writes("and another " * 1_000_000)
        talk.model_writes("and more ")
        if spoken:
            talk.voice_speaks(1000)
            talk.voice_ends()
        talk.model_ends()
        talk.wait(5)
        ended = talk.last(c.ReplyEnded)
        assert (ended.status, ended.reason) == ("incomplete", "max_output_tokens")
        assert (
            ended.message is not None
            and MAX_REPLY_CHARS - 10 < len(ended.message.text) < MAX_REPLY_CHARS + 40
        )


class TestText:
    def test_it_is_told_as_it_comes_and_not_spoken(self) -> None:
        talk = Conversation(TurnPolicy(spoken=False))
        talk.caller_says("Hello.")
        talk.model_writes("Hel")
        talk.model_writes("lo.")
        assert [words.text for words in talk.all(c.ReplyWords)] == ["Hel", "lo."]
        talk.model_ends()
        assert talk.state == "LISTENING"
        assert not talk.all(c.Say)
        assert talk.told == ["user: Hello.", "assistant: Hello."]
        assert talk.outcomes == [(1, "answered")]

    def test_one_reply_may_be_text(self) -> None:
        talk = Conversation()
        asking(talk, spoken=False)
        talk.model_writes("Hello.")
        talk.model_ends()
        assert not talk.all(c.Say)
        asking(talk)
        talk.model_writes("Hello.")
        assert talk.said() == ["Hello."]

    def test_what_was_sent_of_it_stays_after_an_interruption(self) -> None:
        talk = Conversation(TurnPolicy(spoken=False))
        talk.caller_says("Hello.")
        talk.model_writes("Hello, what")
        talk.caller_starts("And")
        assert talk.told[-1] == "assistant: Hello, what"

    def test_it_cannot_be_truncated(self) -> None:
        talk = Conversation(TurnPolicy(spoken=False))
        talk.send(e.SayRequested("Welcome."))
        with pytest.raises(ClientProtocolError, match="Only a spoken answer"):
            talk.send(e.Truncated(talk.items[0].item_id, 0))


class TestCancelled:
    def answering(self) -> Conversation:
        talk = Conversation()
        talk.caller_says("What is my balance?")
        return talk

    @pytest.mark.parametrize("reply_id", [None, 1])
    def test_before_it_is_heard(self, reply_id: int | None) -> None:
        talk = self.answering()
        talk.model_writes("It is ten pounds.")
        talk.send(e.ReplyCancelled(reply_id))
        assert talk.state == "LISTENING"
        ended = talk.last(c.ReplyEnded)
        assert (ended.status, ended.reason) == ("cancelled", "client_cancelled")
        assert talk.outcomes == [(1, "unanswered")]
        assert not talk.deadlines

    def test_while_it_is_heard(self) -> None:
        talk = self.answering()
        talk.model_writes("It is ten pounds and nothing else is due.")
        talk.voice_speaks(2000)
        talk.wait(1)
        talk.send(e.ReplyCancelled())
        assert talk.state == "LISTENING"
        assert talk.all(c.StopPlaying)
        assert talk.told[-1] == "assistant: It is ten pounds"
        assert talk.outcomes == [(1, "interrupted")]

    @pytest.mark.parametrize("reply_id", [None, 1, 99])
    def test_when_there_is_none_it_is_refused(self, reply_id: int | None) -> None:
        talk = Conversation()
        with pytest.raises(ClientProtocolError) as refused:
            talk.send(e.ReplyCancelled(reply_id))
        assert refused.value.code == "response_cancel_not_active"

    def test_another_than_the_one_in_progress_is_refused(self) -> None:
        talk = self.answering()
        with pytest.raises(ClientProtocolError):
            talk.send(e.ReplyCancelled(2))
        assert talk.state == "THINKING"

    def test_one_that_only_plays_is_refused(self) -> None:
        talk = self.answering()
        talk.agent_says("Ten pounds.")
        with pytest.raises(ClientProtocolError):
            talk.send(e.ReplyCancelled())
        assert talk.state == "SPEAKING"

    @pytest.mark.parametrize("reply_id", [None, 1])
    def test_a_speculation_is_not_the_clients_to_cancel(self, reply_id: int | None) -> None:
        talk = Conversation()
        talk.caller_starts("What")
        talk.caller_pauses("What is my balance?")
        with pytest.raises(ClientProtocolError):
            talk.send(e.ReplyCancelled(reply_id))
        talk.caller_ends("What is my balance?")
        assert talk.last(c.SpeculationEnded).outcome == "released"

    def test_words_over_it_are_answered_at_once(self) -> None:
        talk = Conversation(TurnPolicy(interruptible=False))
        talk.caller_says("Hello.")
        talk.model_writes("Hello, what can I do")
        talk.model_writes(" for you on this wonderful day?")
        talk.voice_speaks(3000)
        talk.caller_starts("My")
        talk.caller_ends("My balance, please.")
        talk.send(e.ReplyCancelled())
        assert talk.state == "THINKING"
        assert talk.last(c.StartReply).messages[-1]["content"] == "My balance, please."


class TestItems:
    def test_a_client_that_takes_an_id_of_ours_stops_nothing(self) -> None:
        talk = Conversation()
        talk.caller_starts("Hello")
        item_id = talk.last(c.TurnStarted).item_id
        talk.machine.history.add(Message(item_id, "user", "Typed."))
        talk.caller_ends("Hello.")
        talk.agent_says("Hi.")
        assert talk.told == ["user: Typed.", "user: Hello.", "assistant: Hi."]
