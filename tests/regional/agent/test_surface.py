"""What `from repartee import …` offers: what an author needs, no more, and mypy finds what is wrong with its use."""

import subprocess
import sys
from pathlib import Path

import pytest
from mypy import api

import repartee
from repartee import Agent, ConfigurationError

NAMES = {
    "Agent",
    "CallContext",
    "ConfigurationError",
    "LLM",
    "Limits",
    "Notices",
    "ReplyContext",
    "STT",
    "Secret",
    "TTS",
    "ToolCall",
    "ToolError",
}


def public(kind: type) -> set[str]:
    return {name for name in dir(kind) if not name.startswith("_")}


def test_these_names_are_there_and_no_others() -> None:
    assert set(repartee.__all__) == NAMES
    assert all(getattr(repartee, name) is not None for name in NAMES)
    with pytest.raises(AttributeError, match="no attribute 'Toolbox'"):
        repartee.Toolbox  # type: ignore[attr-defined]  # noqa: B018


def test_an_agent_has_its_authors_side_only() -> None:
    assert public(Agent) == {"check", "on_call_end", "on_call_start", "on_dtmf", "reply", "summary", "tool"}
    stated = {
        "backchannels",
        "filler_after_ms",
        "greeting",
        "idle_s",
        "extra_body",
        "instructions",
        "keyterms",
        "language",
        "learn",
        "limits",
        "llm",
        "max_tokens",
        "model",
        "name",
        "notices",
        "predictions",
        "record",
        "reasoning_effort",
        "service_tier",
        "spoken_style",
        "stt",
        "suggestions",
        "temperature",
        "tts",
        "voice",
        "voice_options",
        "voice_text",
    }
    assert {name for name in vars(Agent("Hi.")) if not name.startswith("_")} == stated


def test_what_check_raises_is_caught_by_its_name() -> None:
    with pytest.raises(ConfigurationError, match="instructions are empty"):
        Agent(" ").check()


def test_what_the_package_offers_costs_nothing_until_it_is_used() -> None:
    """`import repartee` alone, as each command's start does it, imports no part of it."""
    code = "import sys, repartee; print([name for name in sys.modules if name.startswith('repartee.')])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == "[]"


HEAD = """
from collections.abc import AsyncGenerator, AsyncIterator, Sequence

from repartee import LLM, STT, TTS, Agent, CallContext, ConfigurationError, ReplyContext, ToolCall, ToolError
from repartee.providers.interfaces import Finished, ReplyPart, ReplyRequest, TextDelta, Transcriber, Utterance

agent = Agent("Be kind.")
"""

RIGHT = """
@agent.tool
async def bare(day: str) -> str:
    raise ToolError("Not today.")

@agent.tool(read_only=True, filler="One moment.")
async def with_context(ctx: CallContext, count: int = 1) -> dict[str, int]:
    ctx.say("Right away.")
    return {"count": count}

@agent.on_call_start
async def start(ctx: CallContext) -> None:
    ctx.greeting = "Hello."

@agent.on_call_end
async def end(ctx: CallContext) -> None: ...

@agent.reply
async def reply(ctx: ReplyContext) -> AsyncIterator[str | ToolCall]:
    yield "Hello."
    yield ToolCall("bare", {"day": "Monday"})

class Ears:
    async def listen(self, *, language: str = "en", keyterms: Sequence[str] = ()) -> Transcriber:
        raise NotImplementedError

class Parrot:
    async def reply(self, request: ReplyRequest) -> AsyncGenerator[ReplyPart, None]:
        yield TextDelta(str(request.messages[-1]["content"]))
        yield Finished("stop")

class Whistle:
    async def speak(self, reply_id: int, *, voice: str | None = None, language: str = "en") -> Utterance:
        raise NotImplementedError

def an_stt() -> STT:
    return Ears()

an_llm: LLM = Parrot()
a_tts: TTS = Whistle()
own = Agent("Be kind.", stt=an_stt, llm=Parrot, tts=Whistle)

async def as_it_was() -> str:
    try:
        agent.check()
    except ConfigurationError:
        pass
    return await bare("Monday")
"""

WRONG = {
    "a name that is not offered": "from repartee import Toolbox",
    "a tool that blocks": "@agent.tool\ndef wrong(day: str) -> str:\n    return day",
    "a tool with options that blocks": "@agent.tool(read_only=True)\ndef wrong(day: str) -> str:\n    return day",
    "a tool that yields": "@agent.tool\nasync def wrong(day: str) -> AsyncIterator[str]:\n    yield day",
    "an option that is none": "@agent.tool(readonly=True)\nasync def wrong(day: str) -> str:\n    return day",
    "a start hook that blocks": "@agent.on_call_start\ndef wrong(ctx: CallContext) -> None: ...",
    "a start hook of two": "@agent.on_call_start\nasync def wrong(ctx: CallContext, more: int) -> None: ...",
    "a start hook of none": "@agent.on_call_start\nasync def wrong() -> None: ...",
    "a start hook of a reply": "@agent.on_call_start\nasync def wrong(ctx: ReplyContext) -> None: ...",
    "an end hook that blocks": "@agent.on_call_end\ndef wrong(ctx: CallContext) -> None: ...",
    "an end hook of another": "@agent.on_call_end\nasync def wrong(ctx: str) -> None: ...",
    "a reply that returns": "@agent.reply\nasync def wrong(ctx: ReplyContext) -> str:\n    return 'Hello.'",
    "a reply of numbers": "@agent.reply\nasync def wrong(ctx: ReplyContext) -> AsyncIterator[int]:\n    yield 1",
    "a reply of a call": "@agent.reply\nasync def wrong(ctx: CallContext) -> AsyncIterator[str]:\n    yield ''",
}


WRONG |= {
    "an STT that cannot listen": "class Mine: ...\nAgent('Hi.', stt=Mine)",
    "an LLM that returns": "class Mine:\n    async def reply(self, request: ReplyRequest) -> str:\n"
    "        return ''\nAgent('Hi.', llm=Mine)",
    "a TTS that wants more": "class Mine:\n    async def speak(self, reply_id: int, pitch: int) -> Utterance:\n"
    "        raise NotImplementedError\nmine: TTS = Mine()",
    "a TTS, not what makes one": "class Mine:\n    async def speak(self, reply_id: int, *, voice: str | None = None,"
    " language: str = 'en') -> Utterance:\n        raise NotImplementedError\nAgent('Hi.', tts=Mine())",
}


def mypy(*files: Path) -> list[str]:
    """The errors in these files, as ``file:line: error: …``."""
    arguments = ["--strict", "--no-error-summary", "--follow-imports=silent", *map(str, files)]
    said, complaint, _ = api.run(arguments)
    assert not complaint, complaint
    return [line for line in said.splitlines() if " error: " in line]


def test_mypy_finds_a_wrong_hook_of_each_kind_and_nothing_wrong_with_right_ones(tmp_path: Path) -> None:
    right = tmp_path / "right.py"
    right.write_text(HEAD + RIGHT)
    files = {}
    for number, (name, body) in enumerate(WRONG.items()):
        files[name] = tmp_path / f"wrong_{number}.py"
        files[name].write_text(f"{HEAD}\n{body}\n")
    found = mypy(right, *files.values())
    assert [line for line in found if right.name in line] == []
    missed = [name for name, file in files.items() if not any(file.name in line for line in found)]
    assert missed == []
