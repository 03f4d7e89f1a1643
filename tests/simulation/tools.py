"""An agent whose tools are quick, slow, broken, or never answer. Bookings are counted: none is to be made twice."""

import asyncio
from collections import Counter

from tests.simulation.dice import Dice

from repartee.agent.agent import Agent
from repartee.agent.context import CallContext
from repartee.agent.tools import ToolError

WAYS = {
    "slow": 3.0,
    "very slow": 1.0,
    "never answers": 1.0,
    "fails": 2.0,
    "raises": 2.0,
    "answers at length": 1.0,
    "speaks up": 1.0,
}


class Backend:
    """What the tools work on; ``booked`` counts bookings by the number that each call has."""

    def __init__(self, dice: Dice) -> None:
        self._dice = dice
        self.booked: Counter[int] = Counter()

    async def answer(self, context: CallContext) -> str:
        way = self._dice.behaviour("tool", WAYS, sane="sane")
        match way:
            case "slow":
                await asyncio.sleep(self._dice.seconds(1.0, 6.0))
            case "very slow":
                await asyncio.sleep(self._dice.seconds(6.0, 20.0))
            case "never answers":
                await asyncio.Event().wait()
            case "fails":
                raise ToolError("The ledger is closed.")
            case "raises":
                raise ZeroDivisionError
            case "answers at length":
                return "ten pounds " * 1_000
            case "speaks up":
                context.say("I am still looking.")
        return "ten pounds"


def agent_with(backend: Backend, dice: Dice) -> Agent:
    """The agent of one conversation."""
    agent = Agent(
        "You are the front desk of a restaurant.",
        greeting="Good evening." if dice.chance(0.5) else None,
        idle_s=dice.one_of((None, None, 12.0)),
        learn=False,
    )

    @agent.tool(read_only=True, filler="Let me look that up.")
    async def look_up(context: CallContext, number: int) -> str:
        """Look something up."""
        return await backend.answer(context)

    @agent.tool(timeout_s=15.0)
    async def book(context: CallContext, number: int) -> str:
        """Book a table."""
        backend.booked[number] += 1
        return await backend.answer(context)

    @agent.tool(repeatable=True, filler=("Just a moment.", "Nearly there."), timeout_s=25.0)
    async def fetch(context: CallContext, number: int) -> str:
        """Fetch something that takes long."""
        return await backend.answer(context)

    return agent
