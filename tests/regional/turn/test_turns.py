"""Plain turns: the caller speaks, the agent answers; what is late, empty or lost."""

import pytest
from tests.regional.turn.conversation import Conversation

from repartee.turn import commands as c
from repartee.turn import events as e
from repartee.turn.history import Message
from repartee.turn.machine import TurnMachine
from repartee.turn.policy import TurnPolicy
from repartee.turn.state import State


def kinds(commands: list[c.Command]) -> list[str]:
    return [type(command).__name__ for command in commands]


def test_a_question_is_answered() -> None:
    talk = Conversation()
    assert kinds(talk.caller_starts("What")) == ["TurnStarted", "TurnHeard"]
    assert kinds(talk.caller_goes_on("What is my")) == ["TurnHeard"]
    ended = talk.caller_ends("What is my balance?")
    assert kinds(ended) == [
        "TurnHeard",
        "ClearDeadline",
        "TurnEnded",
        "StartReply",
        "ReplyStarted",
        "SetDeadline",
    ]
    assert talk.last(c.StartReply).messages == [{"role": "user", "content": "What is my balance?"}]
    assert talk.state == "THINKING"
    talk.model_writes("It is ten ")
    talk.model_writes("pounds.")
    assert talk.said() == ["It is ten pounds."]
    talk.model_ends()
    assert talk.last(c.Say).last
    talk.voice_speaks(1500)
    assert talk.state == "SPEAKING"
    talk.voice_ends()
    talk.wait(1.4)
    assert talk.state == "SPEAKING"
    talk.wait(0.1)
    assert talk.state == "LISTENING"
    assert talk.played_ms() == 1500
    assert talk.told == ["user: What is my balance?", "assistant: It is ten pounds."]
    assert talk.outcomes == [(1, "answered")]
    assert talk.last(c.ReplyEnded).status == "completed"


def test_the_next_turn_sees_the_one_before() -> None:
    talk = Conversation()
    talk.caller_says("Hello.")
    talk.agent_says("Hi. How can I help?")
    talk.wait(2)
    talk.caller_says("What time is it?")
    assert [message["content"] for message in talk.last(c.StartReply).messages] == [
        "Hello.",
        "Hi. How can I help?",
        "What time is it?",
    ]
    assert talk.last(c.TurnEnded).previous_item_id == talk.items[1].item_id


def test_items_follow_each_other_by_id() -> None:
    talk = Conversation()
    talk.caller_says("Hello.")
    talk.agent_says("Hi.")
    ended, answer = talk.last(c.TurnEnded), talk.last(c.AnswerStarted)
    assert ended.previous_item_id is None
    assert answer.previous_item_id == ended.item_id == talk.last(c.TurnStarted).item_id
    assert len({item.item_id for item in talk.items}) == 2


def test_words_that_repeat_are_no_news() -> None:
    talk = Conversation()
    talk.caller_starts("Hello")
    assert talk.caller_goes_on("Hello") == []
    assert talk.caller_goes_on("") == []


def test_a_noise_without_words_asks_for_nothing() -> None:
    talk = Conversation()
    talk.caller_starts()
    talk.caller_ends("")
    assert talk.state == "LISTENING"
    assert talk.last(c.TurnEnded).item is None
    assert not talk.all(c.StartReply)
    assert talk.told == []


@pytest.mark.parametrize("event", [e.PartialTranscript(""), e.EagerEndOfTurn(""), e.EndOfTurn("")])
@pytest.mark.parametrize("speaking", [False, True])
def test_no_words_and_no_turn_is_nothing(event: e.Event, speaking: bool) -> None:
    """Some recognisers report even while nobody speaks; that must not stop the agent."""
    talk = Conversation()
    if speaking:
        talk.caller_says("Hello.")
        talk.agent_says("Hi there, how are you?", ms=3000)
    state = talk.state
    assert talk.send(event) == []
    assert talk.state == state


@pytest.mark.parametrize("event", [e.PartialTranscript("Hello the"), e.EndOfTurn("Hello."), e.TurnResumed()])
def test_late_words_of_the_turn_that_ended_are_dropped(event: e.Event) -> None:
    talk = Conversation()
    talk.caller_says("Hello.")
    assert talk.send(event) == []
    assert talk.state == "THINKING"


