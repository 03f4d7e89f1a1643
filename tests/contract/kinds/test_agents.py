"""Predictions, hooks, limits, language and all that an agent declares: the same on both kinds of call."""

import asyncio
import inspect
import logging
import re
from pathlib import Path
from typing import Any

import pytest
from tests.contract.kinds.call import CASCADE, HOURS, KINDS, SPEECH_TO_SPEECH, agent_for, on
from tests.promptness import DEADLINE_S
from tests.regional.app.running import until

from repartee import CallContext, Limits, Notices, ReplyContext, ToolCall
from repartee.app.services import Services
from repartee.app.settings import read_settings
from repartee.errors import ConfigurationError
from repartee.standins.faults import Fault

ROOT = Path(__file__).parents[3]
CORES = ("turn/machine.py", "relay/machine.py")


def inside_a_core() -> bool:
    """Whether a core is in the middle of receiving an event."""
    return any(
        frame.function == "receive" and frame.filename.endswith(CORES) for frame in inspect.stack(context=0)
    )


# --- predictions -------------------------------------------------------------------------------------------------


async def test_what_is_likely_from_the_start_is_there_when_it_is_asked_for(kind: str) -> None:
    agent = agent_for(kind, predictions={"greeting": "get_balance"})
    runs: list[int] = []
    ran = asyncio.Event()

    @agent.tool(read_only=True)
    async def get_balance(ctx: CallContext) -> dict[str, int]:
        """See how much money is in the account."""
        runs.append(1)
        ctx.state["looked"] = True
        ran.set()
        return {"balance": 1240}

    async with on(kind, agent, profile="budget") as call:
        await ran.wait()
        await call.speaks()
        latency = await call.caller.hears("repartee.turn.latency")
        assert latency.prefetch == "hit"
        assert runs == [1]
        assert call.errors == []


async def test_an_authors_prediction_is_never_called_by_a_core(kind: str) -> None:
    calls: list[tuple[str, bool]] = []

    def expect(ctx: CallContext, text: str) -> ToolCall | None:
        calls.append((text, inside_a_core()))
        return ToolCall("get_balance", {"account": ctx.state["account"]})

    agent = agent_for(
        kind, predictions={("balance", "account"): expect, "get_balance": [expect], "greeting": expect}
    )
    asked: list[str] = []

    @agent.on_call_start
    async def begin(ctx: CallContext) -> None:
        ctx.state["account"] = "savings"

    @agent.tool(read_only=True)
    async def get_balance(account: str = "main") -> dict[str, Any]:
        """See how much money is in the account."""
        asked.append(account)
        return {"balance": 1240}

    async with on(kind, agent) as call:
        await call.speaks()
        await call.hears_said("1240")
        await call.is_idle()
    assert "savings" in asked
    assert any("balance" in text.lower() for text, _ in calls), "it is given the caller's words"
    assert not any(inside for _, inside in calls)


