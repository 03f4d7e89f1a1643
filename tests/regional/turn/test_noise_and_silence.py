"""Noises, echoes and silences: what is an interruption, what is not, and when the agent asks."""

import pytest
from openai.types.realtime import InputAudioBufferTimeoutTriggered
from tests.regional.turn.conversation import Conversation
from tests.regional.turn.test_nobody_is_left_waiting import asked, requests

from repartee.turn import commands as c
from repartee.turn import events as e
from repartee.turn.policy import TurnPolicy
from repartee.wire.announcer import Announcer


class TestNoise:
    def test_an_answer_that_a_noise_has_stopped_goes_on_where_it_stopped(self) -> None:
        talk = asked()
        talk.agent_says("It is ten pounds and five pence.", ms=2000)
        talk.wait(1)
        talk.caller_starts()
        talk.caller_ends("")
        cut = talk.last(c.AnswerCut)
        assert cut.heard_text
        talk.voice_speaks(1000)
        talk.voice_ends()
        talk.wait(2)
        assert " ".join(message.removeprefix("assistant: ") for message in talk.told[1:]).split() == (
            ["It", "is", "ten", "pounds", "and", "five", "pence."]
        )

    def stopped_by_a_noise(self) -> Conversation:
        talk = asked()
        talk.agent_says("It is ten pounds and five pence.", ms=2000)
        talk.wait(1)
        talk.caller_starts()
        talk.wait(0.5)
        talk.caller_ends("")
        assert talk.said()[-1].strip().endswith("pence.")
        return talk

    def test_a_rest_whose_voice_fails_is_followed_by_the_apology(self) -> None:
        talk = self.stopped_by_a_noise()
        talk.send(e.ReplyFailed(talk.last(c.Say).reply_id, "tts", "lost"))
        assert talk.said()[-1] == TurnPolicy().apology

    def test_a_rest_that_is_not_heard_is_given_no_longer_than_an_answer(self) -> None:
        talk = self.stopped_by_a_noise()
        stopped_at = talk.now - 0.5
        while talk.said()[-1] != TurnPolicy().apology and talk.now < stopped_at + 20:
            talk.wait(0.1)
        assert 6.9 <= talk.now - stopped_at <= 7.2

    def test_who_cannot_be_told_even_that_is_not_kept(self) -> None:
        talk = self.stopped_by_a_noise()
        for _ in range(2):
            talk.send(e.ReplyFailed(talk.last(c.Say).reply_id, "tts", "lost"))
        assert talk.all(c.GiveUp)

    def test_words_instead_have_their_own_answer(self) -> None:
        talk = asked()
        talk.agent_says("It is ten pounds and five pence.", ms=2000)
        talk.wait(1)
        talk.caller_says("And in euros?")
        assert requests(talk) == 2

    def test_an_end_that_comes_twice_is_answered_once(self) -> None:
        talk = asked()
        talk.agent_says("Ten.", ms=300)
        talk.wait(1)
        talk.caller_ends("What is my balance?")
        assert talk.state == "LISTENING"
        assert requests(talk) == 1