def test_speech_before_the_answer_is_heard_supersedes_it() -> None:
    talk = Conversation()
    talk.caller_says("What is my balance?")
    talk.model_writes("Your bal")
    commands = talk.caller_starts("And")
    assert kinds(commands)[0] == "TurnStarted"
    assert talk.last(c.ReplyEnded).status == "cancelled"
    assert talk.last(c.ReplyEnded).reason == "turn_detected"
    assert talk.outcomes == [(1, "superseded")]
    talk.caller_ends("And the date?")
    assert talk.told == ["user: What is my balance?", "user: And the date?"]
    talk.agent_says("Ten pounds, and it is Monday.")
    talk.wait(2)
    assert talk.outcomes == [(1, "superseded"), (2, "answered")]
    assert talk.state == "LISTENING"


def test_words_at_the_voice_that_nobody_heard_are_not_in_the_history() -> None:
    talk = Conversation()
    talk.caller_says("What is my balance?")
    talk.model_writes("Your balance is ten pounds.")
    assert talk.said()
    talk.caller_starts("And")
    assert talk.told == ["user: What is my balance?"]


def test_a_cough_before_the_answer_does_not_lose_it() -> None:
    """The caller asked; a noise came; the answer is still owed."""
    talk = Conversation()
    talk.caller_says("What is my balance?")
    talk.model_writes("Your bal")
    talk.caller_starts()
    assert talk.last(c.StopReply).reply_id == 1
    talk.caller_ends("")
    assert talk.state == "THINKING"
    assert talk.last(c.StartReply).messages == [{"role": "user", "content": "What is my balance?"}]
    talk.agent_says("Ten pounds.")
    talk.wait(2)
    assert talk.told == ["user: What is my balance?", "assistant: Ten pounds."]
    assert talk.outcomes == [(1, "superseded"), (2, "answered")]
    assert len(talk.all(c.StartReply)) == 2


def test_where_the_client_asks_a_cough_ends_its_reply() -> None:
    talk = Conversation(TurnPolicy(reply_to_turns=False))
    talk.send(e.ReplyRequested())
    talk.caller_starts()
    talk.caller_ends("")
    assert talk.state == "LISTENING"
    assert len(talk.all(c.StartReply)) == 1


def test_where_the_client_asks_for_replies_a_turn_is_only_noted() -> None:
    talk = Conversation(TurnPolicy(reply_to_turns=False))
    talk.caller_says("Hello.")
    assert talk.state == "LISTENING"
    assert talk.told == ["user: Hello."]
    assert not talk.all(c.StartReply)
    talk.send(e.ReplyRequested())
    assert talk.state == "THINKING"
    assert talk.last(c.StartReply).turn_id == 1


def test_a_reply_of_nothing_leaves_the_turn_unanswered() -> None:
    talk = Conversation()
    talk.caller_says("Hold on a moment.")
    talk.model_ends()
    talk.model_ends()
    assert talk.last(c.ReplyEnded).message is None
    assert talk.outcomes == [(1, "unanswered")]


def test_a_reply_of_marks_alone_is_silent() -> None:
    talk = Conversation()
    talk.caller_says("Hold on a moment.")
    talk.model_writes("…")
    talk.model_ends()
    assert not any(talk.said(reply) for reply in (1, 2))
    assert talk.state == "THINKING"


def test_a_reply_that_was_too_long_is_incomplete() -> None:
    talk = Conversation()
    talk.caller_says("Tell me everything.")
    talk.model_writes("It began long ago and")
    talk.model_ends("length")
    assert "".join(talk.said()) == "It began long ago and There is more. Shall I go on?", (
        "half a first sentence"
    )
    talk.voice_speaks(500)
    talk.voice_ends()
    ended = talk.last(c.ReplyEnded)
    assert (ended.status, ended.reason) == ("incomplete", "max_output_tokens")


def test_audio_that_comes_slowly_is_still_one_reply() -> None:
    """The voice is slower than speech: the caller hears gaps, and the whole answer."""
    talk = Conversation()
    talk.caller_says("Hello.")
    talk.model_writes("Hi, how are you today?")
    talk.model_ends()
    for _ in range(3):
        talk.voice_speaks(200)
        talk.wait(1)
        assert talk.state == "SPEAKING"
    talk.voice_ends()
    talk.wait(0)
    assert talk.state == "LISTENING"
    assert talk.played_ms() == 600
    assert talk.outcomes == [(1, "answered")]


