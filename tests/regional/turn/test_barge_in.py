"""The caller interrupts: the agent is silent at once, and the history holds only what was heard."""

import pytest
from tests.regional.turn.conversation import Conversation, silence

from repartee.errors import ClientProtocolError
from repartee.turn import commands as c
from repartee.turn import events as e

ANSWER = "Your balance is ten pounds, and the last payment was on Monday."
WORDS = (
    ("Your", 0, 300),
    ("balance", 300, 800),
    ("is", 800, 1000),
    ("ten", 1000, 1300),
    ("pounds,", 1300, 1800),
    ("and", 1800, 2000),
)


def answering(*, complete: bool = True, words: bool = False) -> Conversation:
    """The agent speaks an answer of 4 s."""
    talk = Conversation()
    talk.caller_says("What is my balance?")
    talk.model_writes(ANSWER)
    talk.model_ends()
    talk.voice_speaks(4000)
    if words:
        talk.voice_tells_words(*WORDS)
    if complete:
        talk.voice_ends()
    return talk


def test_the_agent_stops_and_the_caller_is_heard() -> None:
    talk = answering(complete=False)
    talk.wait(1)
    commands = talk.caller_starts("Actually")
    assert [type(command) for command in commands] == [
        c.TurnStarted,
        c.TurnHeard,
        c.ClearDeadline,
        c.ClearDeadline,
        c.StopReply,
        c.SpeechCut,
        c.StopPlaying,
        c.AnswerCut,
        c.ReplyEnded,
        c.TurnFinished,
    ]
    assert talk.state == "HEARING"
    assert talk.voice_speaks(1000) == []
    assert talk.outcomes == [(1, "interrupted")]
    talk.caller_ends("Actually, never mind.")
    assert talk.state == "THINKING"


def test_after_the_answer_is_made_its_playing_stops() -> None:
    talk = answering()
    assert talk.last(c.ReplyEnded).status == "completed"
    talk.wait(1)
    commands = talk.caller_starts("Actually")
    assert c.StopPlaying(1) in commands
    assert len(talk.all(c.ReplyEnded)) == 1
    cut = talk.last(c.AnswerCut)
    assert cut.heard_ms == pytest.approx(1000)
    assert cut.heard_text == "Your balance is"
    assert talk.told == ["user: What is my balance?", "assistant: Your balance is"]


@pytest.mark.parametrize("complete", [False, True])
@pytest.mark.parametrize(
    ("after", "heard"),
    [
        (0.0, ""),
        (0.25, ""),
        (0.3, "Your"),
        (1.2, "Your balance is"),
        (1.8, "Your balance is ten pounds,"),
        (1.9, "Your balance is ten pounds,"),
    ],
)
def test_with_word_times_the_words_that_had_ended_were_heard(
    after: float, heard: str, complete: bool
) -> None:
    talk = answering(complete=complete, words=True)
    talk.wait(after)
    talk.caller_starts("Stop")
    assert talk.last(c.AnswerCut).heard_text == heard
    assert talk.told[1:] == ([f"assistant: {heard}"] if heard else [])


@pytest.mark.parametrize(("after", "heard"), [(0.0, ""), (0.2, ""), (2.0, "Your balance is ten pounds, and")])
def test_without_them_it_is_reckoned_back_to_a_whole_word(after: float, heard: str) -> None:
    talk = answering()
    talk.wait(after)
    talk.caller_starts("Stop")
    assert talk.last(c.AnswerCut).heard_text == heard


def test_what_is_played_of_an_unfinished_answer_is_not_the_whole() -> None:
    """All the audio there was has been heard, but the voice had more text than that."""
    talk = Conversation()
    talk.caller_says("What is my balance?")
    talk.model_writes(ANSWER)
    talk.voice_speaks(900)
    talk.wait(0.95)
    talk.caller_starts("Stop")
    assert talk.told[1] == "assistant: Your balance is"


def test_late_word_times_correct_nothing_after_the_cut() -> None:
    talk = answering(complete=False)
    talk.wait(1)
    talk.caller_starts("Stop")
    before = talk.told
    talk.voice_tells_words(*WORDS)
    assert talk.told == before


