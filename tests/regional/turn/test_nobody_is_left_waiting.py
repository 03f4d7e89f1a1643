"""Whatever a model, a voice, a tool or a caller does, the caller hears an answer, an apology or company."""

from dataclasses import replace

import pytest
from tests.regional.turn.conversation import Conversation, silence

from repartee.agent.fillers import Fillers
from repartee.turn import commands as c
from repartee.turn import events as e
from repartee.turn.history import FunctionOutput, Message
from repartee.turn.languages import LANGUAGES
from repartee.turn.policy import TurnPolicy

APOLOGY, MORE = TurnPolicy().apology, TurnPolicy().more
TOOLS = TurnPolicy(tools=frozenset({"look_up"}), client_tools=frozenset({"theirs"}))


def asked(policy: TurnPolicy | None = None, **fillers: tuple[str, ...]) -> Conversation:
    talk = Conversation(policy, Fillers(fillers) if fillers else None)
    talk.caller_says("What is my balance?")
    return talk


def requests(talk: Conversation) -> int:
    return len(talk.all(c.StartReply))


def calls(talk: Conversation, call_id: str = "call_1", name: str = "look_up", arguments: str = "{}") -> None:
    talk.model_calls(call_id, name, arguments)
    talk.model_ends("tool_calls")


class TestNothingToHear:
    @pytest.mark.parametrize("text", ["", "  \n", "🙂", "…"])
    @pytest.mark.parametrize("reason", ["stop", "length", "content_filter"])
    def test_the_model_is_asked_once_more_and_then_the_caller_hears_an_apology(
        self, text: str, reason: str
    ) -> None:
        talk = asked()
        for _ in range(2):
            if text:
                talk.model_writes(text)
            talk.model_ends(reason)
        assert requests(talk) == 2
        assert talk.said() == [APOLOGY]
        assert [missing.asked_again for missing in talk.all(c.AnswerMissing)] == [True, False]
        talk.voice_speaks(1000)
        talk.voice_ends()
        talk.wait(1)
        assert talk.told == ["user: What is my balance?", f"assistant: {APOLOGY}"]
        assert talk.outcomes == [(1, "unanswered")]

    def test_the_second_answer_counts_from_the_callers_last_word(self) -> None:
        talk = asked()
        talk.wait(0.5)
        talk.model_ends()
        talk.agent_says("It is ten pounds.")
        assert talk.last(c.TurnTraced).trace.voice_to_voice_ms >= 750
        talk.wait(2)
        assert talk.outcomes == [(1, "answered")]
        assert talk.told[-1] == "assistant: It is ten pounds."

    def test_a_filtered_answer_is_incomplete_and_is_not_shown_to_the_model_again(self) -> None:
        talk = asked()
        talk.model_writes("It is ten pounds. And you are")
        talk.voice_speaks(800)
        talk.model_ends("content_filter")
        talk.voice_ends()
        ended = talk.last(c.ReplyEnded)
        assert (ended.status, ended.reason) == ("incomplete", "content_filter")
        assert talk.told == ["user: What is my balance?"]

    @pytest.mark.parametrize("sound", [b"", silence(600)])
    def test_a_voice_that_is_done_without_a_sound(self, sound: bytes) -> None:
        talk = asked()
        for _ in range(2):
            talk.model_writes("It is ten pounds.")
            talk.model_ends()
            talk.send(e.SpeechAudio(talk.reply, sound))
            talk.voice_ends()
            talk.wait(1)
        assert requests(talk) == 2
        assert talk.said() == [APOLOGY]
        assert talk.told == ["user: What is my balance?", f"assistant: {APOLOGY}"], "nobody heard the rest"

    def test_nothing_after_a_tools_result(self) -> None:
        talk = asked(TOOLS)
        calls(talk)
        talk.tool_gives("call_1", "ten")
        talk.model_ends()
        assert requests(talk) == 3
        talk.model_ends()
        assert talk.said() == [APOLOGY]

    def test_a_caller_who_cannot_even_be_told_is_not_kept(self) -> None:
        talk = asked()
        talk.send(e.ReplyFailed(talk.reply, "tts", "gone"))
        talk.send(e.ReplyFailed(talk.reply, "tts", "gone"))
        assert talk.last(c.GiveUp).reason == "gone"

    def test_a_text_answer_is_asked_for_again_too(self) -> None:
        talk = asked(TurnPolicy(spoken=False))
        talk.model_ends()
        assert requests(talk) == 2
        talk.model_writes("Ten pounds.")
        talk.model_ends()
        assert talk.outcomes == [(1, "answered")]


