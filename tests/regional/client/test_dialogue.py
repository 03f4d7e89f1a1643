"""Which answer belongs to which question, whatever the server makes of the caller's pauses. On a clock of its own."""

from typing import Any

import pytest
from tests.regional.client.scripted_region import tone

from repartee.client.dialogue import LAST_WORDS_S, Dialogue, Turn
from repartee.client.playback import PlaybackClock
from repartee.client.report import call_report


class Line:
    """A call to a server that is written down: what it says, and when."""

    def __init__(self) -> None:
        self.now = 0.0
        self.dialogue = Dialogue(PlaybackClock(24_000))
        self.sent: list[dict[str, Any]] = []
        self._responses = 0

    def tell(self, type_: str, **fields: Any) -> None:
        self.sent += self.dialogue.receive({"type": type_, **fields}, self.now)
        self.dialogue.settle()

    def wait(self, seconds: float) -> None:
        self.now += seconds

    def asks(self, text: str) -> Turn:
        return self.dialogue.question_started(text, self.now)

    def over(self, turn: Turn) -> None:
        """The question's last sample has been sent."""
        turn.speech_ended_s = self.now

    def hears(self, item: str) -> None:
        self.tell("input_audio_buffer.speech_started", item_id=item)

    def heard(self, item: str, text: str | None) -> None:
        """The server takes what it heard for a whole turn; None: for nothing at all."""
        self.tell("input_audio_buffer.speech_stopped", item_id=item)
        if text is not None:
            self.tell("input_audio_buffer.committed", item_id=item)
            self.tell("conversation.item.input_audio_transcription.completed", item_id=item, transcript=text)

    def answers(self, text: str, ms: float = 400.0, *, whole: bool = True) -> str:
        """A response with its audio, all at once."""
        self._responses += 1
        name = f"r{self._responses}"
        self.tell("response.created", response={"id": name})
        message = {"id": f"i{self._responses}", "type": "message"}
        self.tell("response.output_item.added", response_id=name, item=message)
        latency = {"stages_ms": {"llm": 10.0}, "response_id": name, "turn_id": self._responses}
        self.tell("repartee.turn.latency", **latency)
        delta = {"response_id": name, "item_id": message["id"], "delta": text}
        self.tell("response.output_audio_transcript.delta", **delta)
        if ms:
            self.dialogue.receive_audio(tone(ms), self.now)
            self.dialogue.settle()
        if whole:
            self.ends(name)
        return name

    def ends(self, name: str, status: str = "completed", output: list[dict[str, Any]] | None = None) -> None:
        self.tell("response.done", response={"id": name, "status": status, "output": output or []})

    def finished(self, turn: Turn) -> bool:
        return self.dialogue.finished(turn, self.now)

    def report(self) -> list[dict[str, Any]]:
        return list(call_report(self.dialogue.turns, "c1")["turns"])


@pytest.fixture
def line() -> Line:
    return Line()


def test_one_question_that_becomes_two_turns_is_answered_by_the_second_answer(line: Line) -> None:
    turn = line.asks("I would like nine o'clock. My name is Anna.")
    line.hears("u1")
    line.wait(1)
    line.heard("u1", "I would like nine o'clock.")
    first = line.answers("Of what day?", 2000, whole=False)
    line.wait(0.2)
    line.hears("u2")
    line.ends(first, "cancelled")
    line.wait(0.6)
    line.over(turn)
    assert not line.finished(turn)
    line.wait(0.3)
    line.heard("u2", "My name is Anna.")
    assert not line.finished(turn)
    line.answers("Thank you, Anna.")
    assert not line.finished(turn), "it has not been heard to its end"
    line.wait(0.5)
    assert line.finished(turn)
    [told] = line.report()
    assert told["answered"] and not told["interrupted"]
    assert told["heard_as"] == "I would like nine o'clock. My name is Anna."
    assert told["voice_to_voice_ms"] == pytest.approx(300)
    assert told["answer"].endswith("Thank you, Anna.")
    assert told["turn_id"] == 2
    assert [event["type"] for event in line.sent] == [
        "conversation.item.truncate",
        "conversation.item.retrieve",
    ]


