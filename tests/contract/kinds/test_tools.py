"""Tools and fillers do the same on both kinds: what the caller hears, and what the conversation holds."""

import asyncio
import json
from typing import Any

import pytest
from tests.contract.kinds.call import BALANCE, agent_for, on
from tests.regional.app.running import until

from repartee import CallContext, Notices, ToolError


async def test_a_result_is_spoken_about(kind: str) -> None:
    agent = agent_for(kind)
    seen: list[CallContext] = []

    @agent.tool(name="get_balance")
    async def anything(ctx: CallContext) -> dict[str, Any]:
        """See how much money is in the account."""
        seen.append(ctx)
        ctx.state["asked"] = True
        return {"balance": 1240, "currency": "dollars"}

    async with on(kind, agent) as call:
        assert call.errors == []
        await call.asks()
        await call.hears_said("1240")
        assert call.outputs == [{"balance": 1240, "currency": "dollars"}]
        [ctx] = seen
        assert ctx.state == {"asked": True}
        assert (ctx.known["balance"], ctx.known["currency"]) == (1240, "dollars")
        assert ctx.call_id
        assert call.tools_offered == {"get_balance"}
        assert call.errors == []


async def test_a_spoken_turn_has_its_tool_in_its_trace(kind: str) -> None:
    agent = agent_for(kind)

    @agent.tool
    async def get_balance() -> dict[str, int]:
        """See how much money is in the account."""
        await asyncio.sleep(0.05)
        return {"balance": 1240}

    async with on(kind, agent, profile="budget") as call:
        await call.speaks()
        latency = await call.caller.hears("repartee.turn.latency")
        assert latency.stages_ms["tool"] >= 45
        assert latency.prefetch is None
        finished = await call.caller.hears("repartee.turn.finished")
        assert finished.outcome == "answered"


@pytest.mark.parametrize("retry", [False, True])
async def test_no_in_words_reaches_the_model(kind: str, retry: bool) -> None:
    agent = agent_for(kind)
    runs: list[int] = []

    @agent.tool
    async def get_balance() -> None:
        """See how much money is in the account."""
        runs.append(1)
        raise ToolError("The vault is closed until nine.", retry=retry)

    async with on(kind, agent) as call:
        await call.asks()
        assert await call.gives() == {"error": "The vault is closed until nine."}
        await call.is_idle()
        await call.asks()
        assert await call.gives(2) == {"error": "The vault is closed until nine."}
        assert len(runs) == 1 + retry, "with retry nothing was done, and it may be done now"
        assert call.errors == []


async def test_a_tool_that_takes_too_long_is_given_up(kind: str) -> None:
    agent = agent_for(kind)

    @agent.tool(timeout_s=0.2)
    async def get_balance() -> None:
        """See how much money is in the account."""
        await asyncio.Event().wait()

    async with on(kind, agent) as call:
        await call.asks()
        said = (await call.gives())["error"]
        assert said.startswith("The tool did not answer within 0.2 s.")
        await call.is_idle()
        assert call.said, "the caller hears of it"
        assert call.errors == []


