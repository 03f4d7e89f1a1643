"""What a user's agent may be, and what is told when it is wrong."""

import logging
from pathlib import Path
from typing import Any

import pytest

from repartee import Agent, CallContext, Limits, ReplyContext, ToolCall
from repartee.agent.agent import worker_side
from repartee.errors import ConfigurationError


def faults_of(agent: Agent) -> list[str]:
    with pytest.raises(ConfigurationError) as refused:
        agent.check()
    return str(refused.value).split("\n  ")[1:]


def line_of(fault: str) -> int:
    return int(fault.split(": ")[0].rpartition(":")[2])


def test_a_good_agent_has_its_tools_in_openais_forms() -> None:
    agent = Agent("You are helpful.", greeting="Hello.")

    @agent.tool(read_only=True, filler=["One moment.", "Let me see."], timeout_s=3)
    async def look(day: str) -> str:
        """Look at a day."""
        return day

    @agent.tool
    async def book(day: str) -> str:
        """Book a day."""
        return day

    agent.check()
    assert list(worker_side(agent).tools) == ["look", "book"]
    described = {
        "name": "look",
        "description": "Look at a day.",
        "parameters": {
            "type": "object",
            "properties": {"day": {"type": "string"}},
            "required": ["day"],
            "additionalProperties": False,
        },
    }
    assert worker_side(agent).tools["look"].as_realtime() == {"type": "function", **described}
    assert worker_side(agent).tools["look"].as_chat() == {"type": "function", "function": described}
    assert worker_side(agent).phrases == ("Hello.", "One moment.", "Let me see.")
    assert not worker_side(agent).tools["book"].read_only


def test_all_faults_are_told_at_once_with_their_lines() -> None:
    agent = Agent(
        "  ",
        language="English",
        max_tokens=0,
        temperature=3,
        keyterms="abc",
        voice="",
        limits=Limits(call_s=0),
        predictions={
            "greeting": ["missing", "writes", ToolCall("reads", {"dya": "x"}), 7],  # type: ignore[list-item]
            "then": ToolCall("reads", {"day": ["x"]}),
            "?!": "reads",
        },
    )
    first = worker_side(agent).place.line

    @agent.tool  # type: ignore[type-var]
    def blocks(day: str) -> str:
        """Block."""
        return day

    @agent.tool(filler="", timeout_s=0)
    async def writes(day: str) -> str:
        """Write."""
        return day

    @agent.tool(read_only=True, repeatable=True, filler="x" * 200)
    async def reads(day: str) -> str:
        """Read."""
        return day

    @agent.tool(name="reads")
    async def again(day: str) -> str:
        """Read."""
        return day

    faults = faults_of(agent)
    told = "\n".join(faults)
    for expected in [
        "instructions are empty",
        "language must be a code like 'en'",
        "max_tokens must be between 1 and 4096, not 0",
        "temperature must be between 0 and 2, not 3",
        "keyterms must be a list of words",
        "voice must be a text or None, not ''",
        "limits: call_s must be above 0",
        "there is no tool 'missing' (tools: blocks, reads, writes)",
        "'writes' is not marked read_only=True",
        "'reads' has no parameter 'dya'",
        "7 is neither a tool's name",
        "'reads' would be called wrongly (day: Input should be a valid string)",
        "'?!' is neither a state nor words",
        "tool 'blocks' is not an async function, so it would block every call",
        "tool 'writes' has an empty filler",
        "timeout_s must be between 0 and 600, not 0",
        "tool 'reads' has a filler of 200 characters",
        "read_only, so repeatable means nothing",
        "there are two tools named 'reads'",
    ]:
        assert expected in told
    assert all("test_agent.py:" in fault for fault in faults)
    assert [line_of(fault) for fault in faults] == sorted(line_of(fault) for fault in faults)
    blocking = next(fault for fault in faults if "'blocks'" in fault and "async" in fault)
    assert line_of(blocking) in (blocks.__code__.co_firstlineno, blocks.__code__.co_firstlineno + 1)
    assert line_of(faults[0]) == first


def test_a_broken_tool_does_not_make_its_predictions_look_wrong() -> None:
    agent = Agent("Hi.", predictions={"greeting": "look"})

    @agent.tool(read_only=True)
    async def look(day):  # type: ignore[no-untyped-def]
        """Look."""

    faults = faults_of(agent)
    assert len(faults) == 1
    assert "parameter 'day' has no type" in faults[0]