class TestEightSeconds:
    def test_they_count_from_the_callers_last_word_and_the_apology_is_within_them(self) -> None:
        talk = asked()
        last_word = talk.now - 0.25
        talk.wait(last_word + 7.9 - talk.now)
        assert talk.said() == [APOLOGY]
        talk.voice_speaks(1000)
        assert talk.last(c.Play)

    def test_all_replies_to_a_turn_share_them(self) -> None:
        talk = asked()
        talk.wait(4)
        talk.model_ends()
        talk.wait(2.7)
        assert talk.said() == []
        talk.wait(0.1)
        assert talk.said() == [APOLOGY]


COMPANY = "One moment, please."


class Remembered(Conversation):
    """What is urgent is played from memory. ``sounds_at`` says when a sound began."""

    def __init__(self, policy: TurnPolicy) -> None:
        super().__init__(policy, Fillers({"look_up": ("Let me look.",)}, company=COMPANY))
        self.sounds_at: list[tuple[float, str]] = []

    def send(self, event: e.Event) -> list[c.Command]:
        commands = super().send(event)
        for command in commands:
            if isinstance(command, c.Say) and command.urgent:
                self.sounds_at.append((round(self.now - self.last_word, 3), command.text))
                self.voice_speaks(1200, command.reply_id)
                self.voice_ends(command.reply_id)
        return commands

    def asked(self, late_s: float = 0.25) -> "Remembered":
        """A question whose end recognition tells so late."""
        self.caller_starts("What")
        self.last_word = self.now
        self.wait(late_s)
        self.caller_ends("What is my balance?", self.last_word)
        return self


class TestNothingCanPushTheEightSeconds:
    """From the last sound to the next it is never longer, whatever is tried in between."""

    TOOLS = TurnPolicy(tools=frozenset({"look_up"}), company=COMPANY)

    def test_words_of_the_agents_whose_voice_fails_do_not_leave_the_next_answer_its_own_time(self) -> None:
        talk = Remembered(self.TOOLS).asked()
        talk.wait(6)
        calls(talk)
        talk.send(e.SayRequested("I am still looking."))
        talk.tool_gives("call_1", "ten")
        answer = talk.last(c.StartReply).reply_id
        talk.wait(1.55)
        assert talk.sounds_at == [(7.8, COMPANY)]
        talk.agent_says("It is ten pounds.", reply=answer)
        talk.wait(5)
        assert talk.outcomes == [(1, "answered")]
        assert talk.told[-1] == "assistant: It is ten pounds."

    def test_nor_do_answers_that_follow_each_other_and_are_all_late(self) -> None:
        """Each calls a tool and is not over: its figures are awaited."""
        talk = Remembered(self.TOOLS).asked()
        talk.wait(6.5)
        for number in range(4):
            talk.model_calls(f"call_{number}")
            talk.send(e.ReplyDone(talk.reply, "tool_calls", usage_follows=True))
            talk.tool_gives(f"call_{number}", "ten")
            talk.wait(0.3)
        assert talk.sounds_at == [(7.0, COMPANY)]

    def test_where_there_is_no_company_they_end_with_the_apology(self) -> None:
        talk = Remembered(replace(self.TOOLS, company="")).asked()
        talk.wait(6)
        calls(talk)
        talk.send(e.SayRequested("I am still looking."))
        talk.tool_gives("call_1", "ten")
        talk.wait(1.6)
        assert talk.sounds_at == [(7.8, APOLOGY)]
        talk.wait(3)
        assert talk.outcomes == [(1, "unanswered")]

    def test_a_filler_whose_voice_fails_is_replaced_from_memory(self) -> None:
        talk = Remembered(self.TOOLS).asked()
        talk.wait(6.6)
        calls(talk)
        talk.wait(0.2)
        assert talk.said() == ["Let me look."]
        talk.wait(1)
        assert talk.sounds_at == [(7.8, COMPANY)]
        talk.wait(6)
        assert talk.said() == [COMPANY], "it waits on, and is not alone"

    def test_fillers_that_no_voice_can_speak_have_time_to_be_tried(self) -> None:
        """Nothing is in memory, and the tool may yet answer: each is given two seconds, and no more than that."""
        policy = replace(self.TOOLS, company="", apology_at_hand=False)
        talk = Conversation(policy, Fillers({}, company=COMPANY))
        talk.caller_says("What is my balance?")
        last_word = talk.now - 0.25
        talk.wait(5)
        calls(talk)
        talk.wait(last_word + 11.9 - talk.now)
        assert [say.text for say in talk.all(c.Say)] == [COMPANY] * 3, "after 6, 8 and 10 s"

    @pytest.mark.parametrize("late_s", [7.0, 7.9, 12.0])
    def test_a_turn_that_is_recognised_too_late_hears_company_and_then_the_answer(
        self, late_s: float
    ) -> None:
        talk = Remembered(self.TOOLS).asked(late_s)
        assert talk.sounds_at == [(late_s, COMPANY)]
        answer = talk.last(c.StartReply).reply_id
        talk.wait(6)
        talk.agent_says("It is ten pounds.", reply=answer)
        talk.wait(3)
        assert talk.outcomes == [(1, "answered")]

    def test_without_company_one_that_nobody_could_ask_for_in_time_has_its_own(self) -> None:
        talk = Remembered(replace(self.TOOLS, company="")).asked(12)
        talk.wait(1.9)
        assert talk.sounds_at == []
        talk.wait(0.1)
        assert talk.sounds_at == [(14.0, APOLOGY)]

    def test_an_answer_that_is_there_needs_no_company(self) -> None:
        talk = Remembered(self.TOOLS)
        talk.caller_starts("What")
        talk.last_word = talk.now
        talk.wait(7.2)
        talk.caller_pauses("What is my balance?", talk.last_word)
        talk.model_writes("It is ten pounds.")
        talk.voice_speaks(1000)
        talk.caller_ends("What is my balance?", talk.last_word)
        assert talk.sounds_at == []
        assert talk.last(c.Play)

    def test_a_client_that_answers_by_itself_may_take_its_time(self) -> None:
        talk = Remembered(replace(self.TOOLS, reply_to_turns=False)).asked()
        talk.wait(20)
        talk.send(e.ReplyRequested())
        talk.wait(6.9)
        assert talk.sounds_at == []
        talk.wait(0.1)
        assert talk.sounds_at == [(27.25, APOLOGY)]

    def test_an_apology_that_must_be_spoken_begins_earlier_and_who_cannot_be_told_in_time_is_not_kept(
        self,
    ) -> None:
        talk = Conversation(TurnPolicy(apology_at_hand=False))
        talk.caller_says("What is my balance?")
        last_word = talk.now - 0.25
        talk.wait(last_word + 6 - talk.now)
        assert talk.said() == [APOLOGY]
        talk.wait(1.9)
        assert not talk.all(c.GiveUp)
        talk.wait(0.1)
        assert talk.all(c.GiveUp)
        assert talk.now - last_word <= 8

    @pytest.mark.parametrize("at_hand", [True, False])
    @pytest.mark.parametrize("asked_after_s", [0.0, 3.0, 6.0, 6.9, 7.7, 7.9])
    def test_the_arithmetic(self, at_hand: bool, asked_after_s: float) -> None:
        """An apology from memory is heard at once, one that is spoken within ``apology_s``."""
        policy = TurnPolicy(apology_at_hand=at_hand)
        overdue = max(policy.overdue_at(100.0, 100.0 + asked_after_s), 100.0 + asked_after_s)
        if at_hand or asked_after_s <= policy.patience_s:
            assert overdue + (0 if at_hand else policy.apology_s) <= 108.0


