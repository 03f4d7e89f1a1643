"""What an author's function raises is told to the author: where, what, and what to do; and to nobody else."""

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.promptness import DEADLINE_S

from repartee import Agent, CallContext, ReplyContext, ToolCall
from repartee.agent.agent import worker_side
from repartee.agent.author_faults import LEFT_OUT, MOST_CHARS, TRACE_MARK, AuthorTrouble, trouble_of
from repartee.agent.own_reply import OwnReplyLLM
from repartee.agent.tools import execute
from repartee.errors import ProviderError
from repartee.providers.interfaces import ReplyRequest

HERE = Path(__file__).name


class Told:
    """A call of an agent's, and what was told of it."""

    def __init__(self, agent: Agent) -> None:
        self.troubles: list[AuthorTrouble] = []
        self.agent = worker_side(agent)
        self.context = self.agent.new_call("c1", {"phone": "+15550100"}, note_fault=self.troubles.append)

    async def runs(self, tool: str, /, **values: Any) -> str:
        outcome = await execute(
            self.agent.tools[tool],
            values,
            self.context,
            deadline=asyncio.timeout(DEADLINE_S),
            result_chars=1_000,
        )
        return outcome.output


def failing(kind: type[Exception] = KeyError) -> Agent:
    agent = Agent("You are a bank.")

    @agent.tool
    async def lookup(ctx: CallContext, name: str, pin: int, extras: list[str]) -> str:
        """Look it up."""
        raise kind(f"nobody is called {name} with {pin} and {extras[0]} at {ctx.verified['phone']}")

    @agent.on_call_start
    async def begin(ctx: CallContext) -> None:
        raise kind("the database is away")

    return agent


async def test_a_tools_exception_has_its_message_line_and_traceback_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told = Told(failing())
    await told.runs("lookup", name="Anna Maier", pin=4711, extras=["blue falcon"])
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    first, *trace = record.getMessage().splitlines()
    assert first.startswith("Tool lookup failed in call c1: KeyError at ")
    assert f"{HERE}:" in first
    assert "nobody is called" in first
    assert 'raise ToolError("...")' in first, "and what to do"
    assert trace and all(line.startswith(TRACE_MARK) for line in trace)
    assert "in lookup: raise kind(" in trace[-1]


async def test_what_it_was_given_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    told = Told(failing())
    output = await told.runs("lookup", name="Anna Maier", pin=4711, extras=["blue falcon"])
    for given in ("Anna Maier", "4711", "blue falcon", "+15550100"):
        assert given not in caplog.text
        assert given not in output
    assert caplog.text.count(LEFT_OUT) == 4


async def test_the_model_is_not_told_why(caplog: pytest.LogCaptureFixture) -> None:
    output = await Told(failing()).runs("lookup", name="x", pin=1, extras=[""])
    assert output == (
        '{"error":"The tool failed. Whether it took effect is not known. Apologise; do not guess the result."}'
    )


async def test_those_who_watch_calls_learn_what_failed_and_where_and_no_message() -> None:
    told = Told(failing(ValueError))
    await told.runs("lookup", name="x", pin=1, extras=[""])
    await told.agent.call_started(told.context)
    assert [(one.what, one.error) for one in told.troubles] == [
        ("Tool lookup", "ValueError"),
        ("on_call_start", "ValueError"),
    ]
    assert all(HERE in one.place for one in told.troubles)


async def test_a_hooks_exception_is_told_too(caplog: pytest.LogCaptureFixture) -> None:
    told = Told(failing())
    await told.agent.call_started(told.context)
    assert "on_call_start failed in call c1: KeyError at " in caplog.text
    assert "the database is away" in caplog.text
    assert "The call goes on" in caplog.text


async def test_the_agents_own_reply_is_told_too(caplog: pytest.LogCaptureFixture) -> None:
    async def reply(ctx: ReplyContext) -> AsyncIterator[str | ToolCall]:
        yield "Well, "
        raise ZeroDivisionError(f"cannot divide {ctx.messages[-1]['content']}")

    told = Told(Agent("You are a bank."))
    request = ReplyRequest([{"role": "user", "content": "my secret number"}])
    with pytest.raises(ProviderError, match=r"^The agent's own reply failed\.$") as raised:
        async for _ in OwnReplyLLM(reply, told.context).reply(request):
            pass
    assert "secret" not in str(raised.value)
    assert "@agent.reply failed in call c1: ZeroDivisionError at " in caplog.text
    assert f"cannot divide {LEFT_OUT}" in caplog.text
    assert [one.what for one in told.troubles] == ["@agent.reply"]


def test_what_led_to_it_is_told_and_long_messages_are_cut() -> None:
    try:
        try:
            raise OSError("no route to 10.0.0.1")
        except OSError as error:
            raise RuntimeError("x" * 10_000) from error
    except RuntimeError as error:
        trouble = trouble_of("Tool t", error, ["10.0.0.1"])
    assert trouble.trace[0] == f"OSError: no route to {LEFT_OUT}, then"
    assert len(trouble.message) == MOST_CHARS + 1


def test_an_exception_that_was_never_raised_has_no_place() -> None:
    trouble = trouble_of("Tool t", ValueError("no"), [None, True, {"a": ("bc", object())}])
    assert trouble.place == "an unknown place"
    assert trouble.message == "no", "what is shorter than three letters is no secret"