def test_two_turns_that_are_answered_by_one_answer(line: Line) -> None:
    turn = line.asks("Hello. What are your opening hours?")
    line.hears("u1")
    line.heard("u1", "Hello.")
    line.wait(0.3)
    line.hears("u2")
    line.wait(1)
    line.over(turn)
    line.wait(0.2)
    line.heard("u2", "What are your opening hours?")
    line.answers("We open at eight thirty.")
    line.wait(1)
    assert line.finished(turn)
    [told] = line.report()
    assert told["answered"]
    assert told["answer"] == "We open at eight thirty."


def test_a_part_that_was_answered_in_the_pause_is_not_the_answer(line: Line) -> None:
    """The first answer has been heard to its end when the caller goes on."""
    turn = line.asks("Hello. (three seconds) What are your opening hours?")
    line.hears("u1")
    line.heard("u1", "Hello.")
    line.answers("Good day.")
    line.wait(3)
    line.over(turn)
    assert not line.finished(turn), "the server has not heard the end of it yet"
    line.wait(0.1)
    line.hears("u2")
    line.wait(0.2)
    line.heard("u2", "What are your opening hours?")
    line.answers("At eight thirty.")
    line.wait(1)
    assert line.finished(turn)
    [told] = line.report()
    assert told["answer"] == "Good day. At eight thirty."
    assert told["voice_to_voice_ms"] == pytest.approx(300)


def test_a_last_part_that_the_server_makes_nothing_of_leaves_the_answer_as_it_was(line: Line) -> None:
    """A backchannel: "What are your opening hours? (pause) Mhm." """
    turn = line.asks("What are your opening hours? Mhm.")
    line.hears("u1")
    line.heard("u1", "What are your opening hours?")
    line.answers("At eight thirty.", 600)
    line.wait(0.3)
    line.over(turn)
    line.wait(LAST_WORDS_S - 0.1)
    assert not line.finished(turn)
    line.wait(0.2)
    assert line.finished(turn)
    assert line.report()[0]["answered"]
    assert call_report(line.dialogue.turns, None)["p50_ms"] is None


def test_a_sound_that_turns_out_to_be_nothing_does_not_take_the_answer_away(line: Line) -> None:
    turn = line.asks("What are your opening hours?")
    line.hears("u1")
    line.over(turn)
    line.heard("u1", "What are your opening hours?")
    name = line.answers("At eight thirty.", 2000, whole=False)
    line.wait(0.5)
    line.hears("u2")
    line.ends(name, "cancelled")
    line.heard("u2", None)
    line.wait(1)
    [told] = line.report()
    assert told["answered"] and told["interrupted"]


def test_a_question_that_interrupts_the_answer_before(line: Line) -> None:
    first = line.asks("How do you work?")
    line.hears("u1")
    line.over(first)
    line.heard("u1", "How do you work?")
    name = line.answers("That is a good question.", 5000, whole=False)
    line.wait(2)
    second = line.asks("What are your opening hours?")
    line.hears("u2")
    line.ends(name, "cancelled")
    assert line.finished(first)
    line.over(second)
    line.wait(0.1)
    line.heard("u2", "What are your opening hours?")
    line.answers("At eight thirty.")
    line.wait(1)
    assert line.finished(second)
    told = line.report()
    assert [turn["interrupted"] for turn in told] == [True, False]
    assert [turn["answer"] for turn in told] == ["That is a good question.", "At eight thirty."]


def test_a_late_answer_is_that_of_the_question_it_answers(line: Line) -> None:
    first = line.asks("How do you work?")
    line.hears("u1")
    line.over(first)
    line.heard("u1", "How do you work?")
    line.wait(15)
    second = line.asks("Hello?")
    line.answers("That is a good question.")
    line.wait(1)
    line.hears("u2")
    line.over(second)
    line.heard("u2", "Hello?")
    line.answers("Yes?")
    line.wait(1)
    assert [turn["answer"] for turn in line.report()] == ["That is a good question.", "Yes?"]