class TestLoops:
    @pytest.mark.parametrize("limit", [1, 3, 8])
    def test_past_the_limit_it_is_asked_once_without_tools_and_then_the_caller_hears_an_apology(
        self, limit: int
    ) -> None:
        talk = asked(TurnPolicy(tools=frozenset({"look_up"}), tool_calls_per_turn=limit))
        for number in range(limit):
            assert talk.last(c.StartReply).tools
            calls(talk, f"call_{number}")
            talk.tool_gives(f"call_{number}", "again")
        assert not talk.last(c.StartReply).tools
        calls(talk, "call_more")
        assert len(talk.all(c.RunTool)) == limit
        assert talk.said() == [APOLOGY]
        assert len(talk.all(c.ReplyStarted)) <= limit + 2

    def test_the_next_turn_may_call_again(self) -> None:
        talk = asked(TurnPolicy(tools=frozenset({"look_up"}), tool_calls_per_turn=1))
        calls(talk)
        talk.tool_gives("call_1", "ten")
        talk.agent_says("It is ten.")
        talk.wait(3)
        talk.caller_says("And in euros?")
        assert talk.last(c.StartReply).tools

    @pytest.mark.parametrize("answered", [True, False])
    def test_nor_do_a_clients_functions_count_in_a_turn_that_it_writes_later(self, answered: bool) -> None:
        talk = Conversation(TurnPolicy(spoken=False, tool_calls_per_turn=2))
        for number in range(6):
            talk.send(e.ItemCreated(Message("", "user", "And the next?")))
            talk.send(e.ReplyRequested())
            assert talk.last(c.StartReply).tools
            calls(talk, f"call_{number}", name="theirs")
            if answered:
                talk.send(e.ItemCreated(FunctionOutput("", f"call_{number}", "ten")))
        assert len(talk.all(c.ToolRequested)) == 6
        assert [turn_id for turn_id, _ in talk.outcomes] == [1, 2, 3, 4, 5]

    def test_a_client_that_only_answers_and_asks_goes_on_with_the_same_turn(self) -> None:
        talk = Conversation(TurnPolicy(spoken=False, tool_calls_per_turn=2))
        talk.send(e.ItemCreated(Message("", "user", "Look it up.")))
        for number in range(3):
            talk.send(e.ReplyRequested())
            calls(talk, f"call_{number}", name="theirs")
            if number < 2:
                talk.send(e.ItemCreated(FunctionOutput("", f"call_{number}", "again")))
        assert [start.tools for start in talk.all(c.StartReply)][:3] == [True, True, False]
        assert len(talk.all(c.ToolRequested)) == 2


