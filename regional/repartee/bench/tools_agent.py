"""The agent of `repartee bench tools`: a model as fast as the stand-ins' profile, and tools.

``BENCH_TOOL`` is ``plain`` (no tool), ``hit`` (looked up while the caller speaks) or ``slow`` (known to be so).
"""

import asyncio
import os
from collections.abc import AsyncIterator

import httpx

from repartee import Agent, CallContext, ReplyContext, ToolCall

KIND = os.environ.get("BENCH_TOOL", "plain")
SLOW_S = 1.0
QUICK_S = 0.2
ANSWER = ("I", " can", " do", " it", " now", ".")
"""A first clause of as many tokens as the profiles' floors reckon with."""


def asked(ctx: CallContext, text: str = "") -> ToolCall:
    """The lookup that this turn's words ask for; each turn's is another."""
    return ToolCall("look_up", {"number": sum(said.who == "agent" for said in ctx.transcript)})


agent = Agent("Answer what you are asked.", predictions={"can": asked} if KIND == "hit" else {}, learn=False)
medians: dict[str, float] = {"ttft_ms": 140.0, "tokens_per_s": 60.0}


@agent.on_call_start
async def as_fast_as_the_profile(ctx: CallContext) -> None:
    """Take the model's times from the stand-ins."""
    address = os.environ.get("OPENAI_BASE_URL", "").removesuffix("/v1")
    async with httpx.AsyncClient(trust_env=False) as client:
        medians.update((await client.get(f"{address}/standins/profile")).json()["medians"]["llm"])


@agent.tool(read_only=True)
async def look_up(number: int) -> str:
    """Look it up."""
    await asyncio.sleep(QUICK_S)
    return f"Number {number} can be done."


@agent.tool(repeatable=True, filler="One moment.")
async def do_it() -> str:
    """Do it."""
    await asyncio.sleep(SLOW_S)
    return "Done."


@agent.reply
async def reply(ctx: ReplyContext) -> AsyncIterator[str | ToolCall]:
    """A tool first, unless its result is there; then the answer, token by token."""
    await asyncio.sleep(medians["ttft_ms"] / 1000)
    if KIND != "plain" and ctx.messages[-1]["role"] != "tool":
        yield asked(ctx.call) if KIND == "hit" else ToolCall("do_it")
        return
    for number, token in enumerate(ANSWER):
        if number:
            await asyncio.sleep(1 / medians["tokens_per_s"])
        yield token
