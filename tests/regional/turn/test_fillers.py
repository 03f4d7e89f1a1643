"""What the caller hears while a tool keeps them waiting, and how the answer follows it."""

import pytest
from tests.regional.turn.conversation import Conversation

from repartee.agent.fillers import Fillers
from repartee.turn import commands as c
from repartee.turn import events as e
from repartee.turn.filler import NoFillers
from repartee.turn.policy import TurnPolicy

POLICY = TurnPolicy(tools=frozenset({"look_up", "count"}))
PHRASE = "Let me look that up."


def asked() -> Conversation:
    talk = Conversation(POLICY, Fillers({"look_up": [PHRASE, "Nearly there."]}))
    talk.caller_says("What is my balance?")
    return talk


def waiting() -> Conversation:
    """The tool runs; the model is done."""
    talk = asked()
    talk.model_calls("call_1")
    talk.model_ends("tool_calls")
    return talk


def filled() -> Conversation:
    """The filler plays for a second from now."""
    talk = waiting()
    talk.wait(0.15)
    talk.voice_speaks(1000)
    talk.voice_ends()
    return talk


def test_a_tool_that_takes_its_time_is_bridged() -> None:
    talk = waiting()
    talk.wait(0.14)
    assert talk.said() == []
    talk.wait(0.01)
    assert talk.said(2) == [PHRASE]
    talk.voice_speaks(1000)
    assert talk.state == "SPEAKING"


def test_a_quick_tool_is_not() -> None:
    talk = waiting()
    talk.wait(0.1)
    talk.tool_gives("call_1", "ten")
    talk.wait(1)
    assert talk.said() == []


def test_the_answer_follows_the_filler_and_its_time_says_so() -> None:
    talk = filled()
    talk.wait(0.2)
    talk.tool_gives("call_1", "ten")
    talk.agent_says("It is ten pounds.")
    trace = talk.last(c.TurnTraced).trace
    assert trace.filler_ms == pytest.approx(250 + 150)
    assert trace.stages_ms["tool"] == pytest.approx(350)
    assert trace.stages_ms["filler"] == pytest.approx(1000 - 200 - 240)
    assert trace.voice_to_voice_ms == pytest.approx(250 + 150 + 1000)
    talk.wait(3)
    assert talk.outcomes == [(1, "answered")]
    assert talk.state == "LISTENING"


def test_a_filler_that_sounds_after_the_result_came_counts_too() -> None:
    talk = waiting()
    talk.wait(0.15)
    talk.tool_gives("call_1", "ten")
    talk.voice_speaks(1000, reply=2)
    talk.voice_ends(reply=2)
    talk.agent_says("It is ten pounds.")
    assert talk.last(c.TurnTraced).trace.filler_ms == pytest.approx(400)


def test_the_model_is_not_told_of_it() -> None:
    talk = filled()
    talk.wait(1)
    talk.tool_gives("call_1", "ten")
    assert [m["role"] for m in talk.last(c.StartReply).messages] == ["user", "assistant", "tool"]
    assert talk.last(c.StartReply).follows_tools


def test_a_long_wait_gets_a_second_one() -> None:
    talk = filled()
    talk.wait(3.84)
    assert len(talk.all(c.Say)) == 1
    talk.wait(0.02)
    assert talk.last(c.Say).text == "Nearly there."


def test_while_the_agent_speaks_of_its_own_accord_none_is_needed() -> None:
    talk = asked()
    talk.model_writes("Sure, one second please.")
    talk.model_calls("call_1")
    talk.model_ends("tool_calls")
    talk.voice_speaks(2000)
    talk.wait(1)
    talk.voice_ends()
    assert len(talk.all(c.ReplyStarted)) == 1
    talk.wait(1.1)
    assert len(talk.all(c.ReplyStarted)) == 1
    talk.wait(0.1)
    assert talk.last(c.Say).text == PHRASE


def test_none_is_said_before_the_model_has_finished() -> None:
    """It may still say something itself; two voices at once would be worse than a pause."""
    talk = asked()
    talk.model_calls("call_1")
    talk.wait(1)
    assert talk.said() == []
    talk.model_ends("tool_calls")
    talk.wait(0)
    assert talk.said(2) == [PHRASE]


def test_a_text_session_needs_none() -> None:
    talk = Conversation(TurnPolicy(spoken=False, tools=POLICY.tools), Fillers({"look_up": [PHRASE]}))
    talk.caller_says("What is my balance?")
    talk.model_calls("call_1")
    talk.model_ends("tool_calls")
    talk.wait(5)
    assert len(talk.all(c.ReplyStarted)) == 1


def test_a_deadline_that_came_early_waits_for_its_time() -> None:
    talk = waiting()
    due = talk.deadlines["filler"]
    assert talk.send(e.DeadlinePassed("filler")) == [c.SetDeadline("filler", due)]
    talk.wait(0.15)
    assert talk.said(2) == [PHRASE]


def test_the_caller_may_interrupt_it() -> None:
    talk = filled()
    talk.wait(0.5)
    talk.caller_starts("Never")
    assert talk.all(c.StopPlaying)
    assert "filler" not in talk.deadlines
    talk.caller_ends("Never mind.")
    talk.tool_gives("call_1", "ten")
    talk.agent_says("All right.")
    talk.wait(3)
    assert talk.told[-1] == "assistant: All right."
    assert talk.last(c.TurnTraced).trace.filler_ms is None


def test_a_cough_over_it_does_not_lose_the_answer() -> None:
    talk = filled()
    talk.wait(0.5)
    talk.caller_starts()
    assert talk.state == "HEARING"
    talk.tool_gives("call_1", "ten")
    talk.caller_ends("")
    assert talk.state == "THINKING"
    assert talk.last(c.StartReply).messages[-1]["content"] == "ten"


def test_a_filler_that_cannot_be_spoken_is_done_without() -> None:
    talk = waiting()
    talk.wait(0.15)
    talk.send(e.ReplyFailed(2, "tts", "gone"))
    assert talk.state == "THINKING"
    talk.tool_gives("call_1", "ten")
    talk.agent_says("It is ten pounds.")
    talk.wait(3)
    assert talk.outcomes == [(1, "answered")]


@pytest.mark.parametrize(
    ("each", "whole"), [(("hit", "hit"), "hit"), (("hit", "miss"), "miss"), ((None, None), None)]
)
def test_prefetched_results_are_noted(each: tuple[str | None, str | None], whole: str | None) -> None:
    talk = asked()
    talk.model_calls("call_1", "count")
    talk.model_calls("call_2", "count")
    talk.model_ends("tool_calls")
    talk.send(e.ToolFinished("call_1", "1", each[0]))
    talk.send(e.ToolFinished("call_2", "2", each[1]))
    talk.agent_says("It is ten pounds.")
    assert talk.last(c.TurnTraced).trace.prefetch == whole


def test_by_default_there_is_silence() -> None:
    silent = NoFillers()
    silent.begin("call_1", "look_up", 0.0)
    assert silent.due_at(0.0) is None
    assert silent.take(9.0, 0.0) is None