async def test_a_tool_that_fails_is_apologised_for(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    agent = agent_for(kind)

    @agent.tool(read_only=True)
    async def get_balance() -> None:
        """See how much money is in the account."""
        raise KeyError("the ledger is closed")

    async with on(kind, agent) as call:
        await call.asks()
        assert await call.gives() == {"error": "The tool failed. Apologise; do not guess the result."}
        await call.is_idle()
        assert call.said
        assert call.errors == []
    assert "Tool get_balance failed" in caplog.text
    assert "the ledger is closed" in caplog.text, "for the author"


@pytest.mark.parametrize("repeatable", [False, True])
async def test_once_is_once_unless_it_is_repeatable(kind: str, repeatable: bool) -> None:
    agent = agent_for(kind)
    runs: list[int] = []

    @agent.tool(repeatable=repeatable)
    async def get_balance() -> dict[str, int]:
        """See how much money is in the account."""
        runs.append(1)
        return {"balance": 1000 + len(runs)}

    async with on(kind, agent) as call:
        await call.asks()
        await call.hears_said("1001")
        await call.asks()
        assert await call.gives(2) == {"balance": 1002 if repeatable else 1001}
        assert len(runs) == 1 + repeatable


async def test_a_tool_of_the_clients_beside_the_agents(kind: str) -> None:
    agent = agent_for(kind)

    @agent.tool
    async def get_balance() -> dict[str, int]:
        """See how much money is in the account."""
        return {"balance": 1240}

    weather = {
        "type": "function",
        "name": "weather_forecast",
        "description": "The weather forecast for a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    }
    async with on(kind, agent, session={"tools": [weather]}) as call:
        await call.asks("What is the weather forecast?")
        asked = await call.caller.hears("response.function_call_arguments.done")
        assert asked.name == "weather_forecast"
        await call.is_idle()
        output: Any = {
            "type": "function_call_output",
            "call_id": asked.call_id,
            "output": json.dumps({"forecast": "sunny"}),
        }
        await call.caller.connection.conversation.item.create(item=output)
        await call.caller.connection.response.create()
        await call.hears_said("sunny")
        await call.asks()
        await call.hears_said("1240")
        assert call.tools_offered == {"get_balance", "weather_forecast"}
        assert call.errors == []


async def test_what_changes_something_is_let_finish_when_the_caller_hangs_up(kind: str) -> None:
    agent = agent_for(kind)
    begun, released = asyncio.Event(), asyncio.Event()
    done: list[str] = []

    @agent.tool
    async def get_balance() -> None:
        """See how much money is in the account."""
        begun.set()
        await released.wait()
        done.append("tool")

    @agent.on_call_end
    async def end(ctx: CallContext) -> None:
        done.append("end")

    async with on(kind, agent) as call:
        await call.asks()
        await begun.wait()
        await call.caller.connection.close()
        released.set()
    assert done == ["tool", "end"]


# --- fillers -----------------------------------------------------------------------------------------------------


async def test_a_slow_tool_has_its_fillers_said_in_turn_and_before_the_answer(kind: str) -> None:
    agent = agent_for(kind)
    released = asyncio.Event()
    phrases = ["Let me look at your account.", "One moment, I am counting."]

    @agent.tool(filler=phrases)
    async def get_balance() -> dict[str, int]:
        """See how much money is in the account."""
        await released.wait()
        return {"balance": 1240}

    async with on(kind, agent) as call:
        await call.asks()
        await call.hears_said(phrases[0])
        await call.hears_said(phrases[1])  # 4 s into the wait
        released.set()
        await call.hears_said("1240")
        fillers = [said for said in call.said if said in phrases]
        assert fillers == phrases
        assert call.said.index(phrases[1]) < next(n for n, said in enumerate(call.said) if "1240" in said)
        assert call.errors == []


async def test_a_slow_tool_without_a_filler_has_the_callers_company(kind: str) -> None:
    agent = agent_for(kind, notices=Notices(company="I am still with you."))
    released = asyncio.Event()

    @agent.tool
    async def get_balance() -> dict[str, int]:
        """See how much money is in the account."""
        await released.wait()
        return {"balance": 1240}

    async with on(kind, agent) as call:
        await call.asks()
        await call.hears_said("I am still with you.")
        released.set()
        await call.hears_said("1240")
        assert call.errors == []


async def test_a_quick_tool_needs_no_filler(kind: str) -> None:
    agent = agent_for(kind)

    @agent.tool(filler="Let me look at your account.")
    async def get_balance() -> dict[str, int]:
        """See how much money is in the account."""
        return {"balance": 1240}

    async with on(kind, agent) as call:
        await call.asks()
        await call.hears_said("1240")
        assert "Let me look at your account." not in call.said


async def test_the_fillers_delay_is_the_agents(kind: str) -> None:
    agent = agent_for(kind, filler_after_ms=0)

    @agent.tool(filler="Let me look at your account.")
    async def get_balance() -> dict[str, int]:
        """See how much money is in the account."""
        await asyncio.sleep(0.1)
        return {"balance": 1240}

    async with on(kind, agent) as call:
        await call.asks()
        await call.hears_said("1240")
        assert "Let me look at your account." in call.said, "150 ms are not waited for"


async def test_a_filler_is_timed_in_the_turns_trace(kind: str) -> None:
    agent = agent_for(kind)
    released = asyncio.Event()

    @agent.tool(filler="Let me look.")
    async def get_balance() -> dict[str, int]:
        """See how much money is in the account."""
        await released.wait()
        return {"balance": 1240}

    async with on(kind, agent, profile="budget", hears=BALANCE) as call:
        await call.speaks()
        await call.hears_said("Let me look.")
        released.set()
        latency = await call.caller.hears("repartee.turn.latency")
        assert 0 < latency.filler_ms < latency.voice_to_voice_ms
        assert sum(latency.stages_ms.values()) == pytest.approx(latency.voice_to_voice_ms, abs=1)


async def test_speaking_over_a_filler_leaves_the_tool_running(kind: str) -> None:
    agent = agent_for(kind)
    released = asyncio.Event()
    runs: list[int] = []

    @agent.tool(filler="Let me look at your account, this takes a moment.")
    async def get_balance() -> dict[str, int]:
        """See how much money is in the account."""
        runs.append(1)
        await released.wait()
        return {"balance": 1240}

    async with on(kind, agent, profile="budget") as call:
        await call.asks()
        await until(lambda: "response.output_audio.delta" in call.caller.types)
        await call.caller.says_something(pause_ms=0)
        await call.caller.hears("input_audio_buffer.speech_started")
        released.set()
        assert await call.gives() == {"balance": 1240}
        assert runs == [1]
        assert call.errors == []
