"""One tool's run: what the model is told of a result, and of what went wrong."""

import asyncio
import json
import logging
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from repartee import Agent, Limits
from repartee.agent.agent import worker_side
from repartee.agent.toolbox import Toolbox


async def run_with(function: Callable[..., Any], arguments: str = "{}", **options: Any) -> Any:
    """Run one tool of an agent that has only this one; what the model is told."""
    agent = Agent("Hi.", limits=Limits(result_chars=60))
    agent.tool(name="tool", **options)(function)
    return json.loads(
        await Toolbox(agent, worker_side(agent).new_call("c1")).run(1, "call_1", "tool", arguments)
    )


async def test_results_are_json() -> None:
    async def several() -> dict[str, Any]:
        """Several."""
        return {"day": date(2026, 11, 22), "sizes": {3}, "nothing": None}

    async def text() -> str:
        """Text."""
        return "café"

    async def nothing() -> None:
        """Nothing."""

    assert await run_with(several) == {"day": "2026-11-22", "sizes": [3], "nothing": None}
    assert await run_with(text) == "café"
    assert await run_with(nothing) == {"status": "done"}


async def test_a_long_result_is_cut_and_that_is_said() -> None:
    async def long() -> str:
        """Long."""
        return "word " * 1000

    told = await run_with(long)
    assert (told["truncated"], told["length"], len(told["beginning"])) == (True, 5002, 60)


async def test_what_goes_wrong_is_told_and_logged_without_values(caplog: pytest.LogCaptureFixture) -> None:
    async def fails(day: str) -> None:
        """Fail."""
        raise ValueError(f"no such day: {day}")

    async def leaves() -> None:
        """Leave."""
        raise SystemExit(3)

    async def odd() -> object:
        """Odd."""
        return object()

    async def gives_up() -> None:
        """Give up."""
        raise asyncio.CancelledError

    async def own_timeout() -> None:
        """Time out."""
        raise TimeoutError("mine")

    caplog.set_level(logging.INFO)
    said = await run_with(fails, '{"day": "secret"}')
    assert said == {
        "error": "The tool failed. Whether it took effect is not known. Apologise; do not guess the result."
    }
    assert await run_with(fails, '{"day": "secret"}', read_only=True) == {
        "error": "The tool failed. Apologise; do not guess the result."
    }
    assert "The tool failed" in (await run_with(leaves))["error"]
    assert "cannot be read" in (await run_with(odd))["error"]
    assert "The tool failed" in (await run_with(gives_up))["error"]
    assert "The tool failed" in (await run_with(own_timeout))["error"]
    assert "Tool tool failed in call c1: ValueError at " in caplog.text
    assert "test_tools.py:" in caplog.text
    assert "secret" not in caplog.text


async def test_a_tool_that_hangs_is_given_up() -> None:
    async def hangs() -> None:
        """Hang."""
        await asyncio.Event().wait()

    said = await run_with(hangs, timeout_s=0.001)
    assert "did not answer within 0.001 s. Whether it took effect is not known." in said["error"]
