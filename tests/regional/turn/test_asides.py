"""Responses beside the conversation: made whatever is being said, heard of by nobody, and no part of the history."""

import pytest
from tests.regional.turn.conversation import Conversation

from repartee.errors import ClientProtocolError
from repartee.turn import commands as c
from repartee.turn import events as e
from repartee.turn.asides import ASIDE_S, MOST_AT_ONCE
from repartee.turn.history import FunctionCall, FunctionOutput, Item, Message
from repartee.turn.policy import TurnPolicy
from repartee.turn.usage import TokenUsage

POLICY = TurnPolicy(tools=frozenset({"book"}), client_tools=frozenset({"theirs"}))


def asks(talk: Conversation, context: list[Item | str] | None = None, *, spoken: bool = False) -> int:
    """The client asks for one; its number."""
    talk.send(e.AsideRequested(e.ReplyRequested(spoken=spoken, options="own"), context))
    return talk.last(c.StartReply).reply_id


def spoken_to() -> Conversation:
    talk = Conversation(POLICY)
    talk.caller_says("When do you open?")
    talk.agent_says("At nine.", ms=1_000)
    talk.wait(2)
    return talk


@pytest.mark.parametrize("while_", ["nobody speaks", "the caller speaks", "the agent speaks", "it thinks"])
def test_it_is_answered_whatever_is_being_said_and_changes_nothing(while_: str) -> None:
    talk = spoken_to()
    if while_ != "nobody speaks":
        talk.caller_starts("And when")
    if while_ in ("the agent speaks", "it thinks"):
        talk.caller_ends("And when do you close?")
    if while_ == "the agent speaks":
        talk.agent_says("At five.", ms=3_000)
    state, told = talk.state, talk.told
    number = asks(talk)
    assert talk.last(c.StartReply).aside
    talk.model_writes("opening", number)
    talk.model_writes(" hours", number)
    talk.model_ends(reply=number)
    ended = talk.last(c.ReplyEnded)
    assert (ended.reply_id, ended.status) == (number, "completed")
    assert ended.message is not None
    assert ended.message.text == "opening hours"
    assert (talk.state, talk.told) == (state, told)


def test_it_answers_the_conversation_or_what_it_is_given() -> None:
    talk = spoken_to()
    asks(talk)
    assert talk.last(c.StartReply).messages == talk.machine.history.messages()
    first = talk.items[0]
    asks(talk, [first.item_id, Message("x", "user", "What is this about?")])
    assert talk.last(c.StartReply).messages == [
        {"role": "user", "content": "When do you open?"},
        {"role": "user", "content": "What is this about?"},
    ]
    asks(talk, [])
    assert talk.last(c.StartReply).messages == []
    call = FunctionCall("a", "c1", "look", "{}")
    asks(talk, [call, FunctionOutput("b", "c1", "ten")])
    assert [message["role"] for message in talk.last(c.StartReply).messages] == ["assistant", "tool"]
    assert len(talk.machine.history) == 2


def test_an_item_that_is_not_there_is_refused_and_nothing_is_asked() -> None:
    talk = spoken_to()
    with pytest.raises(ClientProtocolError):
        asks(talk, ["nowhere"])
    assert len(talk.all(c.StartReply)) == 1


def test_only_so_many_at_once() -> None:
    talk = spoken_to()
    numbers = [asks(talk) for _ in range(MOST_AT_ONCE)]
    with pytest.raises(ClientProtocolError) as refused:
        asks(talk)
    assert refused.value.code == "rate_limit_exceeded"
    talk.model_ends(reply=numbers[0])
    asks(talk)


def test_a_function_of_the_clients_is_called_and_no_other() -> None:
    talk = spoken_to()
    number = asks(talk)
    talk.model_calls("c1", "book", reply=number)
    talk.model_calls("c2", "imagined", reply=number)
    talk.model_calls("c3", "theirs", '{"a": 1}', reply=number)
    talk.model_ends("tool_calls", reply=number)
    assert [command.item.name for command in talk.all(c.ToolRequested)] == ["theirs"]
    assert talk.all(c.RunTool) == []
    assert talk.last(c.ReplyEnded).status == "completed"
    assert len(talk.machine.history) == 2


def test_spoken_it_is_sent_and_is_no_part_of_what_the_agent_says() -> None:
    talk = spoken_to()
    number = asks(talk, spoken=True)
    talk.model_writes("Just to say: hello.", number)
    talk.model_ends(reply=number)
    assert "".join(talk.said(number)) == "Just to say: hello."
    talk.voice_speaks(800, number)
    assert talk.state == "LISTENING"
    talk.voice_ends(number)
    assert talk.played_ms(number) == 800
    assert talk.last(c.ReplyEnded).status == "completed"
    assert "hello" not in "".join(talk.told)


def test_the_callers_speech_does_not_stop_it_but_the_client_can() -> None:
    talk = spoken_to()
    number = asks(talk)
    talk.caller_starts("Hello there")
    assert all(command.reply_id != number for command in talk.all(c.StopReply))
    talk.send(e.ReplyCancelled(number))
    assert talk.last(c.StopReply).reply_id == number
    ended = talk.last(c.ReplyEnded)
    assert (ended.reply_id, ended.status, ended.reason) == (number, "cancelled", "client_cancelled")


def test_one_that_fails_says_why_and_one_that_hangs_has_failed() -> None:
    talk = spoken_to()
    number = asks(talk)
    talk.send(e.ReplyFailed(number, "llm", "The server is down."))
    assert (talk.last(c.ReplyEnded).status, talk.last(c.ReplyEnded).reason) == (
        "failed",
        "The server is down.",
    )
    late = asks(talk)
    talk.wait(ASIDE_S + 0.1)
    assert (talk.last(c.ReplyEnded).reply_id, talk.last(c.ReplyEnded).status) == (late, "failed")
    assert "sorry" not in "".join(talk.told).lower()


def test_it_is_counted() -> None:
    talk = spoken_to()
    number = asks(talk)
    talk.model_writes("opening hours", number)
    talk.send(e.ReplyDone(number, "stop", usage_follows=True))
    talk.send(e.ReplyUsed(number, TokenUsage(30, 2)))
    assert talk.last(c.ReplyEnded).tokens == TokenUsage(30, 2)


def test_none_outlives_the_call() -> None:
    talk = spoken_to()
    asks(talk)
    asks(talk, [])
    talk.send(e.HungUp())
    talk.rules.check_the_end()
