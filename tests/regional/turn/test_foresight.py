"""Lookups that were made before anyone asked go to the model with the caller's words."""

from collections.abc import Sequence

from tests.regional.turn.conversation import Conversation

from repartee.turn import commands as c
from repartee.turn.foresight import Foreseen
from repartee.turn.policy import TurnPolicy

QUESTION = "What is my balance?"
BALANCE = Foreseen("look_up", '{"account":"checking"}', "ten pounds")


class Clairvoyant:
    """Has looked up the balance for any question about it."""

    def __init__(self) -> None:
        self.uses: list[Foreseen] = []

    def foreseen(self, turn_id: int, text: str) -> Sequence[Foreseen]:
        return [BALANCE] if "balance" in text else []

    def used(self, result: Foreseen) -> None:
        self.uses.append(result)


def test_the_result_goes_along_as_if_the_model_had_asked() -> None:
    talk = Conversation(foresight=Clairvoyant())
    talk.caller_says(QUESTION)
    question, call, result = talk.last(c.StartReply).messages
    assert question == {"role": "user", "content": QUESTION}
    assert call["tool_calls"][0]["function"] == {"name": "look_up", "arguments": BALANCE.arguments}
    assert result == {
        "role": "tool",
        "tool_call_id": call["tool_calls"][0]["id"],
        "content": "ten pounds",
    }


def test_once_the_turn_is_confirmed_it_stands_in_the_history() -> None:
    foresight = Clairvoyant()
    talk = Conversation(foresight=foresight)
    talk.caller_starts("What")
    talk.caller_pauses(QUESTION)
    assert talk.last(c.StartReply).speculative
    assert (foresight.uses, talk.all(c.ItemAdded)) == ([], [])

    talk.caller_ends(QUESTION)

    assert foresight.uses == [BALANCE]
    assert len(talk.all(c.ItemAdded)) == 2
    talk.agent_says("It is ten pounds.")
    talk.wait(2)
    talk.caller_says("Thank you.")
    roles = [message["role"] for message in talk.last(c.StartReply).messages]
    assert roles == ["user", "assistant", "tool", "assistant", "user"]


def test_a_turn_that_goes_on_leaves_no_trace_of_it() -> None:
    foresight = Clairvoyant()
    talk = Conversation(foresight=foresight)
    talk.caller_starts("What")
    talk.caller_pauses(QUESTION)
    talk.caller_resumes()
    talk.caller_ends("What is my balancing act worth?")

    assert foresight.uses == []
    assert [message["role"] for message in talk.last(c.StartReply).messages] == ["user"]


def test_the_trace_says_so() -> None:
    talk = Conversation(foresight=Clairvoyant())
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
