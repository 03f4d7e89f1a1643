"""What the agent says of its own accord: in order, when nothing else is being said, and never lost by accident."""

import pytest
from tests.regional.turn.conversation import Conversation

from repartee.turn import commands as c
from repartee.turn import events as e
from repartee.turn.policy import TurnPolicy


def says(talk: Conversation, text: str) -> list[c.Command]:
    return talk.send(e.SayRequested(text))


def spoken_to_the_end(talk: Conversation, ms: float = 1000) -> None:
    talk.voice_speaks(ms)
    talk.voice_ends()


def test_a_second_text_follows_the_first() -> None:
    talk = Conversation()
    says(talk, "Welcome.")
    says(talk, "This call is recorded.")
    says(talk, "How can I help?")
    for _ in range(3):
        spoken_to_the_end(talk)
    talk.wait(4)
    assert talk.told == [
        "assistant: Welcome.",
        "assistant: This call is recorded.",
        "assistant: How can I help?",
    ]
    assert talk.played_ms() == 3000
    assert talk.state == "LISTENING"


def test_while_the_model_writes_it_waits_for_the_reply() -> None:
    talk = Conversation()
    talk.caller_says("What is my balance?")
    talk.model_writes("It is ten ")
    assert says(talk, "One more thing: we close at five.") == []
    talk.model_writes("pounds.")
    talk.model_ends()
    talk.voice_speaks(1000)
    talk.voice_ends()
    spoken_to_the_end(talk)
    talk.wait(4)
    assert talk.told[1:] == ["assistant: It is ten pounds.", "assistant: One more thing: we close at five."]
    assert talk.outcomes == [(1, "answered")]


def test_while_the_caller_speaks_it_waits_for_the_answer() -> None:
    talk = Conversation()
    talk.caller_starts("What")
    assert says(talk, "We close at five.") == []
    talk.caller_ends("What is my balance?")
    talk.agent_says("Ten pounds.")
    spoken_to_the_end(talk)
    talk.wait(4)
    assert talk.told[1:] == ["assistant: Ten pounds.", "assistant: We close at five."]


def test_a_turn_without_words_does_not_lose_it() -> None:
    talk = Conversation()
    talk.caller_starts()
    says(talk, "We close at five.")
    talk.caller_ends("")
    assert talk.said() == ["We close at five."]


def test_an_interruption_does_not_lose_what_still_waits() -> None:
    talk = Conversation()
    says(talk, "Welcome to the bank of all banks.")
    says(talk, "This call is recorded.")
    talk.voice_speaks(3000)
    talk.wait(0.5)
    talk.caller_says("Hello?")
    talk.agent_says("Hello.")
    spoken_to_the_end(talk)
    talk.wait(4)
    assert talk.told[-1] == "assistant: This call is recorded."


def test_so_many_may_wait_and_no_more() -> None:
    talk = Conversation(TurnPolicy(texts_to_say=16))
    talk.caller_starts()
    for number in range(16):
        assert says(talk, f"Text {number}.") == []
    assert says(talk, "Text 16.") == [c.SayDropped("Text 16.")]
    talk.caller_ends("")
    for _ in range(16):
        spoken_to_the_end(talk, 200)
    talk.wait(9)
    assert talk.told == [f"assistant: Text {number}." for number in range(16)]


@pytest.mark.parametrize("state", ["LISTENING", "HEARING", "THINKING", "SPEAKING"])
def test_it_is_never_the_client_s_error(state: str) -> None:
    talk = Conversation()
    if state != "LISTENING":
        talk.caller_starts("What")
    if state in ("THINKING", "SPEAKING"):
        talk.caller_ends("What is my balance?")
    if state == "SPEAKING":
        talk.model_writes("It is ten pounds, and ")
        talk.voice_speaks(500)
    assert talk.state == state
    for number in range(30):
        says(talk, f"Text {number}.")  # raises nothing


class TestPlayoutReports:
    """A transport that knows what the caller has heard decides how the history is cut."""

    def test_the_history_is_cut_to_what_was_reported(self) -> None:
        talk = Conversation(TurnPolicy(playout_reported=True))
        talk.caller_says("Hello.")
        talk.model_writes("Hello, what can I do for you today?")
        talk.model_ends()
        talk.voice_tells_words(("Hello,", 0, 400), ("what", 400, 600), ("can", 600, 800))
        talk.voice_speaks(3000)
        talk.voice_ends()
        talk.wait(1.5)
        talk.send(e.Played(talk.items[-1].item_id, 420))
        talk.caller_starts("Wait")
        assert talk.last(c.AnswerCut).heard_ms == 420
        assert talk.told[-1] == "assistant: Hello,"

    def test_without_a_report_nothing_was_heard(self) -> None:
        talk = Conversation(TurnPolicy(playout_reported=True))
        talk.caller_says("Hello.")
        talk.model_writes("Hello, what can I do for you today?")
        talk.voice_speaks(3000)
        talk.wait(1.5)
        talk.caller_starts("Wait")
        assert talk.last(c.AnswerCut).heard_ms == 0
        assert talk.told[-1] == "user: Hello."

    def test_a_late_report_takes_nothing_back(self) -> None:
        talk = Conversation(TurnPolicy(playout_reported=True))
        talk.caller_says("Hello.")
        talk.model_writes("Hello, what can I do for you today?")
        talk.voice_speaks(3000)
        item = talk.items[-1].item_id
        talk.send(e.Played(item, 900))
        talk.send(e.Played(item, 400))
        talk.send(e.Played("unknown", 2000))
        talk.caller_starts("Wait")
        assert talk.last(c.AnswerCut).heard_ms == 900
