"""No caller is left waiting, on either kind: an answer, an apology, company, or a question whether they are there."""

import asyncio
import time

import pytest
from tests.contract.kinds.call import BALANCE, CASCADE, HOURS, BothKinds, agent_for, on, said_in
from tests.promptness import DEADLINE_S
from tests.regional.app.running import until

from repartee import CallContext, Notices
from repartee.standins.faults import Fault

SORRY = "I am sorry, that went wrong."
HANG_UP_S = 10.0


def spoil(call: BothKinds, kind: str, count: int = 1) -> None:
    """The next answers of the model are spoilt."""
    provider = "openai" if call.kind == CASCADE else "openai-realtime"
    call.provider.state.faults.put(Fault(kind, provider, count=count))


def answers(call: BothKinds) -> int:
    """How many responses have said something, to their end."""
    ended = (event for event in call.caller.events if event.type == "response.done")
    return sum(done.response.status == "completed" and any(said_in(done)) for done in ended)


@pytest.mark.parametrize("fault", ["empty_response", "filtered_response"])
async def test_an_answer_with_nothing_in_it_is_asked_for_once_more(kind: str, fault: str) -> None:
    agent = agent_for(kind, notices=Notices(apology=SORRY))
    async with on(kind, agent) as call:
        spoil(call, fault)
        await call.asks(HOURS)
        await call.hears_said("open")
        assert SORRY not in call.said
        assert call.errors == []


@pytest.mark.parametrize("fault", ["empty_response", "filtered_response"])
async def test_after_a_second_one_the_caller_hears_the_agents_apology_and_the_call_goes_on(
    kind: str, fault: str
) -> None:
    agent = agent_for(kind, notices=Notices(apology=SORRY))
    async with on(kind, agent) as call:
        spoil(call, fault, count=2)
        await call.asks(HOURS)
        await call.hears_said(SORRY)
        await call.is_idle()
        await call.asks(HOURS)
        await call.hears_said("open")
        assert call.said.count(SORRY) == 1
        assert call.errors == []


async def test_a_tool_that_nobody_has_declared_does_not_end_the_answer(kind: str) -> None:
    agent = agent_for(kind)

    @agent.tool
    async def get_balance() -> dict[str, int]:
        """See how much money is in the account."""
        return {"balance": 1240}

    async with on(kind, agent) as call:
        spoil(call, "unknown_tool")
        await call.asks()
        await until(lambda: bool(call.said))
        await call.is_idle()
        await call.asks()
        await call.hears_said("1240")
        assert call.errors == []


async def test_an_answer_that_is_too_long_ends_with_the_word_that_there_is_more(kind: str) -> None:
    agent = agent_for(kind, max_tokens=1, notices=Notices(more="Shall I tell you more?"))
    async with on(kind, agent) as call:
        await call.asks(HOURS)
        await call.hears_said("Shall I tell you more?")
        assert call.errors == []


async def test_a_caller_who_falls_silent_is_asked(kind: str) -> None:
    agent = agent_for(kind, idle_s=1.0, notices=Notices(still_there="Are you with me?"))
    async with on(kind, agent) as call:
        await call.asks(HOURS)
        await call.hears_said("open")
        await until(lambda: call.said.count("Are you with me?") == 2)
        assert call.errors == []


async def test_a_caller_who_stays_silent_is_asked_twice_and_then_hung_up_on(kind: str) -> None:
    """Ten seconds after the second asking, which is a setting of nobody's."""
    agent = agent_for(kind, idle_s=1.0, notices=Notices(still_there="Are you with me?"))
    async with on(kind, agent) as call:
        await call.asks(HOURS)
        await until(lambda: call.said.count("Are you with me?") == 2)
        asked = time.monotonic()
        async with asyncio.timeout(DEADLINE_S):
            await call.caller.hung_up.wait()
        assert time.monotonic() - asked >= HANG_UP_S - 0.1
        assert call.said.count("Are you with me?") == 2
        assert call.errors == []
        await call.worker.until_idle()


async def test_an_answer_that_stops_half_way_leaves_nobody_waiting(kind: str) -> None:
    """A model that says no more, or a session that is lost: the response fails, and the call goes on."""
    agent = agent_for(kind, notices=Notices(apology=SORRY))
    async with on(kind, agent, profile="budget") as call:
        if kind == CASCADE:
            fault = Fault("silent", "openai", after_messages=3)
        else:
            fault = Fault("close_in_response", "openai-realtime")
        call.provider.state.faults.put(fault)
        await call.asks(HOURS)
        cut = await call.caller.hears("response.done")
        assert cut.response.status == "failed"
        if kind == CASCADE:
            await call.hears_said(SORRY)
        await call.is_idle()
        before = answers(call)
        await call.asks(HOURS)
        await until(lambda: answers(call) > before)
        assert call.errors == []


async def test_a_caller_who_falls_silent_is_asked_in_the_models_words(kind: str) -> None:
    agent = agent_for(kind, idle_s=1.0, notices=Notices(still_there=""))
    async with on(kind, agent) as call:
        await call.asks(HOURS)
        await call.hears_said("open")
        before = len(call.said)
        await until(lambda: len(call.said) > before)
        assert call.errors == []


async def test_a_backchannel_of_the_agents_own_leaves_the_wait_for_a_tool_alone(kind: str) -> None:
    agent = agent_for(kind, backchannels=["splendid"])
    begun, released = asyncio.Event(), asyncio.Event()

    @agent.tool
    async def get_balance(ctx: CallContext) -> dict[str, int]:
        """See how much money is in the account."""
        begun.set()
        await released.wait()
        return {"balance": 1240}

    async with on(kind, agent, hears="Splendid.") as call:
        await call.asks(BALANCE)
        await begun.wait()
        await call.speaks()
        released.set()
        await call.hears_said("1240")
        await call.is_idle()
        assert sum("1240" in said for said in call.said) == 1, "it is told once"
        assert call.errors == []
