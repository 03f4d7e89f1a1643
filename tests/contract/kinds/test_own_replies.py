"""``@agent.reply`` with all that a reply may meet. A speech-to-speech model makes its own: refused at the start."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.contract.kinds.call import BALANCE, CASCADE, BothKinds, agent_for, on
from tests.regional.app.running import until

from repartee import Agent, ReplyContext, ToolCall
from repartee.app.services import Services
from repartee.app.settings import read_settings
from repartee.errors import ConfigurationError

PATIENT = {
    "stt": {
        "start_of_turn_ms": 0,
        "eager_end_of_turn_ms": 60,
        "end_of_turn_ms": 2000,
        "extra_ms": 0,
        "nova_extra_ms": 0,
    },
    "llm": {"ttft_ms": 0, "tokens_per_s": None},
    "tts": {"ttfb_ms": 0, "speed": None},
}
"""Ears that confirm a turn's end long after they have told of it eagerly."""


@asynccontextmanager
async def replying(kind: str, agent: Agent, folder: Path) -> AsyncIterator[BothKinds | None]:
    """A call with an agent that replies itself; None with a model that does: the start has been refused."""
    if kind != CASCADE:
        with pytest.raises(ConfigurationError) as refused:
            Services(read_settings({"OPENAI_API_KEY": "key"}), agent)
        [line] = [line for line in str(refused.value).splitlines() if "@agent.reply" in line]
        assert "@agent.reply would never be used: gpt-realtime makes its own replies." in line
        yield None
        return
    profile = folder / "patient.json"
    profile.write_text(json.dumps(PATIENT))
    async with on(kind, agent, profile=str(profile), hears=BALANCE) as call:
        yield call


async def test_its_tools_run_and_their_results_come_back_to_it(kind: str, tmp_path: Path) -> None:
    agent = agent_for(kind)
    results: list[str] = []

    @agent.tool
    async def find_account(name: str) -> dict[str, int]:
        """Find an account by its owner's name."""
        return {"account": len(name)}

    @agent.tool
    async def get_balance(account: int) -> dict[str, int]:
        """See how much money is in an account."""
        return {"balance": account * 100}

    @agent.reply
    async def reply(ctx: ReplyContext) -> AsyncIterator[str | ToolCall]:
        results[:] = [str(message["content"]) for message in ctx.messages if message["role"] == "tool"]
        if not results:
            yield ToolCall("find_account", {"name": "Marta"})
        elif len(results) == 1:
            yield ToolCall("get_balance", json.loads(results[0]))
        else:
            yield f"It is {json.loads(results[1])['balance']}."

    async with replying(kind, agent, tmp_path) as call:
        if call is None:
            return
        await call.asks()
        await call.hears_said("It is 500.")
        assert call.outputs == [{"account": 5}, {"balance": 500}]
        assert call.errors == []


async def test_a_filler_is_heard_while_its_tool_runs(kind: str, tmp_path: Path) -> None:
    agent = agent_for(kind)
    released = asyncio.Event()

    @agent.tool(filler="Let me look.")
    async def get_balance() -> dict[str, int]:
        """See how much money is in the account."""
        await released.wait()
        return {"balance": 1240}

    @agent.reply
    async def reply(ctx: ReplyContext) -> AsyncIterator[str | ToolCall]:
        if ctx.messages[-1]["role"] == "tool":
            yield "You have much."
        else:
            yield ToolCall("get_balance")

    async with replying(kind, agent, tmp_path) as call:
        if call is None:
            return
        await call.asks()
        await call.hears_said("Let me look.")
        assert call.outputs == []
        released.set()
        await call.hears_said("You have much.")
        assert call.said == ["Let me look.", "You have much."]
        assert call.errors == []


async def test_it_begins_at_an_eager_end_and_its_tool_runs_once_that_is_confirmed(
    kind: str, tmp_path: Path
) -> None:
    agent = agent_for(kind)
    begun = asyncio.Event()
    happened: list[str] = []

    @agent.tool
    async def get_balance() -> dict[str, int]:
        """See how much money is in the account."""
        happened.append("tool")
        return {"balance": 1240}

    @agent.reply
    async def reply(ctx: ReplyContext) -> AsyncIterator[str | ToolCall]:
        if ctx.messages[-1]["role"] == "tool":
            yield "You have much."
            return
        happened.append("reply")
        yield ToolCall("get_balance")
        begun.set()

    async with replying(kind, agent, tmp_path) as call:
        if call is None:
            return
        await call.caller.says_something(pause_ms=200)
        await asyncio.wait_for(begun.wait(), 60)
        assert "input_audio_buffer.speech_stopped" not in call.caller.types, "only the eager end has come"
        assert happened == ["reply"], "no tool runs for a guess"
        latency = await call.caller.hears("repartee.turn.latency")
        await call.hears_said("You have much.")
        assert happened == ["reply", "tool"], "what was begun early is used"
        stages = latency.stages_ms
        assert {"end_of_turn", "llm", "tool", "chunk", "tts"} <= set(stages)
        assert sum(stages.values()) == pytest.approx(latency.voice_to_voice_ms, abs=1)
        assert latency.providers["llm"] == "agent"
        assert call.errors == []


async def test_a_turn_that_goes_on_drops_what_it_has_begun(kind: str, tmp_path: Path) -> None:
    agent = agent_for(kind)
    begun, dropped = asyncio.Event(), asyncio.Event()
    runs: list[int] = []

    @agent.tool
    async def get_balance() -> dict[str, int]:
        """See how much money is in the account."""
        runs.append(1)
        return {"balance": 1240}

    @agent.reply
    async def reply(ctx: ReplyContext) -> AsyncIterator[str | ToolCall]:
        if ctx.messages[-1]["role"] == "tool":
            yield "You have much."
            return
        yield ToolCall("get_balance")
        if begun.is_set():
            return
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            dropped.set()

    async with replying(kind, agent, tmp_path) as call:
        if call is None:
            return
        await call.caller.says_something(pause_ms=200)
        await asyncio.wait_for(begun.wait(), 60)
        await call.caller.says_something(pause_ms=200)
        await asyncio.wait_for(dropped.wait(), 60)
        assert runs == [], "no tool runs for a guess"
        assert call.said == []
        await call.hears_said("You have much.")
        await until(lambda: call.outputs == [{"balance": 1240}])
        assert runs == [1]
        assert call.said == ["You have much."]
        assert call.errors == []


async def test_a_turns_trace_has_its_stages(kind: str, tmp_path: Path) -> None:
    agent = agent_for(kind)

    @agent.reply
    async def reply(ctx: ReplyContext) -> AsyncIterator[str | ToolCall]:
        await asyncio.sleep(0.1)
        yield "You have much."

    async with replying(kind, agent, tmp_path) as call:
        if call is None:
            return
        await call.speaks()
        latency = await call.caller.hears("repartee.turn.latency")
        assert latency.stages_ms["llm"] >= 95, "the author's function is timed as the model"
        assert {"end_of_turn", "chunk", "tts", "hold"} <= set(latency.stages_ms)
        assert sum(latency.stages_ms.values()) == pytest.approx(latency.voice_to_voice_ms, abs=1)
        assert (latency.providers["llm"], latency.speculative) == ("agent", True)
        assert call.errors == []