class TestEcho:
    """The agent's own words, from a loudspeaker."""

    TEXT = "I can book you in for Monday at nine o'clock in the morning."

    def speaking(self) -> Conversation:
        talk = asked()
        talk.agent_says(self.TEXT, ms=3600)
        talk.wait(1.8)
        return talk

    @pytest.mark.parametrize("words", ["for Monday", "for Monday at nine", "Monday", "for Monday at line"])
    def test_it_neither_interrupts_nor_is_answered(self, words: str) -> None:
        talk = self.speaking()
        talk.caller_starts(words.split()[0])
        talk.wait(0.3)
        talk.caller_goes_on(words)
        assert talk.state == "OVERLAP"
        talk.caller_ends(words)
        talk.wait(5)
        assert requests(talk) == 1
        assert talk.state == "LISTENING"
        assert talk.told[-1] == f"assistant: {self.TEXT}"

    def test_the_end_of_it_may_come_when_the_agent_has_finished(self) -> None:
        talk = self.speaking()
        talk.wait(1.2)
        talk.caller_starts("in the")
        talk.wait(0.9)
        talk.caller_ends("in the morning")
        talk.wait(5)
        assert requests(talk) == 1

    @pytest.mark.parametrize("gap_s", [0.05, 0.16, 0.3, 0.6])
    @pytest.mark.parametrize(
        "words", ["Thank you.", "I am very well", "very well, thank you", "Well, thank you."]
    )
    def test_what_the_agent_said_a_moment_ago_is_the_callers_own_when_they_say_it(
        self, words: str, gap_s: float
    ) -> None:
        talk = asked()
        talk.agent_says("I am very well, thank you. What can I do for you?", ms=2500)
        talk.wait(2.5 + gap_s)
        talk.caller_starts()
        talk.wait(0.5)
        talk.caller_ends(words)
        assert requests(talk) == 2

    @pytest.mark.parametrize("gap_s", [0.05, 0.16, 0.3, 0.6])
    @pytest.mark.parametrize(
        "words", ["Monday at nine", "on Monday at nine", "you on Monday at nine o'clock"]
    )
    def test_so_is_an_answer_in_the_agents_last_words(self, words: str, gap_s: float) -> None:
        talk = asked()
        talk.agent_says("Shall I expect you on Monday at nine o'clock?", ms=2500)
        talk.wait(2.5 + gap_s)
        talk.caller_starts()
        talk.wait(0.8)
        talk.caller_ends(words)
        assert requests(talk) == 2

    @pytest.mark.parametrize("gap_s", [-0.3, -0.1, 0.05, 0.16, 0.3])
    def test_yes_is_an_answer_even_to_yes(self, gap_s: float) -> None:
        talk = asked()
        talk.agent_says("Your booking is for two people, yes?", ms=2200)
        talk.wait(2.2 + gap_s)
        talk.caller_starts("yes")
        talk.wait(0.4)
        talk.caller_ends("yes")
        talk.wait(1)
        assert requests(talk) == 2

    def test_over_the_agent_too(self) -> None:
        talk = asked()
        talk.agent_says("I am very well, thank you. What can I do for you on this fine day?", ms=3500)
        talk.wait(2.6)
        talk.caller_starts("very well")
        assert talk.state == "HEARING"

    def test_a_caller_who_says_something_else_interrupts(self) -> None:
        talk = self.speaking()
        talk.caller_starts("for Monday")
        talk.caller_goes_on("for Monday no Tuesday please")
        assert talk.state == "HEARING"

    def test_a_caller_who_repeats_the_agents_words_afterwards_is_answered(self) -> None:
        talk = self.speaking()
        talk.wait(2.5)
        talk.caller_says("Monday at nine o'clock in the morning?")
        assert requests(talk) == 2


class TestSilence:
    def test_the_agent_asks_twice_and_hangs_up(self) -> None:
        talk = asked(TurnPolicy(idle_s=20))
        talk.agent_says("Ten.", ms=500)
        for _ in range(2):
            talk.wait(20.6)
            assert talk.said() == ["Are you still there?"]
            talk.voice_speaks(500)
            talk.voice_ends()
        assert len([say for say in talk.all(c.Say) if say.text == "Are you still there?"]) == 2
        talk.wait(10.4)
        assert not talk.all(c.HangUp)
        talk.wait(0.2)
        assert talk.all(c.HangUp)

    def test_a_caller_who_speaks_is_not_hung_up_on(self) -> None:
        talk = asked(TurnPolicy(idle_s=20))
        talk.agent_says("Ten.", ms=500)
        talk.wait(19)
        talk.caller_says("Thank you.")
        talk.agent_says("You are welcome.")
        talk.wait(15)
        assert not [say for say in talk.all(c.Say) if say.text == "Are you still there?"]

    def test_in_the_models_words(self) -> None:
        talk = asked(TurnPolicy(idle_s=20, still_there=""))
        talk.agent_says("Ten.", ms=500)
        talk.wait(21)
        assert requests(talk) == 2


class TestIdleTimeout:
    """The protocol's own: the client is told, and the model speaks to the caller."""

    POLICY = TurnPolicy(idle_s=6, idle_reported=True)

    def test_the_model_is_asked_each_time_and_nobody_hangs_up(self) -> None:
        talk = asked(self.POLICY)
        talk.agent_says("Ten.", ms=500)
        for number in range(1, 6):
            talk.wait(6.6)
            assert len(talk.all(c.CallerIdle)) == number
            assert requests(talk) == 1 + number
            talk.agent_says("Is there anything else?", ms=500)
        talk.wait(1)
        assert not talk.all(c.HangUp)

    def test_the_event_is_of_the_sdks_type(self) -> None:
        talk = asked(self.POLICY)
        talk.agent_says("Ten.", ms=500)
        talk.wait(6.6)
        idle = talk.last(c.CallerIdle)
        [event] = Announcer("call").tell(idle, 9_000)
        told = InputAudioBufferTimeoutTriggered.model_validate(event, strict=True)
        assert (told.type, told.item_id) == ("input_audio_buffer.timeout_triggered", idle.item_id)
        assert (told.audio_start_ms, told.audio_end_ms) == (3_000, 9_000)
