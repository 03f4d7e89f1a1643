"""What an author can write does the same on both kinds of call, or is refused at the start by its name."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.contract.kinds.call import CASCADE, HOURS, SPEECH_TO_SPEECH, agent_for, on

from repartee import Agent, CallContext, Limits, Notices, ReplyContext
from repartee.app.services import Services
from repartee.app.settings import read_settings
from repartee.errors import ConfigurationError
from repartee.standins.faults import Fault

REFUSED: dict[str, dict[str, Any]] = {
    "temperature": {"temperature": 0.5},
    "reasoning_effort": {"reasoning_effort": "low"},
    "service_tier": {"service_tier": "priority"},
    "extra_body": {"extra_body": {"seed": 1}},
    "voice_options": {"voice_options": {"speed": 1.1}},
    "voice_text": {"voice_text": "raw"},
    "@agent.reply": {},
    "@agent.summary": {},
}
"""What a speech-to-speech model has no use for: an agent that names such a model and has it does not start."""

IN_PART: dict[str, dict[str, Any]] = {"backchannels": {"backchannels": ["okay"]}}
"""What does less there; the worker says so at its start."""

KEYS = {"OPENAI_API_KEY": "a", "DEEPGRAM_API_KEY": "b", "CARTESIA_API_KEY": "c"}
SORRY = "I am sorry, that went wrong."


def with_it(kind: str, name: str) -> Agent:
    """An agent that has what is called so."""
    agent = agent_for(kind, **(REFUSED | IN_PART)[name])
    if name == "@agent.reply":

        @agent.reply
        async def reply(ctx: ReplyContext) -> AsyncIterator[str]:
            yield "Nine to five."

    if name == "@agent.summary":

        @agent.summary
        async def summary(ctx: CallContext, words: str) -> str:
            return "The caller is called Marta."

    return agent


@pytest.mark.parametrize("name", REFUSED)
async def test_what_one_kind_cannot_do_is_refused_by_name(
    kind: str, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    agent, settings = with_it(kind, name), read_settings(KEYS)
    if kind == CASCADE:
        Services(settings, agent)
        assert caplog.records == []
        return
    with pytest.raises(ConfigurationError) as refused:
        Services(settings, agent)
    [line] = [line for line in str(refused.value).splitlines() if name in line]
    assert f"{name} would never be used: gpt-realtime " in line


@pytest.mark.parametrize("name", [*REFUSED, *IN_PART])
def test_where_the_client_chooses_the_kind_it_is_said_at_the_start(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    Services(read_settings({**KEYS, "REPARTEE_SPEECH_TO_SPEECH": "on"}), with_it(CASCADE, name))
    [line] = [record.getMessage() for record in caplog.records if "speech to speech" in record.getMessage()]
    assert f"{name}: gpt-realtime" in line
    assert "\n" not in line


@pytest.mark.parametrize("name", IN_PART)
async def test_what_does_less_on_one_kind_is_said_at_the_start(
    kind: str, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    Services(read_settings(KEYS), with_it(kind, name))
    said = [record.getMessage() for record in caplog.records]
    assert [f"{name}: gpt-realtime" in line for line in said] == ([] if kind == CASCADE else [True])


async def test_nothing_is_said_of_what_both_have(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    Services(read_settings(KEYS), agent_for(kind, idle_s=20.0, max_tokens=50, voice_text="spoken"))
    assert caplog.records == []


def test_what_one_kind_lacks_is_written_down() -> None:
    page = (Path(__file__).parents[3] / "docs" / "agents.md").read_text(encoding="utf-8")
    [section] = re.findall(r"^## A speech-to-speech model\n(.*?)^## ", page, re.MULTILINE | re.DOTALL)
    [refused] = re.findall(r"does not start with.*?:\n\n(.*?)\n\n", section, re.DOTALL)
    assert set(re.findall(r"^- `(@?[\w.]+)`", refused, re.MULTILINE)) == set(REFUSED)
    assert all(f"- `{name}`" in section for name in IN_PART)


@pytest.mark.parametrize("limit", [1, 3])
async def test_a_turn_has_the_same_budget_of_requests(kind: str, limit: int) -> None:
    """A model that calls what nobody has declared, again and again, is asked so often, and then apologised for."""
    agent = agent_for(kind, limits=Limits(tool_calls_per_turn=limit), notices=Notices(apology=SORRY))
    async with on(kind, agent) as call:
        provider = "openai" if kind == CASCADE else "openai-realtime"
        call.provider.state.faults.put(Fault("unknown_tool", provider, count=100))
        await call.asks(HOURS)
        await call.hears_said(SORRY)
        await call.is_idle()
        asked = call.caller.types.count("response.created") - 1  # the apology is asked of nobody
        if kind == CASCADE:
            asked = len(call.wire.requests)
        assert limit < asked <= 2 * limit + 8
        assert call.errors == []


async def test_what_a_model_is_no_longer_shown_is_summed_up_by_the_author(kind: str) -> None:
    if kind == SPEECH_TO_SPEECH:
        return  # refused: such a model keeps its own conversation
    agent = agent_for(kind)
    given: list[str] = []

    @agent.summary
    async def summary(ctx: CallContext, words: str) -> str:
        given.append(words)
        return "The caller is called Marta."

    async with on(kind, agent, REPARTEE_CONTEXT_TOKENS="500") as call:
        for number in range(1, 6):
            await call.asks(f"{HOURS} Marta here, for the {number}. time. " + "I say it again. " * 40)
            await call.is_idle()
            assert len(call.said) == number
        assert "Caller: What are your opening hours? Marta here, for the 1. time." in given[0]
        shown = [str(message["content"]) for message in call.wire.requests[-1].messages]
        assert any("The caller is called Marta." in text for text in shown)
        assert not any("for the 1. time" in text for text in shown)
        assert call.errors == []


async def test_what_is_written_is_what_the_client_reads(kind: str) -> None:
    agent = agent_for(kind, greeting="It costs $12.50, **really**.", voice_text="spoken")
    async with on(kind, agent) as call:
        assert await call.hears_said("12.50") == "It costs $12.50, **really**."
