"""Tools the agent runs and tools the client runs, and the answer that waits for them."""

import pytest
from tests.regional.turn.conversation import Conversation

from repartee.errors import ClientProtocolError
from repartee.turn import commands as c
from repartee.turn import events as e
from repartee.turn.history import STILL_RUNNING, FunctionOutput
from repartee.turn.policy import TurnPolicy

SERVER = TurnPolicy(tools=frozenset({"look_up", "count"}))


def asked(policy: TurnPolicy = SERVER) -> Conversation:
    talk = Conversation(policy)
    talk.caller_says("What is my balance?")
    return talk


def tool_results(talk: Conversation) -> list[str]:
    return [m["content"] for m in talk.last(c.StartReply).messages if m["role"] == "tool"]


class TestOfTheAgent:
    def test_a_silent_call_and_the_answer(self) -> None:
        talk = asked()
        talk.model_calls("call_1", "look_up", '{"name": "Ann"}')
        assert talk.last(c.RunTool) == c.RunTool(1, "call_1", "look_up", '{"name": "Ann"}')
        assert talk.last(c.ToolRequested).item.call_id == "call_1"
        talk.model_ends("tool_calls")
        assert talk.last(c.ReplyEnded).message is None
        assert talk.state == "THINKING"
        talk.wait(0.8)
        given = talk.tool_gives("call_1", "ten pounds")
        assert isinstance(given[0], c.ItemAdded)
        assert tool_results(talk) == ["ten pounds"]
        assert talk.last(c.StartReply).turn_id == 1
        talk.agent_says("It is ten pounds.")
        talk.wait(2)
        assert talk.outcomes == [(1, "answered")]
        assert talk.state == "LISTENING"

    def test_parallel_calls_are_answered_together(self) -> None:
        talk = asked()
        talk.model_calls("call_1")
        talk.model_calls("call_2", "count")
        talk.model_ends("tool_calls")
        talk.tool_gives("call_2", "two")
        assert len(talk.all(c.StartReply)) == 1
        talk.tool_gives("call_1", "one")
        assert tool_results(talk) == ["one", "two"]

    def test_results_before_the_model_has_finished_wait_for_it(self) -> None:
        talk = asked()
        talk.model_calls("call_1")
        talk.tool_gives("call_1", "one")
        assert len(talk.all(c.StartReply)) == 1
        talk.model_calls("call_2", "count")
        talk.model_ends("tool_calls")
        assert len(talk.all(c.StartReply)) == 1
        talk.tool_gives("call_2", "two")
        assert tool_results(talk) == ["one", "two"]

    def test_all_results_before_the_model_has_finished(self) -> None:
        talk = asked()
        talk.model_calls("call_1")
        talk.tool_gives("call_1", "one")
        talk.model_ends("tool_calls")
        assert tool_results(talk) == ["one"]
        talk.agent_says("It is one.")
        talk.wait(2)
        assert talk.outcomes == [(1, "answered")]

    def test_words_before_the_call_are_spoken_at_once_and_stand_before_it(self) -> None:
        talk = asked()
        talk.model_writes("One moment please")
        assert talk.said() == []
        talk.model_calls("call_1")
        assert talk.said() == ["One moment please"]
        assert talk.told[1:] == ["assistant: One moment please", "assistant: calls", f"tool: {STILL_RUNNING}"]
        talk.model_ends("tool_calls")
        assert talk.last(c.Say).last

    def test_the_second_reply_is_held_until_the_first_is_complete(self) -> None:
        talk = asked()
        talk.model_writes("One moment, please.")
        talk.model_calls("call_1")
        talk.model_ends("tool_calls")
        talk.voice_speaks(500, reply=1)
        talk.tool_gives("call_1", "ten")
        assert talk.last(c.StartReply).reply_id == 2
        assert len(talk.all(c.ReplyStarted)) == 1, "the client does not know of it yet"
        talk.model_writes("It is ten pounds. You spent five.", reply=2)
        assert talk.said(2) == ["It is ten pounds."]
        talk.voice_speaks(800, reply=2)
        assert talk.played_ms(2) == 0
        talk.voice_speaks(500, reply=1)
        talk.voice_ends(reply=1)
        assert talk.played_ms(1) == 1000
        assert talk.played_ms(2) == 800
        assert talk.said(2) == ["It is ten pounds.", " You spent five."]
        talk.model_ends(reply=2)
        talk.voice_ends(reply=2)
        talk.wait(3)
        assert talk.told == [
            "user: What is my balance?",
            "assistant: One moment, please.",
            "assistant: calls",
            "tool: ten",
            "assistant: It is ten pounds. You spent five.",
        ]
        assert talk.outcomes == [(1, "answered")]

    def test_a_slow_tool_outlasts_the_words_before_it(self) -> None:
        talk = asked()
        talk.model_writes("One moment, please.")
        talk.model_calls("call_1")
        talk.model_ends("tool_calls")
        talk.voice_speaks(900)
        talk.voice_ends()
        talk.wait(0.9)
        assert talk.state == "THINKING"
        talk.wait(30)
        assert talk.state == "THINKING"
        talk.tool_gives("call_1", "ten")
        talk.agent_says("It is ten pounds.")
        talk.wait(2)
        assert talk.outcomes == [(1, "answered")]
        assert len(talk.all(c.TurnTraced)) == 1, "the first words were the answer's first sound"

    def test_tools_may_follow_tools(self) -> None:
        talk = asked()
        for number in (1, 2, 3):
            talk.model_calls(f"call_{number}")
            talk.model_ends("tool_calls")
            talk.tool_gives(f"call_{number}", str(number))
        talk.agent_says("It is ten pounds.")
        talk.wait(2)
        assert tool_results(talk) == ["1", "2", "3"]
        assert talk.outcomes == [(1, "answered")]

    def test_after_a_barge_in_the_result_is_noted_but_not_spoken(self) -> None:
        talk = asked()
        talk.model_calls("call_1")
        talk.model_ends("tool_calls")
        talk.caller_starts("Never")
        assert talk.outcomes == [(1, "superseded")]
        assert isinstance(talk.tool_gives("call_1", "ten")[0], c.ItemAdded)
        assert len(talk.all(c.StartReply)) == 1
        talk.caller_ends("Never mind.")
        assert talk.last(c.StartReply).messages == [
            {"role": "user", "content": "What is my balance?"},
            {"role": "assistant", "content": None, "tool_calls": [_entry("call_1")]},
            {"role": "tool", "tool_call_id": "call_1", "content": "ten"},
            {"role": "user", "content": "Never mind."},
        ]

    def test_a_result_after_the_next_answer_has_begun_comes_too_late_for_it(self) -> None:
        talk = asked()
        talk.model_calls("call_1")
        talk.model_ends("tool_calls")
        talk.caller_says("Never mind.")
        assert tool_results(talk) == [STILL_RUNNING]
        talk.tool_gives("call_1", "ten")
        assert len(talk.all(c.StartReply)) == 2
        talk.agent_says("All right.")
        talk.wait(2)
        talk.caller_says("Well?")
        assert tool_results(talk) == ["ten"]

    def test_a_result_that_comes_twice_counts_once(self) -> None:
        talk = asked()
        talk.model_calls("call_1")
        talk.model_ends("tool_calls")
        talk.tool_gives("call_1", "ten")
        assert talk.tool_gives("call_1", "eleven") == []
        assert tool_results(talk) == ["ten"]

    def test_a_model_that_reuses_ids_does_not_mix_up_its_calls(self) -> None:
        talk = asked()
        talk.model_calls("call_0")
        talk.model_ends("tool_calls")
        talk.tool_gives("call_0", "one")
        talk.model_calls("call_0")
        talk.model_ends("tool_calls")
        second = talk.last(c.RunTool).call_id
        assert second != "call_0"
        talk.tool_gives(second, "two")
        assert tool_results(talk) == ["one", "two"]

    def test_a_model_with_nothing_to_add_ends_the_turn(self) -> None:
        talk = asked()
        talk.model_writes("Done.")
        talk.model_calls("call_1")
        talk.model_ends("tool_calls")
        talk.voice_speaks(400)
        talk.voice_ends()
        talk.wait(1)
        talk.tool_gives("call_1", "ok")
        talk.model_ends()
        assert len(talk.all(c.StartReply)) == 3, "asked once more"
        talk.model_ends()
        assert talk.said() == [TurnPolicy().apology]
        talk.voice_speaks(1000)
        talk.voice_ends()
        talk.wait(1)
        assert talk.state == "LISTENING"
        assert talk.outcomes == [(1, "unanswered")]

    def test_the_client_cannot_ask_for_a_reply_while_one_waits_for_a_tool(self) -> None:
        talk = asked()
        talk.model_calls("call_1")
        talk.model_ends("tool_calls")
        with pytest.raises(ClientProtocolError, match="response in progress"):
            talk.send(e.ReplyRequested())

    def test_something_may_be_said_meanwhile_and_the_answer_follows_it(self) -> None:
        talk = asked()
        talk.model_calls("call_1")
        talk.model_ends("tool_calls")
        talk.send(e.SayRequested("Let me pull up your account."))
        talk.tool_gives("call_1", "ten")
        assert talk.last(c.StartReply).reply_id == 3
        talk.model_writes("It is ten pounds.", reply=3)
        talk.voice_speaks(700, reply=3)
        assert talk.played_ms() == 0
        talk.voice_speaks(1000, reply=2)
        talk.voice_ends(reply=2)
        assert talk.played_ms(3) == 700
        talk.model_ends(reply=3)
        talk.voice_ends(reply=3)
        talk.wait(3)
        assert talk.state == "LISTENING"
        assert talk.outcomes == [(1, "answered")]

    def test_cancelled_while_the_tool_runs_nothing_is_said_of_it(self) -> None:
        talk = asked()
        talk.model_calls("call_1")
        talk.model_ends("tool_calls")
        talk.send(e.ReplyCancelled())
        assert talk.state == "LISTENING"
        assert talk.outcomes == [(1, "unanswered")]
        talk.tool_gives("call_1", "ten")
        assert talk.state == "LISTENING"
        assert len(talk.all(c.StartReply)) == 1

    def test_a_noise_while_the_tool_runs_does_not_lose_the_answer(self) -> None:
        talk = asked()
        talk.model_calls("call_1")
        talk.model_ends("tool_calls")
        talk.caller_starts()
        talk.tool_gives("call_1", "ten")
        talk.caller_ends("")
        assert tool_results(talk) == ["ten"]
        assert talk.state == "THINKING"


