"""Whatever a model, a voice, a tool or a caller does, the caller hears an answer, an apology or company."""

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
