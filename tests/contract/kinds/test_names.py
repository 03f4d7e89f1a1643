"""Each name that an agent's author can write is used in this suite, with both kinds of call."""

import ast
import inspect
from dataclasses import fields
from pathlib import Path

import pytest

import repartee
from repartee import Agent, CallContext, Limits, Notices, ReplyContext, ToolCall, ToolError

HERE = Path(__file__)

ELSEWHERE = {
    "LLM": "tests/regional/agent",
    "STT": "tests/regional/agent",
    "TTS": "tests/regional/agent",
    "llm": "tests/regional/app",
    "stt": "tests/regional/app",
    "tts": "tests/regional/app",
    "on_dtmf": "tests/regional/transport/telephone",
    "dtmf": "tests/regional/transport/telephone",
    "transfer": "tests/regional/transport/telephone",
    "hold": "tests/regional/transport/telephone",
    "take_back": "tests/regional/transport/telephone",
    "recorded": "tests/regional/app/call_audio",
    "resumed": "tests/regional/session",
    "can": "tests/regional/agent",
    "extra_body": "tests/regional/app",
    "reasoning_effort": "tests/regional/app",
    "service_tier": "tests/regional/app",
    "voice_options": "tests/regional/app",
}
"""Providers of one's own: a speech-to-speech model has none of the three. And what only a telephone or
a recording can do, whichever model talks."""

WORKERS = {"failed", "fork", "hidden", "tell"}
"""Of a context, for the worker's use."""


def public(cls: type) -> set[str]:
    """The methods and properties that a class offers."""
    return {name for name in dir(cls) if not name.startswith("_") and name not in dir(Exception)}


def parameters(function: object) -> set[str]:
    assert callable(function)
    return set(inspect.signature(function).parameters) - {"self", "function"}


def authors_names() -> dict[str, set[str]]:
    """By where it stands, what there is to write."""
    context = CallContext("1")
    return {
        "repartee": set(repartee.__all__),
        "Agent(...)": parameters(Agent.__init__),
        "agent": public(Agent) - {"check"},
        "@agent.tool(...)": parameters(Agent.tool),
        "ctx": {name for name in vars(context) if not name.startswith("_")} | public(CallContext),
        "Limits(...)": {field.name for field in fields(Limits)},
        "Notices(...)": {field.name for field in fields(Notices)},
        "ToolError(...)": parameters(ToolError.__init__),
        "ToolCall(...)": {field.name for field in fields(ToolCall)},
        "ReplyContext": {field.name for field in fields(ReplyContext)},
    }


def used() -> set[str]:
    """All names, attributes and keywords in the suite's tests that run with either kind of call."""
    found: set[str] = set()
    for path in HERE.parent.glob("test_*.py"):
        if path == HERE:
            continue
        for test in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(test, ast.AsyncFunctionDef) and "kind" in {arg.arg for arg in test.args.args}:
                for node in ast.walk(test):
                    if isinstance(node, ast.Name):
                        found.add(node.id)
                    elif isinstance(node, ast.Attribute):
                        found.add(node.attr)
                    elif isinstance(node, ast.keyword) and node.arg:
                        found.add(node.arg)
    return found


UNNAMED = {"Agent", "model", "message", "arguments", "name", "instructions"}
"""Written without their names, ``ToolError("…")``, ``ToolCall("get_balance", {…})``, or by agent_for."""


@pytest.mark.parametrize("where", sorted(authors_names()))
def test_each_name_is_used_with_both_kinds(where: str) -> None:
    missing = authors_names()[where] - used() - set(ELSEWHERE) - UNNAMED - WORKERS
    assert missing == set()


def test_what_is_tested_elsewhere_is() -> None:
    root = HERE.parents[3]
    for name, folder in ELSEWHERE.items():
        assert any(name in path.read_text() for path in (root / folder).glob("test_*.py")), name