def test_hooks_and_reply_are_checked() -> None:
    agent = Agent("Hi.")

    @agent.on_call_start  # type: ignore[type-var]
    def blocking(ctx: CallContext) -> None: ...

    @agent.on_call_end  # type: ignore[type-var]
    async def two(ctx: CallContext, more: int) -> None: ...

    @agent.on_call_end
    async def again(ctx: CallContext) -> None: ...

    @agent.reply  # type: ignore[type-var]
    async def reply(ctx: ReplyContext) -> str:
        return "no generator"

    told = "\n".join(faults_of(agent))
    assert "@agent.on_call_start is not an async function" in told
    assert "@agent.on_call_end is called with one argument" in told
    assert "@agent.on_call_end is used twice" in told
    assert "@agent.reply needs an async generator" in told


def test_something_that_is_no_function_is_refused() -> None:
    agent = Agent("Hi.")
    agent.tool(name="thing")(print)  # type: ignore[type-var]
    assert "tool 'thing' is not an async function" in faults_of(agent)[0]


async def test_a_call_may_be_changed_by_the_start_hook_and_the_agent_is_not() -> None:
    agent = Agent("Be kind.", greeting="Hello.", voice="amber", language="de")
    ended: list[str] = []

    @agent.on_call_start
    async def greet(ctx: CallContext) -> None:
        ctx.greeting = f"Hello {ctx.metadata['name']}."
        ctx.state["seen"] = True

    @agent.on_call_end
    async def bye(ctx: CallContext) -> None:
        ended.append(ctx.call_id)

    first, second = (
        worker_side(agent).new_call("1", {"name": "Anna", "tags": ["x"]}),
        worker_side(agent).new_call("2", {"name": "Tom"}),
    )
    await worker_side(agent).call_started(first)
    await worker_side(agent).call_ended(first)
    assert (first.greeting, second.greeting, agent.greeting) == ("Hello Anna.", "Hello.", "Hello.")
    assert (first.instructions, first.voice, first.language) == ("Be kind.", "amber", "de")
    assert (first.state, second.state) == ({"seen": True}, {})
    assert dict(first.known) == {"name": "Anna"}
    assert ended == ["1"]


async def test_a_failing_or_hanging_hook_is_logged_and_the_call_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    agent = Agent("Hi.", limits=Limits(hook_s=1e-9))

    @agent.on_call_start
    async def fails(ctx: CallContext) -> None:
        raise ValueError("the database is away")

    @agent.on_call_end
    async def hangs(ctx: CallContext) -> None:
        import asyncio

        await asyncio.Event().wait()

    context = worker_side(agent).new_call("c1")
    with caplog.at_level(logging.INFO):
        await worker_side(agent).call_started(context)
        await worker_side(agent).call_ended(context)
    assert "on_call_start failed in call c1: ValueError" in caplog.text
    assert "on_call_end failed in call c1: TimeoutError" in caplog.text
    assert "the database is away" in caplog.text
    assert caplog.text.count(f"at {Path(__file__).relative_to(Path.cwd())}:") == 2


def test_what_is_said_reaches_the_session_but_not_from_a_guess() -> None:
    said: list[str] = []
    context = worker_side(Agent("Hi.")).new_call("1", {"phone": "+1"}, say=said.append)
    context.say("One moment.")
    context.say("  ")
    twin = context.fork()
    twin.say("Never heard.")
    twin.state["x"] = 1
    assert said == ["One moment."]
    assert context.state == {}
    assert twin.metadata["phone"] == twin.known["phone"] == "+1"


def test_metadata_cannot_be_changed() -> None:
    metadata: Any = worker_side(Agent("Hi.")).new_call("1", {"phone": "+1"}).metadata
    with pytest.raises(TypeError):
        metadata["phone"] = "+2"


def test_what_the_client_tells_cannot_replace_what_is_verified() -> None:
    context = worker_side(Agent("Hi.")).new_call("1", {"phone": "+1"})
    context.tell({"phone": "+2", "name": "Anna", "tags": ["x"]})
    assert context.metadata == {"phone": "+1", "name": "Anna", "tags": ["x"]}
    assert context.verified == {"phone": "+1"}
    assert context.known == {"phone": "+1", "name": "Anna"}
    assert context.fork().metadata == context.metadata