class TestWhatServersRefuse:
    def test_a_tool_nobody_has_declared_is_run_by_the_agent_who_refuses_it(self) -> None:
        talk = asked(TOOLS)
        calls(talk, name="imagined")
        assert talk.last(c.RunTool).name == "imagined"
        talk.tool_gives("call_1", '{"error": "There is no such tool."}')
        talk.agent_says("I cannot do that.")
        assert talk.state == "SPEAKING"

    def test_the_clients_own_is_the_clients(self) -> None:
        talk = asked(TOOLS)
        calls(talk, name="theirs")
        assert not talk.all(c.RunTool)

    @pytest.mark.parametrize("name", ["look up", "näme", "", "a" * 80, "functions.look_up"])
    def test_no_name_is_kept_that_a_server_would_refuse(self, name: str) -> None:
        talk = asked(TOOLS)
        calls(talk, name=name)
        talk.tool_gives("call_1", "no")
        (call,) = talk.last(c.StartReply).messages[-2]["tool_calls"]
        assert 0 < len(call["function"]["name"]) <= 64
        assert call["function"]["name"].replace("_", "").isascii()
        assert set(call["function"]["name"]) <= set("abcdefghijklmnopqrstuvwxyz_")

    @pytest.mark.parametrize("arguments", ["", "[1]", "null", "{", '"text"', "{'a': 1}"])
    def test_arguments_that_are_no_object_are_shown_as_an_empty_one(self, arguments: str) -> None:
        talk = asked(TOOLS)
        calls(talk, arguments=arguments)
        assert talk.last(c.RunTool).arguments == arguments, "the tool says what is wrong with them"
        talk.tool_gives("call_1", "wrong")
        assert talk.last(c.StartReply).messages[-2]["tool_calls"][0]["function"]["arguments"] == "{}"

    @pytest.mark.parametrize("length", [40, 41, 200])
    def test_long_ids_are_shortened_and_still_match(self, length: int) -> None:
        talk = asked(TOOLS)
        calls(talk, "c" * length)
        call_id = talk.last(c.RunTool).call_id
        assert len(call_id) <= 40
        talk.tool_gives(call_id, "ten")
        assert talk.last(c.StartReply).messages[-1]["tool_call_id"] == call_id


class TestUntold:
    """A tool's result is told, whatever the caller says while it runs."""

    def waiting(self) -> Conversation:
        talk = asked(TOOLS, look_up=("One moment.",))
        calls(talk)
        talk.wait(0.2)
        talk.voice_speaks(600)
        talk.voice_ends()
        talk.wait(1)
        assert talk.state == "THINKING"
        return talk

    @pytest.mark.parametrize("words", ["okay", "", "mhm", "Okay, thank you.", "great, thanks"])
    def test_what_is_no_new_wish_does_not_end_the_wait(self, words: str) -> None:
        talk = self.waiting()
        talk.caller_starts()
        talk.wait(0.3)
        talk.caller_ends(words)
        assert requests(talk) == 1
        talk.tool_gives("call_1", "failed")
        assert talk.last(c.StartReply).follows_tools
        talk.agent_says("It has failed.")
        talk.wait(3)
        assert talk.told[-1] == "assistant: It has failed."

    def test_a_result_that_comes_after_another_answer_is_told_when_nobody_speaks(self) -> None:
        talk = self.waiting()
        talk.caller_says("What are your opening hours?")
        talk.agent_says("We open at nine.")
        talk.wait(3)
        assert talk.state == "LISTENING"
        talk.tool_gives("call_1", "failed")
        assert talk.state == "THINKING"
        assert requests(talk) == 3
        talk.agent_says("By the way, it has failed.")
        talk.wait(3)
        assert talk.state == "LISTENING"
        assert requests(talk) == 3, "it is told once"

    def test_a_result_during_another_answer_is_told_after_it(self) -> None:
        talk = self.waiting()
        talk.caller_says("What are your opening hours?")
        talk.agent_says("We open at nine.")
        talk.tool_gives("call_1", "failed")
        assert requests(talk) == 2
        talk.wait(3)
        assert requests(talk) == 3

    def test_where_the_client_answers_nothing_is_said_unasked(self) -> None:
        talk = self.waiting()
        talk.caller_says("What are your opening hours?")
        talk.agent_says("We open at nine.")
        talk.wait(3)
        talk.machine.policy = TurnPolicy(tools=frozenset({"look_up"}), reply_to_turns=False)
        talk.tool_gives("call_1", "failed")
        assert talk.state == "LISTENING"