class TestHungUp:
    @pytest.mark.parametrize("state", State)
    def test_at_any_time_everything_stops(self, state: State) -> None:
        talk = Conversation()
        if state is State.LISTENING:
            pass
        elif state in (State.HEARING, State.EAGER):
            talk.caller_starts("Hello")
            if state is State.EAGER:
                talk.caller_pauses("Hello there")
        else:
            talk.caller_says("Hello.")
        if state in (State.SPEAKING, State.OVERLAP):
            talk.agent_says("Hi there, how are you?", ms=3000)
        if state is State.OVERLAP:
            talk.caller_starts("mhm")
        assert talk.state == state.name
        talk.send(e.HungUp())
        talk.rules.check_the_end()
        assert not talk.deadlines
        talk.wait(60)
        length = len(talk.log)
        for event in (e.StartOfTurn("Hi"), e.SpeechAudio(1, b"\0\0"), e.ToolFinished("x", ""), e.HungUp()):
            assert talk.send(event) == []
        assert len(talk.log) == length

    def test_before_the_answer_was_audible_the_turn_is_unanswered(self) -> None:
        talk = Conversation()
        talk.caller_says("Hello.")
        talk.send(e.HungUp())
        assert talk.outcomes == [(1, "unanswered")]

    def test_while_the_answer_plays_the_turn_is_interrupted(self) -> None:
        talk = Conversation()
        talk.caller_says("Hello.")
        talk.agent_says("Hi there, how are you?", ms=3000)
        talk.send(e.HungUp())
        assert talk.outcomes == [(1, "interrupted")]


def test_events_of_unknown_replies_are_dropped() -> None:
    talk = Conversation()
    talk.caller_says("Hello.")
    for event in (
        e.ReplyText(99, "Boo."),
        e.ReplyToolCall(99, "x", "look_up", "{}"),
        e.ReplyDone(99),
        e.ReplyFailed(99, "llm", "gone"),
        e.SpeechAudio(99, b"\0\0"),
        e.SpeechWords(99, ()),
        e.SpeechDone(99),
        e.ToolFinished("99", "output"),
    ):
        assert talk.send(event) == []
    assert talk.state == "THINKING"


def test_what_a_model_sends_after_its_end_is_dropped() -> None:
    talk = Conversation()
    talk.caller_says("Hello.")
    talk.model_writes("Hi there.")
    talk.model_ends()
    assert talk.model_writes(" And another thing.") == []
    assert talk.model_calls("call_1") == []
    assert talk.model_ends("length") == []
    talk.voice_speaks(500)
    talk.voice_ends()
    assert talk.last(c.ReplyEnded).status == "completed"


def test_every_event_has_a_handler() -> None:
    machine = TurnMachine("call")
    samples = {
        str: "",
        int: 1,
        float: 0.0,
        bytes: b"",
    }
    concrete = [kind for kind in vars(e).values() if isinstance(kind, type) and issubclass(kind, e.Event)]
    handled: set[type[e.Event]] = set()
    for kind in concrete:
        if kind is e.Event:
            continue
        fields = {name: samples.get(kind.__annotations__[name]) for name in kind.__struct_fields__}
        if kind is e.NoticeSent:
            fields["message"] = Message("item_9", "assistant", "Hello?")
        if kind is e.SpeechWords:
            fields["words"] = ()
        if kind in (e.Truncated, e.ReplyCancelled, e.ItemRetrieved, e.ItemDeleted):
            handled.add(kind)
            continue  # these are refused: there is nothing to truncate, cancel or show
        if kind is e.ItemCreated:
            fields["item"] = Message("", "user", "Hello.")
        machine.receive(kind(**fields), 0.0)
        handled.add(kind)
    assert len(handled) == len(concrete) - 1 >= 21


def test_repr_tells_where_the_conversation_stands() -> None:
    talk = Conversation()
    talk.caller_says("Hello.")
    assert repr(talk.machine) == (
        "<TurnMachine call: THINKING, turn 1, "
        "<Answering: [<Reply 1 to turn 1: confirmed, 0 chunks said>], 0 tools awaited>>"
    )
    assert repr(talk.machine.history) == "<History: 1 items>"
    assert len(talk.machine.history) == 1
