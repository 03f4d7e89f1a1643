"""Where a turn's milliseconds went: each belongs to one stage, and they sum to what the caller waited."""

import pytest
from tests.regional.turn.conversation import Conversation, silence, tone

from repartee.latency.timeline import STAGES, TurnTrace
from repartee.turn import commands as c
from repartee.turn import events as e
from repartee.turn.policy import TurnPolicy


def traced(talk: Conversation) -> TurnTrace:
    trace = talk.last(c.TurnTraced).trace
    assert sum(trace.stages_ms.values()) == pytest.approx(trace.voice_to_voice_ms, abs=0.004)
    assert set(trace.stages_ms) <= set(STAGES)
    return trace


def test_a_plain_turn() -> None:
    talk = Conversation()
    talk.caller_starts("Hi")
    talk.wait(2)
    talk.caller_ends("Hi there.", ended_at=1.75)
    talk.wait(0.14)
    talk.model_writes("Hello")
    talk.wait(0.05)
    talk.model_writes(" there. ")
    talk.wait(0.1)
    talk.send(e.SpeechAudio(1, silence(20) + tone(500)))
    trace = traced(talk)
    assert trace.stages_ms == {
        "end_of_turn": 250,
        "llm": 140,
        "chunk": 50,
        "tts": 100,
        "lead_in": pytest.approx(20, abs=0.1),
    }
    assert list(trace.stages_ms) == ["end_of_turn", "llm", "chunk", "tts", "lead_in"]
    assert trace.voice_to_voice_ms == pytest.approx(560, abs=0.1)
    assert (trace.turn_id, trace.reply_id, trace.speculative) == (1, 1, False)


def test_a_speculation_held_until_the_turn_is_confirmed() -> None:
    """The budget's case: the answer is ready before the turn has ended."""
    talk = Conversation()
    talk.caller_starts("Hi")
    talk.wait(2.12)
    talk.caller_pauses("Hi there.", ended_at=2.0)
    talk.wait(0.05)
    talk.model_writes("Hello there. ")
    talk.wait(0.04)
    talk.voice_speaks(500)
    talk.wait(0.04)
    assert not talk.all(c.TurnTraced)
    talk.caller_ends("Hi there.", ended_at=2.0)
    trace = traced(talk)
    assert trace.stages_ms == {
        "end_of_turn": pytest.approx(120),
        "llm": pytest.approx(50),
        "chunk": 0,
        "tts": pytest.approx(40),
        "hold": pytest.approx(40),
        "lead_in": 0,
    }
    assert trace.speculative
    assert trace.voice_to_voice_ms == pytest.approx(250)


def test_a_speculation_confirmed_before_it_is_audible_was_not_held() -> None:
    talk = Conversation()
    talk.caller_starts("Hi")
    talk.wait(2.12)
    talk.caller_pauses("Hi there.", ended_at=2.0)
    talk.wait(0.13)
    talk.caller_ends("Hi there.", ended_at=2.0)
    talk.agent_says("Hello there.")
    trace = traced(talk)
    assert "hold" not in trace.stages_ms
    assert trace.stages_ms["llm"] == pytest.approx(270)


def test_silence_in_pieces_before_the_first_sound_counts() -> None:
    talk = Conversation()
    talk.caller_says("Hi there.")
    talk.model_writes("Hello there. ")
    talk.send(e.SpeechAudio(1, silence(60)))
    assert not talk.all(c.TurnTraced)
    talk.wait(0.01)
    talk.send(e.SpeechAudio(1, silence(40) + tone(100)))
    assert traced(talk).stages_ms["lead_in"] == pytest.approx(100, abs=0.1)


def test_a_tool_before_the_first_word_has_its_stage() -> None:
    talk = Conversation(TurnPolicy(tools=frozenset({"look_up"})))
    talk.caller_says("What is my balance?")
    talk.wait(0.2)
    talk.model_calls("call_1")
    talk.model_ends("tool_calls")
    talk.wait(0.8)
    talk.tool_gives("call_1", "ten")
    talk.agent_says("Ten pounds.")
    trace = traced(talk)
    assert trace.stages_ms["tool"] == pytest.approx(800)
    assert trace.stages_ms["llm"] == pytest.approx(200 + 140)
    assert trace.voice_to_voice_ms == pytest.approx(250 + 200 + 800 + 240)
    assert trace.reply_id == 2


def test_a_reply_begun_behind_another_does_not_take_its_time() -> None:
    talk = Conversation(TurnPolicy(tools=frozenset({"look_up"})))
    talk.caller_says("What is my balance?")
    talk.model_writes("One moment.")
    talk.model_calls("call_1")
    talk.model_ends("tool_calls")
    talk.wait(0.1)
    talk.tool_gives("call_1", "ten")
    talk.wait(0.1)
    talk.model_writes("Ten pounds.", reply=2)
    talk.wait(0.1)
    talk.voice_speaks(500, reply=1)
    trace = traced(talk)
    assert trace.reply_id == 1
    assert trace.stages_ms == {
        "end_of_turn": 250,
        "llm": 0,
        "chunk": 0,
        "tts": pytest.approx(300),
        "lead_in": 0,
    }


def test_an_answer_behind_an_announcement_waited_for_it() -> None:
    talk = Conversation()
    talk.send(e.SayRequested("This call is recorded."))
    talk.voice_speaks(1000)
    talk.voice_ends()
    talk.send(e.ReplyRequested())
    talk.agent_says("Hello there.")
    assert traced(talk).voice_to_voice_ms == pytest.approx(1000)


def test_where_the_end_of_speech_is_unknown_time_runs_from_its_detection() -> None:
    talk = Conversation()
    talk.caller_starts("Hi")
    talk.caller_ends("Hi there.")
    talk.agent_says("Hello.")
    assert traced(talk).stages_ms["end_of_turn"] == 0


def test_an_end_of_speech_in_the_future_is_now() -> None:
    talk = Conversation()
    talk.caller_starts("Hi")
    talk.caller_ends("Hi there.", ended_at=5)
    talk.agent_says("Hello.")
    assert traced(talk).voice_to_voice_ms == pytest.approx(240)


def test_a_turn_is_traced_once() -> None:
    talk = Conversation()
    talk.caller_says("Hi there.")
    talk.model_writes("Hello. How are you?")
    for _ in range(3):
        talk.voice_speaks(200)
    assert len(talk.all(c.TurnTraced)) == 1
    talk.model_ends()
    talk.voice_ends()
    talk.wait(1)
    assert talk.last(c.TurnFinished).trace == talk.last(c.TurnTraced).trace


def test_a_turn_that_was_never_audible_has_no_trace() -> None:
    talk = Conversation()
    talk.caller_says("Hi there.")
    talk.caller_starts("And")
    assert talk.last(c.TurnFinished).trace is None