class TestLength:
    def test_it_ends_with_its_last_whole_sentence_and_says_that_there_is_more(self) -> None:
        talk = asked()
        talk.model_writes("It is ten pounds. You spent five on Monday. Then you went and")
        talk.model_ends("length")
        assert "".join(talk.said()) == f"It is ten pounds. You spent five on Monday. {MORE}"


class TestAnswersToTheAgent:
    def speaking(self, text: str, ms: float = 3000) -> Conversation:
        talk = asked()
        talk.agent_says(text, ms=ms)
        return talk

    @pytest.mark.parametrize("word", ["yes", "okay", "sure"])
    def test_a_word_in_its_last_second_is_an_answer(self, word: str) -> None:
        talk = self.speaking("I can book you in for Monday.")
        talk.wait(2.2)
        talk.caller_starts(word)
        talk.wait(0.2)
        talk.caller_ends(word)
        talk.wait(1)
        assert talk.told[-1] == f"user: {word}"
        assert requests(talk) == 2

    @pytest.mark.parametrize("word", ["yes", "okay", "sure"])
    def test_a_word_over_its_last_question_is_an_answer(self, word: str) -> None:
        talk = self.speaking("There is a place on Monday. Shall I book it for you and your wife?", ms=5000)
        talk.wait(3.2)
        talk.caller_starts(word)
        talk.wait(0.2)
        talk.caller_ends(word)
        talk.wait(3)
        assert talk.told[-1] == f"user: {word}"

    def test_a_word_in_its_midst_is_none(self) -> None:
        talk = self.speaking("I can book you in for Monday. It is at nine.")
        talk.wait(1)
        talk.caller_starts("okay")
        talk.caller_ends("okay")
        talk.wait(3)
        assert requests(talk) == 1


class TestRequestBudget:
    def test_guesses_come_out_of_the_turns_budget(self) -> None:
        talk = Conversation(TurnPolicy(extra_requests_per_turn=2, speculations_per_turn=9))
        talk.caller_starts("I")
        for number in range(4):
            talk.caller_pauses(f"I {number}")
            talk.caller_resumes()
        assert requests(talk) == 2
        assert [start.extra for start in talk.all(c.StartReply)] == [1, 0]
        talk.caller_ends("I see.")
        assert requests(talk) == 3, "the turn's own request is no extra one"
        assert talk.last(c.StartReply).extra == 0

    def test_what_one_reply_has_taken_the_next_has_not(self) -> None:
        talk = asked(TurnPolicy(extra_requests_per_turn=5, tools=frozenset({"look_up"})))
        assert talk.last(c.StartReply).extra == 5
        for _ in range(2):
            talk.send(e.ExtraRequest(talk.reply))
        talk.model_calls("c1")
        talk.model_ends("tool_calls")
        talk.tool_gives("c1", "{}")
        assert talk.last(c.StartReply).extra == 3
        talk.agent_says("Ten.")
        talk.wait(3)
        talk.caller_says("And then?")
        assert talk.last(c.StartReply).extra == 5, "each turn has its own"

    def test_it_follows_the_limit_of_tool_calls(self) -> None:
        assert TurnPolicy(extra_requests_per_turn=100, tool_calls_per_turn=3).extra_requests == 9


@pytest.mark.parametrize("code", ["en", "de", "fr", "es", "it", "pt", "nl", "ja", "hi", "pl"])
def test_each_language_has_all_of_its_row(code: str) -> None:
    row = LANGUAGES[code]
    assert row.apology and row.more and row.company and row.still_there and row.style
    assert 5 <= len(row.openers) <= 12 and all(opener[-1] in ".!?。।" for opener in row.openers)
    assert len(row.backchannels) >= 10 and row.thanks