def test_a_filler_is_no_answer_and_what_follows_its_tool_is(line: Line) -> None:
    turn = line.asks("What is my balance?")
    line.hears("u1")
    line.over(turn)
    line.heard("u1", "What is my balance?")
    name = line.answers("One moment.", whole=False)
    line.ends(name, output=[{"type": "message"}, {"type": "function_call"}])
    line.wait(1)
    assert not line.finished(turn)
    line.answers("87 dollars.")
    line.wait(1)
    assert line.finished(turn)
    assert line.report()[0]["answer"] == "87 dollars."


def test_a_response_that_is_given_up_before_it_says_anything_is_no_end(line: Line) -> None:
    turn = line.asks("What is my balance?")
    line.hears("u1")
    line.over(turn)
    line.heard("u1", "What is my balance?")
    line.tell("response.created", response={"id": "r9"})
    line.ends("r9", "cancelled")
    assert not line.finished(turn)
    line.answers("87 dollars.")
    line.wait(1)
    assert line.finished(turn) and line.report()[0]["answered"]


def test_a_greeting_that_begins_late_is_no_answer(line: Line) -> None:
    turn = line.asks("Hello?")
    line.hears("u1")
    line.answers("Good day, this is the clinic.")
    line.over(turn)
    line.heard("u1", "Hello?")
    line.answers("Yes?")
    line.wait(2)
    assert line.dialogue.greeting == "Good day, this is the clinic."
    assert line.report()[0]["answer"] == "Yes?"


def test_an_apology_is_no_answer(line: Line) -> None:
    turn = line.asks("What is my balance?")
    line.over(turn)
    line.hears("u1")
    line.heard("u1", "What is my balance?")
    line.wait(0.3)
    line.tell("repartee.turn.finished", turn_id=1, outcome="unanswered", apology=True)
    line.answers("Sorry, something went wrong on my side.")
    line.wait(3)
    report = call_report([turn], "c")
    [told] = report["turns"]
    assert (told["answered"], told["kind"], told["voice_to_voice_ms"]) == (False, "apology", None)
    assert (report["p50_ms"], report["p90_ms"], report["kinds"]) == (None, None, {})


def test_p90_is_that_of_turns_that_waited_for_no_tool(line: Line) -> None:
    turns = []
    for number, (waited_s, stages) in enumerate([(0.4, {"llm": 10.0}), (2.0, {"llm": 10.0, "tool": 1500.0})]):
        turn = line.asks(f"question {number}")
        line.over(turn)
        line.hears(f"u{number}")
        line.heard(f"u{number}", turn.question)
        line.wait(waited_s)
        line.answers("Ten pounds.")
        turn.latency = {**(turn.latency or {}), "stages_ms": stages}
        line.wait(3)
        turns.append(turn)
    report = call_report(turns, "c")
    assert [turn["kind"] for turn in report["turns"]] == ["plain", "tool"]
    assert report["p90_ms"] == report["kinds"]["plain"]["p90_ms"] == pytest.approx(400, abs=5)
    assert report["kinds"]["tool"]["p50_ms"] == pytest.approx(2_000, abs=5)


def test_what_is_said_while_the_agent_runs_a_tool_of_its_own_is_not_the_answer() -> None:
    """Its calls are not in the response's output: clients that do not ask see nothing of them."""
    dialogue = Dialogue(PlaybackClock(24_000))
    turn = dialogue.question_started("What were my last transactions?", 0.0)
    turn.speech_ended_s = 1.0

    def told(type_: str, **fields: Any) -> bool:
        dialogue.receive({"type": type_, **fields}, 2.0)
        return dialogue.finished(turn, 3.0)

    assert not told("response.created", response={"id": "r1"})
    assert not told("repartee.tool.called", call_id="c1")
    assert not told("response.done", response={"id": "r1", "status": "completed", "output": []})
    assert not told("response.created", response={"id": "r2"})
    assert not told("response.done", response={"id": "r2", "status": "completed", "output": []}), "a filler"
    assert not told("repartee.tool.answered", call_id="c1")
    assert not told("response.created", response={"id": "r3"})
    assert told("response.done", response={"id": "r3", "status": "completed", "output": []})
