"""OpenAI's stand-in through OpenAI's own SDK, over a real socket."""

import asyncio
import json
import re
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import openai as sdk
import pytest
from openai import AsyncOpenAI, BadRequestError, NotFoundError
from tests.promptness import measured

from repartee.standins.server import Running, StandInSettings, serve

Client = Callable[..., AbstractAsyncContextManager[AsyncOpenAI]]
HOURS = "What are your opening hours?"
BALANCE: Any = {
    "type": "function",
    "function": {
        "name": "get_balance",
        "description": "Account balance",
        "parameters": {
            "type": "object",
            "properties": {"customer_id": {"type": "string"}},
            "required": ["customer_id"],
        },
    },
}


def asked(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "gpt-4.1-mini", "messages": [{"role": "user", "content": text}], **more}


async def test_a_streamed_answer_comes_token_by_token(running: Running, openai: Client) -> None:
    async with openai(running) as client:
        stream = await client.chat.completions.create(
            **asked(HOURS), stream=True, stream_options={"include_usage": True}
        )
        chunks = [chunk async for chunk in stream]
    tokens = [c.choices[0].delta.content for c in chunks if c.choices and c.choices[0].delta.content]
    assert tokens[:6] == ["We", " open", " at", " eight", " thirty", "."]
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == len(tokens)
    assert len({chunk.id for chunk in chunks}) == 1


async def test_a_whole_answer_is_the_same_text(running: Running, openai: Client) -> None:
    async with openai(running) as client:
        whole = await client.chat.completions.create(**asked(HOURS))
    assert whole.choices[0].message.content.startswith("We open at eight thirty. On weekdays")
    assert whole.usage is not None


async def test_max_tokens_cuts_the_answer(running: Running, openai: Client) -> None:
    async with openai(running) as client:
        whole = await client.chat.completions.create(**asked(HOURS), max_tokens=3)
    assert (whole.choices[0].message.content, whole.choices[0].finish_reason) == ("We open at", "length")


async def test_every_light_reply_begins_with_a_clause_of_six_tokens(running: Running, openai: Client) -> None:
    async with openai(running) as client:
        for line in running.state.engines.lines:
            stream = await client.chat.completions.create(**asked(line.say), stream=True)
            tokens = [c.choices[0].delta.content or "" async for c in stream if c.choices]
            text = [token for token in tokens if token]
            assert "".join(text) == line.reply
            assert [token[-1] in ".!?,:;" for token in text[:6]] == [False] * 5 + [True]


async def test_tool_calls_are_streamed_in_pieces(openai: Client) -> None:
    async with real_brain() as running, openai(running) as client:
        stream: Any = await client.chat.completions.create(
            **asked("What is my balance?"), tools=[BALANCE], stream=True
        )
        chunks = [chunk async for chunk in stream]
    calls = [c.choices[0].delta.tool_calls[0] for c in chunks if c.choices and c.choices[0].delta.tool_calls]
    assert calls[0].id
    assert calls[0].function.name == "get_balance"
    assert all(call.id is None and call.function.name is None for call in calls[1:])
    assert "customer_id" in json.loads("".join(call.function.arguments or "" for call in calls))
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


def real_brain() -> AbstractAsyncContextManager[Running]:
    """A server whose brain thinks: recognition is not needed, but its process is part of the real mode."""
    return serve(StandInSettings(profile="instant", light=False))


async def test_the_first_token_and_the_pace_are_the_profiles(openai: Client) -> None:
    machine = measured()
    async with serve(StandInSettings(profile="budget", light=True)) as running, openai(running) as client:
        await client.models.list()
        started = time.monotonic()
        stream = await client.chat.completions.create(**asked(HOURS), stream=True)
        times = [time.monotonic() - started async for c in stream if c.choices and c.choices[0].delta.content]
    assert times[0] >= 0.139
    assert times[5] >= 0.139 + 5 / 60
    late_ms = running.state.stats.lateness_ms[0]
    machine.promise(late_ms < 100, f"the first token was {late_ms:.0f} ms late")


