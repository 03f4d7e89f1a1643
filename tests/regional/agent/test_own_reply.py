"""An agent that makes its replies itself."""

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest

from repartee import Agent, ReplyContext, ToolCall
from repartee.agent.agent import worker_side
from repartee.agent.own_reply import OwnReplyLLM
from repartee.errors import ProviderError
from repartee.providers.interfaces import CalledTool as AskedTool
from repartee.providers.interfaces import Finished, ReplyPart, ReplyRequest, TextDelta

REQUEST = ReplyRequest([{"role": "user", "content": "hours?"}], max_tokens=50)


def brain(agent: Agent) -> OwnReplyLLM:
    agent.check()
    function = worker_side(agent).reply_function
    assert function is not None
    return OwnReplyLLM(function, worker_side(agent).new_call("c7"))


async def parts(own: OwnReplyLLM) -> list[ReplyPart]:
    return [part async for part in own.reply(REQUEST)]


async def test_text_and_tool_calls_become_a_reply() -> None:
    agent = Agent("Hi.")
    seen: list[ReplyContext] = []

    @agent.reply
    async def reply(ctx: ReplyContext) -> AsyncIterator[str | ToolCall]:
        seen.append(ctx)
        yield "Let me "
        yield ""
        yield "see. "
        yield ToolCall("hours", {"day": "monday"})
        yield ToolCall("address")

    own = brain(agent)
    assert await parts(own) == [
        TextDelta("Let me "),
        TextDelta("see. "),
        AskedTool("call_c7_1", "hours", '{"day":"monday"}'),
        AskedTool("call_c7_2", "address", "{}"),
        Finished("tool_calls"),
    ]
    assert seen[0].messages == REQUEST.messages
    assert seen[0].call.call_id == "c7"
    assert seen[0].max_tokens == 50
    assert (await parts(own))[2] == AskedTool("call_c7_3", "hours", '{"day":"monday"}')


async def test_only_text_finishes_with_stop() -> None:
    agent = Agent("Hi.")

    @agent.reply
    async def reply(ctx: ReplyContext) -> AsyncIterator[str]:
        yield "Nine to five."

    assert (await parts(brain(agent)))[-1] == Finished("stop")


async def test_what_fails_is_a_providers_error_without_the_callers_words(
    caplog: pytest.LogCaptureFixture,
) -> None:
    agent = Agent("Hi.")

    @agent.reply
    async def reply(ctx: ReplyContext) -> AsyncIterator[str]:
        yield "Well"
        raise KeyError(ctx.messages[-1]["content"])

    caplog.set_level(logging.INFO)
    with pytest.raises(ProviderError, match=r"^The agent's own reply failed\.$") as failed:
        await parts(brain(agent))
    assert (failed.value.stage, failed.value.provider, failed.value.retryable) == ("llm", "agent", False)
    assert "hours?" not in caplog.text


async def test_what_its_author_has_cancelled_and_awaits_is_a_failure_like_any_other() -> None:
    agent = Agent("Hi.")

    @agent.reply
    async def reply(ctx: ReplyContext) -> AsyncIterator[str]:
        waiting = asyncio.ensure_future(asyncio.sleep(60))
        waiting.cancel()
        await waiting
        yield "never"

    with pytest.raises(ProviderError, match=r"^The agent's own reply failed\.$"):
        await parts(brain(agent))


async def test_yielding_something_else_is_told(caplog: pytest.LogCaptureFixture) -> None:
    agent = Agent("Hi.")

    @agent.reply  # type: ignore[type-var]
    async def reply(ctx: ReplyContext) -> AsyncIterator[int]:
        yield 7

    with pytest.raises(ProviderError):
        await parts(brain(agent))
    assert "@agent.reply yields str and ToolCall, not int" in caplog.text


async def test_closing_a_reply_closes_the_agents_generator() -> None:
    agent = Agent("Hi.")
    closed = []

    @agent.reply
    async def reply(ctx: ReplyContext) -> AsyncIterator[str]:
        try:
            while True:
                yield "on and on "
        finally:
            closed.append(True)

    stream = brain(agent).reply(REQUEST)
    assert await anext(stream) == TextDelta("on and on ")
    await stream.aclose()
    assert closed == [True]
