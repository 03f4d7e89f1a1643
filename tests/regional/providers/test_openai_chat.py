"""The language model's adapter: against the stand-in, and against streams no well-behaved server sends."""

import asyncio
import contextlib
import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from tests.promptness import DEADLINE_S
from tests.regional.providers.scripted_http import (
    DONE,
    END,
    HEAD,
    Script,
    delta,
    event,
    piece,
    reply,
    scripted,
)

from repartee.app.settings import Settings
from repartee.errors import PoolTimeout, ProviderError
from repartee.pool.settings import PoolSettings
from repartee.providers.interfaces import CalledTool, Finished, ReplyPart, ReplyRequest, TextDelta
from repartee.providers.openai_chat import ChatLLM, ChatSettings
from repartee.standins.server import Running

POOL = PoolSettings(spare=1, keepalive_s=30, backoff_first_s=0.01, acquire_timeout_s=2)
ASKED = ReplyRequest(messages=[{"role": "user", "content": "What are your opening hours?"}])

Fault = Callable[..., None]


def brain_at(base_url: str, **changes: Any) -> ChatLLM:
    return ChatLLM(replace(ChatSettings(base_url, "key", "stand-in", pool=POOL, read_timeout_s=2), **changes))


async def ask(brain: ChatLLM, request: ReplyRequest = ASKED) -> list[ReplyPart]:
    async with asyncio.timeout(DEADLINE_S):
        return [part async for part in brain.reply(request)]


def end_of(parts: list[ReplyPart]) -> str:
    [end] = [part for part in parts if isinstance(part, Finished)]
    return end.reason


def text(parts: list[ReplyPart]) -> str:
    return "".join(part.text for part in parts if isinstance(part, TextDelta))


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():  # noqa: ASYNC110 - the conditions are others' states
            await asyncio.sleep(0.002)


async def test_replies_stream_over_one_warm_connection(standins: Running) -> None:
    brain = brain_at(f"{standins.base_url}/v1")
    await brain.start()
    await brain.wait_warm(2)
    for _ in range(3):
        parts = await ask(brain)
        assert text(parts).startswith("We open at eight thirty.")
        assert end_of(parts) == "stop"
        await until(lambda: brain.pools()[0].leased == 0)
    figures = brain.pools()[0]
    assert (figures.hits, figures.misses) == (3, 0)
    assert figures.dials == 2  # the spare one, and the one that took its place while it was leased
    await brain.aclose()


async def test_the_request_is_what_was_asked_for() -> None:
    async with scripted(reply("Yes.")) as server:
        brain = brain_at(server.base_url, extra={"reasoning_effort": "none"})
        tools = [{"type": "function", "function": {"name": "get_balance", "parameters": {}}}]
        await ask(
            brain, replace(ASKED, tools=tools, tool_choice="get_balance", max_tokens=50, temperature=0.2)
        )
        assert server.requests == [
            {
                "model": "stand-in",
                "messages": [{"role": "user", "content": "What are your opening hours?"}],
                "stream": True,
                "max_tokens": 50,
                "temperature": 0.2,
                "tools": tools,
                "tool_choice": {"type": "function", "function": {"name": "get_balance"}},
                "reasoning_effort": "none",
                "stream_options": {"include_usage": True},
            }
        ]
        assert b"authorization: bearer key" in server.heads[0].lower()
        await brain.aclose()


@pytest.mark.parametrize(
    ("base_url", "model", "field"),
    [
        ("https://api.openai.com/v1", "gpt-4.1", "max_completion_tokens"),
        ("https://eu.api.openai.com/v1", "gpt-4.1", "max_completion_tokens"),
        ("https://desk.openai.azure.com/openai/v1", "my-deployment", "max_completion_tokens"),
        ("http://localhost/v1", "gpt-6-luna", "max_completion_tokens"),
        ("https://openrouter.ai/api/v1", "openai/gpt-5.6-luna", "max_completion_tokens"),
        ("http://localhost/v1", "llama3.3", "max_tokens"),
        ("http://api.openai.com.example/v1", "gpt-4.1", "max_tokens"),
    ],
)
def test_the_limit_has_the_name_that_the_server_knows(base_url: str, model: str, field: str) -> None:
    assert ChatSettings(base_url, "key", model).tokens_field == field
    assert ChatSettings(base_url, "key", model, max_tokens_field="limit").tokens_field == "limit"


@pytest.mark.parametrize(
    ("model", "effort", "temperature"),
    [
        ("gpt-6-luna", "none", False),
        ("openai/gpt-6.1-sol", "none", False),
        ("gpt-5.6-luna", "none", False),
        ("gpt-5.4-mini", "none", True),
        ("gpt-5-mini", "minimal", False),
        ("o3", "low", False),
        ("gpt-5.3-chat-latest", None, True),
        ("openai/gpt-oss-120b", "low", True),
        ("gpt-oss:20b", "low", True),
        ("gpt-4.1-mini", None, True),
        ("gpt-4o", None, True),
        ("ft:gpt-4.1-mini:desk", None, True),
        ("claude-haiku-4-5", None, True),
        ("qwen3.8-27b", None, True),
    ],
)
async def test_each_family_is_asked_as_it_wants(model: str, effort: str | None, temperature: bool) -> None:
    async with scripted(reply("Yes.")) as server:
        brain = brain_at(server.base_url, model=model)
        await ask(brain, replace(ASKED, temperature=0.2))
        [request] = server.requests
        assert request.get("reasoning_effort") == effort
        assert ("temperature" in request) == temperature
        await brain.aclose()


