"""The agents that are called in a sweep."""

import asyncio
from collections.abc import AsyncIterator

from repartee.agent.agent import Agent
from repartee.agent.context import CallContext, ReplyContext
from repartee.agent.notices import Notices


def desk() -> Agent:
    """An agent with a hook or a tool for everything."""
    agent = Agent(
        "Be kind.",
        greeting="Good morning.",
        notices=Notices(unheard="One moment.", goodbye="Goodbye."),
        predictions={"greeting": "look_ahead", "balance": "get_balance"},
    )

    @agent.on_call_start
    async def begin(ctx: CallContext) -> None:
        await asyncio.sleep(0.01)
        ctx.say("This call is not recorded.")

    @agent.on_call_end
    async def end(ctx: CallContext) -> None:
        await asyncio.sleep(0.01)

    @agent.summary
    async def summary(ctx: CallContext, words: str) -> str:
        await asyncio.sleep(0.2)
        return "They have talked."

    @agent.tool(read_only=True)
    async def look_ahead() -> str:
        """Look something up."""
        await asyncio.sleep(0.2)
        return "seen"

    @agent.tool(read_only=True, filler="Let me look.")
    async def get_balance() -> dict[str, int]:
        """See how much money is in the account."""
        await asyncio.sleep(2.5)
        return {"balance": 1240}

    @agent.tool
    async def book_appointment() -> str:
        """Book an appointment for the dentist."""
        await asyncio.sleep(1.5)
        return "booked"

    @agent.tool
    async def close_account(ctx: CallContext) -> str:
        """Close the account, and the conversation."""
        await asyncio.sleep(0.1)
        ctx.hang_up("Farewell.")
        return "done"

    return agent


def bare() -> Agent:
    """An agent with nothing of its own."""
    return Agent("Be kind.")


def turns_away() -> Agent:
    """An agent that ends the call before it has begun."""
    agent = Agent("Be kind.")

    @agent.on_call_start
    async def begin(ctx: CallContext) -> None:
        ctx.hang_up("We are closed.")
        await asyncio.sleep(0.1)

    return agent


def hands_on() -> Agent:
    """An agent that has somebody else take the call over, and nobody answers there."""
    agent = Agent("Be kind.")

    @agent.on_call_start
    async def begin(ctx: CallContext) -> None:
        ctx.transfer("+15550100", "I connect you.", briefing="It is Marta.", unanswered="Nobody is there.")

    return agent


def own_replies() -> Agent:
    """An agent that replies by itself, and takes keys."""
    agent = Agent("Be kind.")

    @agent.reply
    async def reply(ctx: ReplyContext) -> AsyncIterator[str]:
        await asyncio.sleep(0.1)
        yield "We are in Mill Street."

    @agent.on_dtmf(digits=1)
    async def pressed(ctx: CallContext, digits: str) -> None:
        await asyncio.sleep(0.1)
        ctx.say(f"You have pressed {digits}.")

    return agent