async def test_models(running: Running, openai: Client) -> None:
    async with openai(running) as client:
        assert "gpt-6-luna" in [model.id async for model in client.models.list()]
        assert (await client.models.retrieve("gpt-4.1-mini")).id == "gpt-4.1-mini"
        with pytest.raises(sdk.NotFoundError):
            await client.models.retrieve("no-such-model")


async def test_mistakes_are_answered_in_openais_shape(running: Running, openai: Client) -> None:
    async with openai(running) as client:
        with pytest.raises(sdk.BadRequestError) as caught:
            await client.chat.completions.create(**asked(HOURS) | {"messages": []})
        assert caught.value.param == "messages"
        with pytest.raises(sdk.NotFoundError) as missing:
            await client.chat.completions.create(**asked(HOURS) | {"model": "no-such-model"})
        assert missing.value.code == "model_not_found"
        with pytest.raises(sdk.NotFoundError):
            await client.embeddings.create(input="x", model="y")
    async with openai(running, "bad-key") as client:
        with pytest.raises(sdk.AuthenticationError) as refused:
            await client.chat.completions.create(**asked(HOURS))
        assert refused.value.code == "invalid_api_key"


async def test_a_cancelled_stream_is_counted(openai: Client) -> None:
    async with serve(StandInSettings(profile="budget", light=True)) as running, openai(running) as client:
        stream = await client.chat.completions.create(**asked(HOURS), stream=True)
        await anext(aiter(stream))
        await stream.close()
        counts = running.state.stats.of("openai")
        for _ in range(1000):
            if counts.cancelled:
                break
            await asyncio.sleep(0.005)
        assert (counts.requests, counts.active, counts.finished) == (1, 0, 0)


async def test_connections_are_kept(running: Running, openai: Client) -> None:
    async with openai(running) as client:
        for _ in range(3):
            raw = await client.models.with_raw_response.list()
            assert raw.headers.get("connection", "keep-alive") == "keep-alive"


TOOLS = [BALANCE]
REFUSALS = [
    ({"model": "gpt-6-luna", "tools": TOOLS}, "set reasoning_effort to 'none'", "reasoning_effort"),
    ({"model": "gpt-6-luna", "tools": TOOLS, "reasoning_effort": "low"}, "'none'", "reasoning_effort"),
    ({"model": "gpt-6-luna", "temperature": 0.2}, "Only the default (1) value", "temperature"),
    ({"model": "gpt-5.6-luna", "temperature": 0.2}, "Only the default (1) value", "temperature"),
    ({"model": "gpt-6-luna", "max_tokens": 50}, "Use 'max_completion_tokens' instead", "max_tokens"),
    ({"model": "gpt-5-mini", "max_tokens": 50}, "Use 'max_completion_tokens' instead", "max_tokens"),
    (
        {"model": "gpt-6-luna", "reasoning_effort": "little"},
        "'reasoning_effort' does not",
        "reasoning_effort",
    ),
    ({"model": "gpt-4.1", "reasoning_effort": "none"}, "Unrecognized request argument", None),
]


@pytest.mark.parametrize(("request_", "says", "param"), REFUSALS)
async def test_a_model_refuses_what_its_family_refuses(
    running: Running, openai: Client, request_: dict[str, Any], says: str, param: str | None
) -> None:
    async with openai(running) as client:
        with pytest.raises(BadRequestError, match=re.escape(says)) as caught:
            await client.chat.completions.create(**asked(HOURS, **request_))
    assert caught.value.param == param


async def test_a_model_that_was_shut_down_is_not_served(running: Running, openai: Client) -> None:
    async with openai(running) as client:
        with pytest.raises(NotFoundError):
            await client.chat.completions.create(**asked(HOURS, model="gpt-4.1-nano"))
        with pytest.raises(NotFoundError):
            await client.models.retrieve("gpt-4.1-nano")


async def test_a_model_takes_what_its_family_takes(running: Running, openai: Client) -> None:
    newer = {"reasoning_effort": "none", "temperature": 1, "max_completion_tokens": 50}
    async with openai(running) as client:
        for request in (
            {"model": "gpt-6-luna", "tools": TOOLS, **newer},
            {"model": "gpt-4.1", "tools": TOOLS, "temperature": 0.2, "max_tokens": 50},
        ):
            assert (await client.chat.completions.create(**asked(HOURS, **request))).choices