async def test_the_default_model_takes_an_agents_request_with_tools_and_a_temperature(
    standins: Running, caplog: pytest.LogCaptureFixture
) -> None:
    """The stand-in refuses what the real one refuses."""
    brain = brain_at(f"{standins.base_url}/v1", model=read_default("llm_model"))
    tool = {"type": "function", "function": {"name": "get_weather", "parameters": {}}}
    for _ in range(2):
        parts = await ask(brain, replace(ASKED, tools=[tool], temperature=0.2, max_tokens=100))
        assert end_of(parts)
    assert caplog.text.count("takes no temperature but 1") == 1
    await brain.aclose()


def read_default(field: str) -> str:
    return str(Settings.model_fields[field].default)


async def test_tool_calls_in_pieces_are_put_together_by_index() -> None:
    def call(index: int, **fields: Any) -> bytes:
        function = {key: fields.pop(key) for key in ("name", "arguments") if key in fields}
        return delta(tool_calls=[{"index": index, **fields, "function": function}])

    script: Script = [
        HEAD,
        delta(role="assistant", content=None),
        call(0, id="call_a", type="function", name="get_balance", arguments=""),
        call(0, arguments='{"account"'),
        call(1, id="call_b", type="function", name="list_cards", arguments=""),
        call(0, arguments=':"12"}'),
        delta(finish="tool_calls"),
        DONE,
        END,
    ]
    async with scripted(script) as server:
        brain = brain_at(server.base_url)
        assert await ask(brain) == [
            CalledTool("call_a", "get_balance", '{"account":"12"}'),
            CalledTool("call_b", "list_cards", "{}"),
            Finished("tool_calls", usage_follows=True),
        ]
        await brain.aclose()


@pytest.mark.parametrize(("said", "meant"), [("length", "length"), ("content_filter", "content_filter")])
async def test_the_reason_for_the_end_is_passed_on(said: str, meant: str) -> None:
    async with scripted(reply("Well", finish=said)) as server:
        brain = brain_at(server.base_url)
        assert end_of(await ask(brain)) == meant
        await brain.aclose()


async def test_an_event_may_come_in_any_pieces_with_comments_and_crlf_between() -> None:
    stream = (
        b': hello\r\n\r\ndata: {"choices":[{"delta":{"content":"H\xc3\xa9"},"finish_reason":null}]}\r\n\r\n'
    )
    stream += (
        b'data:{"choices":[]}\n\ndata: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
    )
    bytewise = [piece(stream[at : at + 1]) for at in range(len(stream))]
    async with scripted([HEAD, *bytewise, END]) as server:
        brain = brain_at(server.base_url)
        assert await ask(brain) == [TextDelta("Hé"), Finished("stop", usage_follows=True)]
        await brain.aclose()


async def test_the_end_is_told_at_once_and_the_socket_kept_when_the_last_bytes_come_late() -> None:
    late = asyncio.Event()
    script: Script = [HEAD, delta(content="Yes."), delta(finish="stop"), late, DONE, END]
    async with scripted(script, reply("Again.")) as server:
        brain = brain_at(server.base_url)
        assert end_of(await ask(brain)) == "stop"
        assert brain.pools()[0].leased == 1
        late.set()
        await until(lambda: brain.pools()[0].leased == 0)
        await ask(brain)
        assert server.connections == 1
        await brain.aclose()


async def test_a_stream_without_an_end_loses_its_socket_and_nothing_else() -> None:
    script: Script = [HEAD, delta(content="Yes."), delta(finish="stop"), asyncio.Event()]
    async with scripted(script) as server:
        brain = brain_at(server.base_url, drain_timeout_s=0.05)
        assert end_of(await ask(brain)) == "stop"
        await until(lambda: brain.pools()[0].leased == 0)
        assert brain.pools()[0].idle == 0
        await brain.aclose()


async def test_done_without_a_reason_is_a_stop() -> None:
    async with scripted([HEAD, delta(content="Yes."), DONE, END]) as server:
        brain = brain_at(server.base_url)
        assert await ask(brain) == [TextDelta("Yes."), Finished("stop")]
        await brain.aclose()