async def test_a_prediction_that_raises_is_left_alone_and_the_call_goes_on(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    def expect(ctx: CallContext, text: str) -> ToolCall | None:
        raise TimeoutError("an author's")

    agent = agent_for(kind, predictions={"balance": expect}, learn=False)
    async with on(kind, agent) as call:
        await call.speaks()
        await call.caller.hears("repartee.turn.finished")
        assert call.errors == []
    assert "A prediction failed" in caplog.text


async def test_what_the_client_says_of_the_caller_completes_a_prediction(kind: str) -> None:
    agent = agent_for(kind, predictions={"greeting": "get_balance"})
    ran = asyncio.Event()
    seen: list[Any] = []

    @agent.tool(read_only=True)
    async def get_balance(ctx: CallContext, customer: str) -> dict[str, int]:
        """See how much money is in the account."""
        seen.append((customer, dict(ctx.metadata), dict(ctx.verified), dict(ctx.known)))
        ran.set()
        return {"balance": 1240}

    async with on(kind, agent) as call:
        assert not ran.is_set()
        await call.updates(metadata={"customer": "anna"})
        await ran.wait()
        customer, metadata, verified, known = seen[0]
        assert (customer, metadata["customer"], known["customer"]) == ("anna", "anna", "anna")
        assert "customer" not in verified


# --- hooks -------------------------------------------------------------------------------------------------------


async def test_on_call_start_decides_what_the_call_is(kind: str) -> None:
    agent = agent_for(kind, greeting="Good morning.", voice="cedar" if kind == SPEECH_TO_SPEECH else "v1")
    order: list[str] = []

    @agent.on_call_start
    async def begin(ctx: CallContext) -> None:
        order.append("start")
        assert (ctx.greeting, ctx.language) == ("Good morning.", "en")
        assert ctx.instructions == "You are a bank."
        assert ctx.voice
        ctx.instructions = "You are a savings bank."
        ctx.greeting = "Good evening."
        ctx.voice = "marin" if kind == SPEECH_TO_SPEECH else "v2"
        ctx.language = "de"
        ctx.state["began"] = True

    @agent.on_call_end
    async def end(ctx: CallContext) -> None:
        assert ctx.state == {"began": True}
        order.append("end")

    async with on(kind, agent) as call:
        await call.hears_said("Good evening.")
        await call.asks(HOURS)
        await until(lambda: len(call.said) > 1)
        assert "Good morning." not in call.said
        assert call.instructions.startswith("You are a savings bank.")
        assert call.recognises == "de"
        created = call.caller.events[0].session
        assert created.instructions == "You are a savings bank."
        assert created.audio.output.voice == ("marin" if kind == SPEECH_TO_SPEECH else "v2")
        assert call.errors == []
    assert order == ["start", "end"]


HOOK_FAULTS = {
    "raises": "FileNotFoundError",
    "hangs": "TimeoutError",
    "awaits what it cancelled": "CancelledError",
}


@pytest.mark.parametrize("fault", HOOK_FAULTS)
async def test_a_hook_that_fails_holds_up_nobody(
    kind: str, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    agent = agent_for(kind, greeting="Good morning.", limits=Limits(hook_s=0.1))

    async def fail(ctx: CallContext) -> None:
        if fault == "raises":
            raise FileNotFoundError("an author's")
        waiting = asyncio.ensure_future(asyncio.Event().wait())
        if fault != "hangs":
            waiting.cancel()
        await waiting

    agent.on_call_start(fail)
    agent.on_call_end(fail)
    async with on(kind, agent) as call:
        await call.hears_said("Good morning.")
        assert call.errors == []
    assert f"on_call_start failed in call {call.worker_call_id}: {HOOK_FAULTS[fault]}" in caplog.text
    assert f"on_call_end failed in call {call.worker_call_id}: {HOOK_FAULTS[fault]}" in caplog.text
    assert (
        await_metrics := [record for record in caplog.records if record.levelno >= logging.ERROR]
    ) == [], await_metrics


async def test_a_reply_of_the_agents_own(kind: str) -> None:
    agent = agent_for(kind, max_tokens=50, temperature=0.3)
    seen: list[ReplyContext] = []

    @agent.tool
    async def get_balance() -> dict[str, int]:
        """See how much money is in the account."""
        return {"balance": 1240}

    @agent.reply
    async def reply(ctx: ReplyContext):  # type: ignore[no-untyped-def]
        seen.append(ctx)
        if ctx.messages[-1]["role"] == "tool":
            yield "You have "
            yield "much."
        else:
            yield ToolCall("get_balance")

    if kind == SPEECH_TO_SPEECH:
        settings = read_settings({"OPENAI_API_KEY": "key"})
        with pytest.raises(ConfigurationError, match=r"@agent\.reply would never be used"):
            Services(settings, agent)
        return
    async with on(kind, agent) as call:
        await call.asks()
        await call.hears_said("You have much.")
        assert call.outputs == [{"balance": 1240}]
        first = seen[0]
        assert (first.max_tokens, first.temperature) == (50, 0.3)
        assert first.messages[0]["role"] == "system"
        assert [tool["function"]["name"] for tool in first.tools] == ["get_balance"]
        assert first.call.instructions == "You are a bank."
        assert call.errors == []


# --- limits ------------------------------------------------------------------------------------------------------


async def test_a_call_ends_after_its_time(kind: str) -> None:
    agent = agent_for(kind, limits=Limits(call_s=0.5))
    async with on(kind, agent) as call:
        async with asyncio.timeout(DEADLINE_S):
            await call.caller.hung_up.wait()
        assert call.errors == []


async def test_tool_calls_in_one_turn_are_bounded(kind: str) -> None:
    agent = agent_for(kind, limits=Limits(tool_calls_per_turn=1))
    runs: list[str] = []

    @agent.tool
    async def lookup_customer() -> dict[str, Any]:
        """Find out who the caller is."""
        runs.append("lookup_customer")
        return {"customer_id": 7}

    @agent.tool
    async def get_balance(customer_id: int = 0) -> dict[str, int]:
        """See how much money is in the account."""
        runs.append("get_balance")
        return {"balance": 1240}

    async with on(kind, agent) as call:
        await call.asks()
        assert await call.gives() == {"customer_id": 7}
        await until(lambda: bool(call.said))
        await call.is_idle()
        assert runs == ["lookup_customer"], "the model goes no further, and answers with what it has"
        assert call.errors == []


async def test_a_long_result_is_cut_off(kind: str) -> None:
    agent = agent_for(kind, limits=Limits(result_chars=20))

    @agent.tool
    async def get_balance() -> str:
        """See how much money is in the account."""
        return "x" * 100

    async with on(kind, agent) as call:
        await call.asks()
        assert await call.gives() == {"truncated": True, "length": 102, "beginning": '"' + "x" * 19}


# --- language ----------------------------------------------------------------------------------------------------

GERMAN: dict[str, Any] = {"audio": {"input": {"transcription": {"language": "de"}}}}

DOCUMENTED = (
    "`language`: recognition's from now on, by another connection that hears the open turn from its beginning; the "
    "voice's from the next response on"
)


def test_the_docs_say_what_a_change_of_language_does() -> None:
    page = re.sub(r"\s+", " ", (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8"))
    assert DOCUMENTED in page


async def test_a_language_named_in_mid_call_counts_from_now_on(kind: str) -> None:
    agent = agent_for(kind)
    async with on(kind, agent) as call:
        await call.asks(HOURS)
        await call.hears_said("open")
        assert call.recognises == "en"
        await call.updates(**GERMAN)
        await until(lambda: call.recognises == "de")
        session = [event.session for event in call.caller.events if event.type == "session.updated"][-1]
        assert session.audio.input.transcription.language == "de"
        if kind == CASCADE:
            assert call.wire.languages == ["en", "de"], "another connection"
            assert {language for _, language in call.wire.voices} == {"en"}
        await call.asks(HOURS)
        await until(lambda: len(call.said) > 1)
        if kind == CASCADE:
            assert call.wire.voices[-1][1] == "de", "the voice's, from the next response on"
        await call.speaks()
        await call.caller.hears("conversation.item.input_audio_transcription.completed")
        assert call.errors == []


async def test_a_language_that_an_agent_names_after_the_start_changes_nothing(kind: str) -> None:
    """The context's is the call's, to be changed in on_call_start; later only the client changes it."""
    agent = agent_for(kind, language="de")

    @agent.tool
    async def get_balance(ctx: CallContext) -> dict[str, int]:
        """See how much money is in the account."""
        ctx.language = "fr"
        return {"balance": 1240}

    async with on(kind, agent) as call:
        assert call.recognises == "de"
        await call.asks()
        await call.hears_said("1240")
        await call.updates(metadata={"any": "thing"})
        assert call.recognises == "de"


# --- all the rest that an agent declares -------------------------------------------------------------------------


async def test_what_an_agent_declares_reaches_its_providers(kind: str) -> None:
    agent = agent_for(
        kind,
        instructions="Be brief.",
        voice="cedar" if kind == SPEECH_TO_SPEECH else "v1",
        language="de",
        max_tokens=120,
        temperature=0.4 if kind == CASCADE else None,
        keyterms=["Repartee"],
        spoken_style="Speak slowly.",
        learn=False,
    )
    async with on(kind, agent) as call:
        await call.asks(HOURS)
        await until(lambda: bool(call.said))
        assert call.instructions == "Be brief.\n\nSpeak slowly."
        assert call.recognises == "de"
        if kind == CASCADE:
            [request] = call.wire.requests
            assert (request.max_tokens, request.temperature) == (120, 0.4)
            assert call.wire.voices[-1] == ("v1", "de")
            assert call.wire.keyterms == [("Repartee",)]
        else:
            session = call.sessions[-1]
            assert session["max_output_tokens"] == 7 * 120
            assert session["audio"]["output"]["voice"] == "cedar"
            assert session["model"] == "gpt-realtime"
            assert session["audio"]["input"]["transcription"]["prompt"] == "Repartee"
        assert call.errors == []


async def test_the_caller_is_told_when_nobody_hears_them(kind: str) -> None:
    """No recogniser and no speech-to-speech session for two seconds: a notice, a goodbye, the end."""
    agent = agent_for(kind, notices=Notices(unheard="I hear nothing.", goodbye="I must go."))
    async with on(kind, agent, REPARTEE_AWAY_S="2") as call:
        call.provider.state.faults.put(
            Fault("refuse", "deepgram" if kind == CASCADE else "openai-realtime", count=10_000)
        )
        await call.updates(**GERMAN)  # recognition takes another connection for that
        call.lose_sessions()
        await call.hears_said("I hear nothing.")
        await call.hears_said("I must go.")
        error = (await call.caller.hears("error")).error
        assert error.code == ("stt_failed" if kind == CASCADE else "model_failed")


@pytest.mark.parametrize("kind", KINDS)
async def test_who_answers_is_said_to_those_that_ask(kind: str) -> None:
    agent = agent_for(kind, name="The bank", suggestions=["How much have I got?"])
    async with on(kind, agent, asks=True) as call:
        created = await call.caller.hears("repartee.session.created")
        assert created.agent["name"] == "The bank" and len(created.agent["version"]) == 12
        assert created.suggestions == ["How much have I got?"]
        assert created.region == "local" and created.call_id
        assert all(
            not created.vendors[name.partition("/")[0]]["stand_in"] for name in created.providers.values()
        )