class TestOfTheClient:
    def asked_for(self, words: str = "") -> Conversation:
        talk = asked(TurnPolicy())
        talk.wait(0.1)
        if words:
            talk.model_writes(words)
        talk.model_calls("call_1")
        talk.model_ends("tool_calls")
        if words:
            talk.voice_speaks(800)
            talk.voice_ends()
        return talk

    def give(self, talk: Conversation, output: str) -> None:
        """The client adds the output to the conversation and asks to go on."""
        talk.machine.history.add(FunctionOutput("item_x", "call_1", output))
        talk.send(e.ReplyRequested())

    def test_nothing_is_run_here(self) -> None:
        talk = self.asked_for()
        assert not talk.all(c.RunTool)
        assert talk.last(c.ReplyEnded).status == "completed"
        assert talk.state == "LISTENING"
        assert talk.outcomes == []

    def test_the_answer_follows_when_the_client_asks(self) -> None:
        talk = self.asked_for()
        talk.wait(0.6)
        self.give(talk, "ten")
        assert tool_results(talk) == ["ten"]
        assert talk.last(c.StartReply).turn_id == 1
        talk.agent_says("It is ten pounds.")
        talk.wait(2)
        assert talk.outcomes == [(1, "answered")]

    def test_the_turns_time_runs_on_meanwhile(self) -> None:
        talk = self.asked_for()
        talk.wait(0.6)
        self.give(talk, "ten")
        talk.agent_says("It is ten pounds.")
        trace = talk.last(c.TurnTraced).trace
        assert trace.stages_ms["tool"] == pytest.approx(600)
        assert trace.voice_to_voice_ms == pytest.approx(250 + 100 + 600 + 140 + 100)

    def test_after_audible_words_it_is_still_the_same_turn(self) -> None:
        talk = self.asked_for("One moment, please.")
        talk.wait(2)
        assert talk.state == "LISTENING"
        self.give(talk, "ten")
        talk.agent_says("It is ten pounds.")
        talk.wait(2)
        assert talk.outcomes == [(1, "answered")]
        assert len(talk.all(c.TurnTraced)) == 1

    @pytest.mark.parametrize(("words", "outcome"), [("", "superseded"), ("One moment.", "answered")])
    def test_a_caller_who_speaks_instead_begins_a_new_turn(self, words: str, outcome: str) -> None:
        talk = self.asked_for(words)
        talk.wait(2)
        talk.caller_says("Never mind.")
        assert talk.outcomes == [(1, outcome)]
        talk.agent_says("All right.")
        talk.wait(2)
        assert talk.outcomes == [(1, outcome), (2, "answered")]
        assert "tool" not in talk.last(c.TurnTraced).trace.stages_ms

    def test_hung_up_meanwhile(self) -> None:
        talk = self.asked_for()
        talk.send(e.HungUp())
        assert talk.outcomes == [(1, "unanswered")]


def _entry(call_id: str) -> dict[str, object]:
    return {"id": call_id, "type": "function", "function": {"name": "look_up", "arguments": "{}"}}