BROKEN: list[tuple[str, Script, str]] = [
    ("cut off", [HEAD, delta(content="Yes"), None], "was lost in mid-answer"),
    ("ends before it begins", [HEAD, piece(b": ping\n\n"), END], "broke off .* before it had begun"),
    (
        "error event",
        [HEAD, event({"error": {"message": "overloaded", "code": 500}})],
        "broke off .* overloaded",
    ),
    ("not JSON", [HEAD, piece(b"data: {oops\n\n")], "cannot be read"),
    (
        "too deep",
        [HEAD, piece(b'data: {"x":' + b"[" * 8000 + b"]" * 8000 + b"}\n\n")],
        "cannot be read.*64 levels",
    ),
    ("not HTTP", [b"SSH-2.0-OpenSSH_9.2\r\n"], "could not be reached"),
    ("no answer", [None], "could not be reached"),
    ("silence", [asyncio.Event()], "did not answer in time"),
    ("silence within", [HEAD, delta(content="Yes"), asyncio.Event()], "was lost in mid-answer"),
]


@pytest.mark.parametrize(
    ("script", "message"), [case[1:] for case in BROKEN], ids=[case[0] for case in BROKEN]
)
async def test_whatever_breaks_is_told_in_plain_words_and_frees_the_connection(
    script: Script, message: str
) -> None:
    async with scripted(script) as server:
        brain = brain_at(server.base_url, read_timeout_s=0.1)
        with pytest.raises(ProviderError, match=message) as told:
            await ask(brain)
        assert (told.value.retryable, told.value.stage) == (True, "llm")
        await until(lambda: brain.pools()[0].leased == 0)
        assert brain.pools()[0].idle == (END in script)
        await brain.aclose()


@pytest.mark.parametrize(
    ("kind", "status", "retryable"), [("rate_limited", 429, True), ("server_error", 500, True)]
)
async def test_a_refused_request_says_why(
    standins: Running, fault: Fault, kind: str, status: int, retryable: bool
) -> None:
    brain = brain_at(f"{standins.base_url}/v1")
    await brain.start()
    await brain.wait_warm(2)
    fault(kind, provider="openai")
    with pytest.raises(ProviderError, match=f"refused the request with status {status}") as told:
        await ask(brain)
    assert (told.value.status, told.value.retryable) == (status, retryable)
    assert end_of(await ask(brain)) == "stop"
    await brain.aclose()


async def test_a_bad_key_shows_before_any_call(standins: Running) -> None:
    brain = brain_at(f"{standins.base_url}/v1", api_key="bad-key")
    await brain.start()
    with pytest.raises(PoolTimeout, match=r"refused the API key \(status 401\)"):
        await brain.wait_warm(0.2)
    assert not brain.warm
    with pytest.raises(ProviderError, match="refused the request with status 401") as told:
        await ask(brain)
    assert not told.value.retryable
    await brain.aclose()


async def test_a_server_that_is_not_there() -> None:
    brain = brain_at("http://127.0.0.1:9/v1")
    with pytest.raises(ProviderError, match="could not be reached"):
        await ask(brain)
    await brain.aclose()


async def test_a_reply_closed_early_is_cancelled_at_the_server_and_its_socket_replaced() -> None:
    gone = asyncio.Event()
    async with scripted([HEAD, delta(content="Well"), gone], reply("Yes.")) as server:
        brain = brain_at(server.base_url)
        await brain.start()
        await brain.wait_warm(2)
        async with contextlib.aclosing(brain.reply(ASKED)) as parts:
            assert await anext(parts) == TextDelta("Well")
        assert brain.pools()[0].leased == 0
        await until(lambda: brain.pools()[0].idle >= 1)
        assert end_of(await ask(brain)) == "stop"
        assert brain.pools()[0].misses == 0
        await brain.aclose()


async def test_a_reply_can_be_cancelled_at_any_moment() -> None:
    scripts: list[Script] = [
        [asyncio.Event()],
        [HEAD, asyncio.Event()],
        [HEAD, delta(content="Well"), asyncio.Event()],
    ]
    async with scripted(*scripts) as server:
        brain = brain_at(server.base_url)
        for number in range(len(scripts)):
            reading = asyncio.create_task(ask(brain))
            await until(functools.partial(lambda asked: len(server.requests) == asked, number + 1))
            await asyncio.sleep(0.01)
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
            assert brain.pools()[0].leased == 0
        await brain.aclose()


async def test_a_caller_who_gives_up_while_connecting_leaks_nothing(standins: Running, fault: Fault) -> None:
    fault("hang_at_connect", provider="openai", count=3)
    brain = brain_at(f"{standins.base_url}/v1")
    reading = asyncio.create_task(ask(brain))
    await asyncio.sleep(0.05)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    await brain.aclose()
    assert brain.pools()[0].leased == 0


async def test_many_replies_at_once_each_have_their_own_connection(standins: Running) -> None:
    brain = brain_at(f"{standins.base_url}/v1", pool=replace(POOL, spare=4))
    await brain.start()
    await brain.wait_warm(2)
    answers = await asyncio.gather(*(ask(brain) for _ in range(20)))
    assert {text(parts) for parts in answers} == {text(answers[0])}
    await brain.aclose()
    assert brain.pools()[0].leased == 0
