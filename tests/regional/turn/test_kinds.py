"""Which kind a turn is of: apology before tool before hit before plain."""

from tests.regional.turn.conversation import Conversation

from repartee.telemetry.events import TurnOver
from repartee.telemetry.report import CallLabels, CallReport
from repartee.telemetry.turn_log import turn_line
from repartee.turn import commands as c
from repartee.turn import events as e
from repartee.turn.foresight import Foreseen
from repartee.turn.policy import TurnPolicy


def talking() -> Conversation:
    return Conversation(TurnPolicy(tools=frozenset({"look_up"})))


def plain(talk: Conversation) -> None:
    talk.caller_says("What is my balance?")
    talk.agent_says("Ten pounds.")
    talk.wait(3)


def test_a_turn_without_tools_is_plain() -> None:
    talk = talking()
    plain(talk)
    assert talk.last(c.TurnFinished).trace is not None
    assert talk.last(c.TurnTraced).trace.kind == "plain"


def test_a_turn_that_waited_for_a_tool_is_a_tools_however_much_was_prefetched() -> None:
    for prefetch in (None, "miss", "hit"):
        talk = talking()
        talk.caller_says("What is my balance?")
        talk.model_calls("call_1")
        talk.model_ends("tool_calls")
        talk.wait(0.4)
        talk.send(e.ToolFinished("call_1", "ten", prefetch=prefetch))
        talk.agent_says("Ten pounds.")
        assert talk.last(c.TurnTraced).trace.kind == "tool"


def test_what_was_looked_up_ahead_makes_a_hit() -> None:
    talk = talking()
    talk.caller_says("What is my balance?")
    looked_up = Foreseen("look_up", "{}", "ten")
    talk.send(e.LookedUp(1, (looked_up,)))
    talk.agent_says("Ten pounds.")
    assert talk.last(c.TurnTraced).trace.kind == "hit"


def test_an_apology_is_a_kind_of_its_own_and_no_answer() -> None:
    talk = talking()
    talk.caller_says("What is my balance?")
    talk.send(e.ReplyFailed(1, "llm", "gone"))
    talk.voice_speaks(2000)
    talk.voice_ends()
    talk.wait(3)
    finished = talk.last(c.TurnFinished)
    assert (finished.outcome, finished.apology, finished.trace) == ("unanswered", True, None)
    assert not talk.all(c.TurnTraced)


def test_a_turn_that_nobody_apologises_for_is_no_apology() -> None:
    talk = Conversation(TurnPolicy(apology=""))
    talk.caller_says("What is my balance?")
    talk.send(e.ReplyFailed(1, "llm", "gone"))
    assert not talk.last(c.TurnFinished).apology


def test_the_uncertain_end_of_speech_is_told_in_the_trace() -> None:
    for certain in (True, False):
        talk = talking()
        talk.caller_starts("What")
        talk.wait(1)
        talk.send(e.EndOfTurn("What is my balance?", speech_ended_at=0.8, speech_end_certain=certain))
        talk.agent_says("Ten pounds.")
        assert talk.last(c.TurnTraced).trace.speech_end_certain is certain


def test_the_turn_line_has_the_kind_and_which_turn_was_the_first() -> None:
    talk = talking()
    emitted: list[TurnOver] = []
    report = CallReport(CallLabels("call", "here", "", {}), emitted.append)  # type: ignore[arg-type]
    talk.caller_says("What is my balance?")
    talk.send(e.ReplyFailed(1, "llm", "gone"))
    talk.voice_speaks(1000)
    talk.voice_ends()
    talk.wait(3)
    for _ in range(2):
        plain(talk)
    for finished in talk.all(c.TurnFinished):
        report.turn_finished(finished)
    lines = [turn_line(event) for event in emitted]
    assert [(line["kind"], line["first"]) for line in lines] == [
        ("apology", True),
        ("plain", True),
        ("plain", False),
    ], "a turn is the first until one has been answered"
