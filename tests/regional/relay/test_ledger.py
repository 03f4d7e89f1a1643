"""The books on a relayed call: turns, their time and what became of them; items, as another session is told them."""

import pytest

from repartee.agent.fillers import Fillers
from repartee.relay.items import ItemLedger
from repartee.relay.ledger import TurnLedger
from repartee.relay.response import Response
from repartee.turn import commands as c
from repartee.turn.events import ToolFinished
from repartee.turn.item_list import HistoryLimits
from repartee.turn.tool_wait import ToolWait


def ledger() -> TurnLedger:
    return TurnLedger(ToolWait(Fillers({})))


def outcomes(news: list[c.Command]) -> list[tuple[int, str]]:
    return [(told.turn_id, told.outcome) for told in news if isinstance(told, c.TurnFinished)]


def spoken_turn(turns: TurnLedger, at: float) -> None:
    """A turn whose last sound arrived at this time, and whose end was heard 0.25 s later."""
    turns.started(at - 1)
    turns.stopped(at + 0.25, at)


def traced(news: list[c.Command]) -> c.TurnTraced:
    [told] = [one for one in news if isinstance(one, c.TurnTraced)]
    assert sum(told.trace.stages_ms.values()) == pytest.approx(told.trace.voice_to_voice_ms, abs=0.01)
    return told


def test_a_turn_and_its_answer() -> None:
    turns = ledger()
    spoken_turn(turns, 10.0)
    assert turns.sent_audio("r1", "i1", 40, 40, 10.5) == []
    told = traced(turns.sent_audio("r1", "i1", 100, 10, 10.52))
    assert told.trace.stages_ms == {
        "end_of_turn": pytest.approx(250),
        "model": pytest.approx(250),
        "lead_in": pytest.approx(50),
    }
    assert (told.response_id, told.item_id, told.trace.turn_id) == ("r1", "i1", 1)
    assert turns.sent_audio("r1", "i1", 100, 0, 10.6) == []
    due = turns.responded(10.6, more=False, failed=False)
    assert due == pytest.approx(10.74)
    assert turns.played(10.7) == []
    assert outcomes(turns.played(10.75)) == [(1, "answered")]
    assert turns.played(10.8) == []


def test_the_wait_for_a_tool_and_its_filler_have_stages_of_their_own() -> None:
    wait: ToolWait[Response] = ToolWait(Fillers({"look_up": ["One moment."]}))
    turns = TurnLedger(wait)
    spoken_turn(turns, 10.0)
    turns.called_tool(10.4)
    wait.begin(Response("r1", speech_ended_at=10.0), "call_1", "look_up", 10.0, spoken=True)
    assert turns.responded(10.4, more=True, failed=False) is None
    assert wait.take_filler(0.0, 10.45) == "One moment."
    turns.sent_filler(1000, 20, 10.45)
    wait.end(ToolFinished("call_1", "ten", "miss"))
    turns.tools_answered(11.0)
    found = traced(turns.sent_audio("r2", "i2", 100, 0, 11.2))
    assert found.trace.stages_ms == {
        "end_of_turn": pytest.approx(250),
        "model": pytest.approx(150 + 200),
        "tool": pytest.approx(600),
        "filler": pytest.approx(250),
        "lead_in": 0,
    }
    assert found.trace.filler_ms == pytest.approx(470)
    assert found.trace.prefetch == "miss"


@pytest.mark.parametrize(
    ("audible", "spoke_at", "outcome"),
    [(True, 10.6, "interrupted"), (True, 20.0, "answered"), (False, 10.6, "superseded")],
)
def test_the_caller_goes_on(audible: bool, spoke_at: float, outcome: str) -> None:
    turns = ledger()
    spoken_turn(turns, 10.0)
    if audible:
        turns.sent_audio("r1", "i1", 1000, 0, 10.5)
    assert outcomes(turns.started(spoke_at)) == [(1, outcome)]
    assert turns.turn_id == 2
    assert turns.speaker.ends_at <= spoke_at


