"""Lookups that were made before anyone asked go to the model with the caller's words."""

from collections.abc import Sequence

from tests.regional.turn.conversation import Conversation

from repartee.turn import commands as c
from repartee.turn.foresight import Foreseen, as_messages
from repartee.turn.policy import TurnPolicy

QUESTION = "What is my balance?"
BALANCE = Foreseen("look_up", '{"account":"checking"}', "ten pounds")


def looked_up(words: str) -> Sequence[Foreseen]:
    """The balance, for any question about it."""
    return [BALANCE] if "balance" in words else []


def uses(talk: Conversation) -> list[Foreseen]:
    return [command.result for command in talk.all(c.LookupUsed)]


def test_the_caller_s_words_go_out_to_be_looked_up() -> None:
    talk = Conversation()
    talk.caller_says(QUESTION)
    assert talk.last(c.StartReply).words == QUESTION
    assert talk.last(c.StartReply).messages == [{"role": "user", "content": QUESTION}]


def test_the_result_goes_along_as_if_the_model_had_asked() -> None:
    call, result = as_messages([BALANCE], 1)
    assert call["tool_calls"][0]["function"] == {"name": "look_up", "arguments": BALANCE.arguments}
    assert result == {
        "role": "tool",
        "tool_call_id": call["tool_calls"][0]["id"],
        "content": "ten pounds",
    }


def test_once_the_turn_is_confirmed_it_stands_in_the_history() -> None:
    talk = Conversation(look_up=looked_up)
    talk.caller_starts("What")
    talk.caller_pauses(QUESTION)
    assert talk.last(c.StartReply).speculative
    assert (uses(talk), talk.all(c.ItemAdded)) == ([], [])

    talk.caller_ends(QUESTION)

    assert uses(talk) == [BALANCE]
    assert len(talk.all(c.ItemAdded)) == 2
    talk.agent_says("It is ten pounds.")
    talk.wait(2)
    talk.caller_says("Thank you.")
    roles = [message["role"] for message in talk.last(c.StartReply).messages]
    assert roles == ["user", "assistant", "tool", "assistant", "user"]


def test_a_turn_that_goes_on_leaves_no_trace_of_it() -> None:
    talk = Conversation(look_up=looked_up)
    talk.caller_starts("What")
    talk.caller_pauses(QUESTION)
    talk.caller_resumes()
    talk.caller_ends("What is my balancing act worth?")

    assert uses(talk) == []
    assert [message["role"] for message in talk.last(c.StartReply).messages] == ["user"]


def test_the_trace_says_so() -> None:
    talk = Conversation(look_up=looked_up)
    talk.caller_says(QUESTION)
    talk.agent_says("It is ten pounds.")
    assert talk.last(c.TurnTraced).trace.prefetch == "hit"

    talk.caller_says("Thank you.")
    talk.agent_says("You are welcome.")
    assert talk.last(c.TurnTraced).trace.prefetch is None


def test_a_tool_that_a_speculation_wants_is_prepared_and_not_run() -> None:
    talk = Conversation(TurnPolicy(tools=frozenset({"look_up"})))
    talk.caller_starts("What")
    talk.caller_pauses(QUESTION)
    talk.model_calls("call_1", "look_up", "{}")
    assert talk.all(c.PrepareTool) == [c.PrepareTool("look_up", "{}")]
    assert talk.all(c.RunTool) == []

    talk.caller_ends(QUESTION)
    assert [run.call_id for run in talk.all(c.RunTool)] == ["call_1"]