def test_the_client_knows_better_what_it_played() -> None:
    talk = answering(words=True)
    talk.wait(2)
    talk.caller_starts("Stop")
    assert talk.told[1] == "assistant: Your balance is ten pounds, and"
    item_id = talk.last(c.AnswerCut).item_id
    assert talk.send(e.Truncated(item_id, 1000)) == [c.AnswerCut(item_id, 1000, "Your balance is")]
    talk.caller_ends("Stop.")
    assert talk.last(c.StartReply).messages[1] == {"role": "assistant", "content": "Your balance is"}


@pytest.mark.parametrize("complete", [False, True])
def test_the_client_may_know_before_recognition_does(complete: bool) -> None:
    """Its own detector stopped the playing; ours hears the caller a little later."""
    talk = answering(words=True, complete=complete)
    talk.wait(1.2)
    talk.send(e.Truncated(talk.items[1].item_id, 1000))
    talk.wait(0.8)
    talk.caller_starts("Stop")
    assert talk.told[1] == "assistant: Your balance is"


def test_the_client_may_have_played_more_than_we_reckoned() -> None:
    talk = answering(words=True)
    talk.wait(1)
    talk.caller_starts("Stop")
    talk.send(e.Truncated(talk.last(c.AnswerCut).item_id, 1850))
    assert talk.told[1] == "assistant: Your balance is ten pounds,"


@pytest.mark.parametrize(
    ("which", "at", "complaint"),
    [
        ("nobody", 100, "no item 'nobody'"),
        ("the question", 100, "Only a spoken answer"),
        ("the answer", 4002, "of 4000 ms is already shorter than 4002 ms"),
        ("the answer", -1, "cannot be negative"),
        ("the answer", float("nan"), "cannot be negative"),
    ],
)
def test_a_truncation_that_cannot_be_is_refused(which: str, at: float, complaint: str) -> None:
    talk = answering()
    ids = {"nobody": "nobody", "the question": talk.items[0].item_id, "the answer": talk.items[1].item_id}
    told = talk.told
    with pytest.raises(ClientProtocolError, match=complaint):
        talk.send(e.Truncated(ids[which], at))
    assert talk.told == told


def test_a_client_that_played_it_all_may_say_so() -> None:
    talk = answering()
    talk.send(e.Truncated(talk.items[1].item_id, 4001))
    assert talk.told[1] == f"assistant: {ANSWER}"


def test_an_answer_played_to_its_last_sample_was_heard_whole() -> None:
    talk = answering()
    ends_at = talk.deadlines.pop("played out")
    talk.now = ends_at - 1e-9  # the deadline has not come yet
    talk.caller_starts("Thanks")
    assert not talk.all(c.StopPlaying)
    assert talk.told[1] == f"assistant: {ANSWER}"
    assert talk.state == "HEARING"


def test_silence_at_its_head_is_no_heard_word() -> None:
    talk = Conversation()
    talk.caller_says("What is my balance?")
    talk.model_writes(ANSWER)
    talk.send(e.SpeechAudio(1, silence(200)))
    assert talk.state == "SPEAKING"
    talk.wait(0.1)
    talk.caller_starts("Stop")
    assert talk.told == ["user: What is my balance?"]
    assert talk.outcomes == [(1, "superseded")]


def test_the_interrupted_agent_answers_the_interruption() -> None:
    talk = answering(words=True)
    talk.wait(1)
    talk.caller_starts("And")
    talk.caller_ends("And in euros?")
    talk.agent_says("Eleven euros.")
    talk.wait(2)
    assert talk.told == [
        "user: What is my balance?",
        "assistant: Your balance is",
        "user: And in euros?",
        "assistant: Eleven euros.",
    ]
    assert talk.outcomes == [(1, "interrupted"), (2, "answered")]


def test_two_queued_answers_are_cut_each_at_its_place() -> None:
    """An announcement plays, an answer waits behind it."""
    talk = Conversation()
    talk.send(e.SayRequested("This call is recorded."))
    talk.voice_speaks(1000)
    talk.voice_ends()
    talk.send(e.ReplyRequested())
    talk.agent_says("How can I help you today, sir?", ms=2000)
    talk.wait(0.5)
    talk.caller_starts("Hello?")
    cuts = {cut.item_id: cut.heard_ms for cut in talk.all(c.AnswerCut)}
    assert list(cuts.values()) == [pytest.approx(740), 0.0]
    assert talk.told == ["assistant: This call is"]