def test_an_answer_that_fails_before_it_is_audible() -> None:
    turns = ledger()
    spoken_turn(turns, 10.0)
    assert turns.responded(10.5, more=False, failed=True) == 10.5
    assert outcomes(turns.played(10.5)) == [(1, "unanswered")]


def test_turns_by_hand_and_answers_in_writing() -> None:
    turns = ledger()
    assert turns.stopped(5.0, None) == []
    assert turns.unanswered
    turns.wrote()
    turns.responded(5.2, more=False, failed=False)
    assert outcomes(turns.stopped(6.0, None)) == [(1, "answered")]
    assert outcomes(turns.ended("unanswered", 7.0)) == [(2, "unanswered")]


def test_what_is_said_without_a_turn_is_not_traced() -> None:
    turns = ledger()
    assert turns.sent_audio("greeting", "i", 1000, 0, 1.0) == []
    assert turns.responded(1.0, more=False, failed=False) is None
    assert turns.played(3.0) == []
    assert outcomes(turns.started(1.5)) == []


def message(role: str) -> dict[str, str]:
    return {"type": "message", "role": role}


def test_items_are_told_as_they_were_heard() -> None:
    items = ItemLedger()
    items.add("u1", message("user"))
    items.says("u1", "What is it?")
    items.add("a1", message("assistant"))
    for words in ("It is ", "a quarter ", "past nine."):
        items.continues("a1", words)
    items.sounds("a1", 2600)
    items.cut("a1", 1300)
    items.add("f1", {"type": "function_call", "call_id": "c", "name": "look", "arguments": "{}"})
    items.add("o1", {"type": "function_call_output", "call_id": "c", "output": "1"}, after="f1")
    items.add("s1", message("system"), text="Be brief.", after="u1")
    assert items.replay() == [
        {"id": "u1", **message("user"), "content": [{"type": "input_text", "text": "What is it?"}]},
        {"id": "s1", **message("system"), "content": [{"type": "input_text", "text": "Be brief."}]},
        {"id": "a1", **message("assistant"), "content": [{"type": "output_text", "text": "It is a"}]},
        {"id": "f1", "type": "function_call", "call_id": "c", "name": "look", "arguments": "{}"},
        {"id": "o1", "type": "function_call_output", "call_id": "c", "output": "1"},
    ]


def test_an_answer_of_which_nothing_was_heard_was_not_given() -> None:
    items = ItemLedger()
    items.add("a1", message("assistant"), text="Good morning.")
    items.sounds("a1", 900)
    items.cut("a1", 0)
    assert items.replay() == []


def test_what_nobody_has_transcribed_is_to_be_heard_again() -> None:
    items = ItemLedger()
    items.add("u1", message("user"), text="Hello.")
    assert not items.drop_unheard()
    items.add("u2", message("user"))
    assert items.drop_unheard()
    assert "u1" in items
    assert "u2" not in items


def test_old_items_are_forgotten() -> None:
    items = ItemLedger(HistoryLimits(items=300))
    for number in range(305):
        items.add(f"u{number}", message("user"), text="Hello.")
    assert len(items) == 300
    assert items.replay()[0]["id"] == "u5"
    items.remove("u5")
    assert "u5" not in items


def test_answers_that_grow_are_bounded_too() -> None:
    items = ItemLedger(HistoryLimits(size=1000))
    items.add("a1", message("assistant"))
    for _ in range(20):
        items.continues("a1", "x" * 100)
    items.add("u1", message("user"), text="Hello.")
    assert [item["id"] for item in items.replay()] == ["u1"]


def test_an_output_without_its_call_is_not_told() -> None:
    items = ItemLedger()
    items.add("o1", {"type": "function_call_output", "call_id": "c", "output": "1"})
    assert items.replay() == []
