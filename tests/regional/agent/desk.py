"""A call to an agent whose tools wait until the test lets them go on."""

import asyncio
from collections.abc import Awaitable
from typing import Any, Literal

from repartee import Agent, CallContext
from repartee.agent.agent import worker_side
from repartee.agent.experience import Experience
from repartee.agent.prefetch import PrefetchPolicy
from repartee.agent.toolbox import Toolbox


class Desk:
    """An agent whose tools wait until the test lets them go on, and what they did."""

    def __init__(self, **options: Any) -> None:
        self.began: list[str] = []
        self.waiting: dict[str, asyncio.Future[Any]] = {}
        self.now = 0.0
        self.agent = Agent("Hi.", **options)
        self.experience = Experience()
        agent = self.agent

        @agent.tool(read_only=True)
        async def lookup(ctx: CallContext) -> Any:
            """Look up."""
            result = await self._work("lookup")
            ctx.state["customer"] = result["customer_id"]
            ctx.say("Found.")
            return result

        @agent.tool(read_only=True)
        async def balance(customer_id: str, account: Literal["checking", "savings"] = "checking") -> Any:
            """Get the balance."""
            return await self._work(f"balance {customer_id} {account}")

        @agent.tool
        async def book(day: str) -> Any:
            """Book."""
            return await self._work(f"book {day}")

        @agent.tool(repeatable=True)
        async def ring() -> Any:
            """Ring."""
            return await self._work("ring")

    async def _work(self, what: str) -> Any:
        self.began.append(what)
        self.waiting[what] = asyncio.get_running_loop().create_future()
        return await self.waiting[what]

    def toolbox(self, policy: PrefetchPolicy | None = None) -> Toolbox:
        self.said: list[str] = []
        self.context = worker_side(self.agent).new_call("c1", {"phone": "+1"}, say=self.said.append)
        return Toolbox(
            self.agent, self.context, self.experience, policy, clock=lambda: self.now, wall_clock=lambda: 0.0
        )

    def answer(self, what: str, result: Any) -> None:
        waiting = self.waiting[what]
        if isinstance(result, BaseException):
            waiting.set_exception(result)
        else:
            waiting.set_result(result)


async def settle() -> None:
    """Let everything run that can."""
    for _ in range(10):
        await asyncio.sleep(0)


def running(awaitable: Awaitable[Any]) -> asyncio.Task[Any]:
    async def wait() -> Any:
        return await awaitable

    return asyncio.create_task(wait())
