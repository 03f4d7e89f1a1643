"""``ctx.say`` anywhere: heard, in order, bounded, and never the client's business as an error."""

import asyncio
import logging

import pytest
from tests.contract.kinds.call import CASCADE, HOURS, agent_for, on
from tests.regional.app.running import until

from repartee import CallContext, ReplyContext, ToolCall
from repartee.agent.predictions import Predictions
from repartee.session.agent_call import EARLY_TEXTS
from repartee.turn.policy import TurnPolicy

MOST = 16


def test_the_bound_is_one() -> None:
    assert TurnPolicy().texts_to_say == EARLY_TEXTS == MOST


async def test_in_on_call_start_it_follows_the_session_and_the_greeting_follows_it(kind: str) -> None:
    agent = agent_for(kind, greeting="How can I help?")

    @agent.on_call_start
    async def begin(ctx: CallContext) -> None:
        ctx.say("Welcome to the bank.")
        await asyncio.sleep(0.05)
        ctx.say("This call is recorded.")

    async with on(kind, agent) as call:
        await call.hears_said("How can I help?")
        assert call.said == ["Welcome to the bank.", "This call is recorded.", "How can I help?"]
        assert call.caller.types[0] == "session.created"
        assert call.caller.types.index("response.created") > 0
        assert call.errors == []
        for done in [event for event in call.caller.events if event.type == "response.done"]:
            assert call.caller.audio(done.response.id), "it is heard, not only written"


async def test_what_an_agent_without_a_greeting_says_at_the_start_is_heard(kind: str) -> None:
    agent = agent_for(kind)

    @agent.on_call_start
    async def begin(ctx: CallContext) -> None:
        ctx.say("Welcome.")
        ctx.say("  ")  # nothing

    async with on(kind, agent) as call:
        await call.hears_said("Welcome.")
        await call.asks(HOURS)
        await call.hears_said("open")
        assert call.said[0] == "Welcome."
        assert call.errors == []


async def test_while_the_model_writes_it_waits_for_the_end(kind: str) -> None:
    agent = agent_for(kind)
    held: list[CallContext] = []

    @agent.on_call_start
    async def begin(ctx: CallContext) -> None:
        held.append(ctx)

    async with on(kind, agent, profile="budget") as call:
        await call.asks(HOURS)
        await call.caller.hears("response.created")
        held[0].say("One more thing.")
        held[0].say("And another.")
        await call.hears_said("And another.")
        assert "open" in call.said[0]
        assert call.said[1:] == ["One more thing.", "And another."]
        assert {e.response.status for e in call.caller.events if e.type == "response.done"} == {"completed"}
        assert call.errors == []


async def test_inside_a_tool_it_is_heard_while_the_tool_runs(kind: str) -> None:
    agent = agent_for(kind)
    released = asyncio.Event()

    @agent.tool
    async def get_balance(ctx: CallContext) -> dict[str, int]:
        """See how much money is in the account."""
        ctx.say("I am asking the vault.")
        await released.wait()
        ctx.say("The vault has answered.")
        return {"balance": 1240}

    async with on(kind, agent) as call:
        await call.asks()
        await call.hears_said("I am asking the vault.")
        released.set()
        await call.hears_said("The vault has answered.")
        await call.hears_said("1240")
        assert call.said.count("I am asking the vault.") == call.said.count("The vault has answered.") == 1
        assert call.outputs == [{"balance": 1240}]
        assert call.errors == []


async def test_inside_a_tool_it_takes_the_place_of_no_filler_and_no_answer(kind: str) -> None:
    agent = agent_for(kind)
    released = asyncio.Event()

    @agent.tool(filler="Let me look.")
    async def get_balance(ctx: CallContext) -> dict[str, int]:
        """See how much money is in the account."""
        ctx.say("I am asking the vault.")
        await released.wait()
        return {"balance": 1240}

    async with on(kind, agent) as call:
        await call.asks()
        await call.hears_said("I am asking the vault.")
        await call.hears_said("Let me look.")
        released.set()
        await call.hears_said("1240")
        assert call.said[:2] == ["I am asking the vault.", "Let me look."]
        assert call.errors == []


async def test_what_a_tool_says_on_a_guess_is_not_heard(kind: str) -> None:
    agent = agent_for(kind, predictions={"greeting": "get_balance"})
    ran = asyncio.Event()

    @agent.tool(read_only=True)
    async def get_balance(ctx: CallContext) -> dict[str, int]:
        """See how much money is in the account."""
        ctx.say("I am guessing.")
        ran.set()
        return {"balance": 1240}

    async with on(kind, agent) as call:
        await ran.wait()
        await call.asks()
        await call.hears_said("1240")
        assert "I am guessing." not in call.said
        assert call.errors == []


async def test_in_a_prediction_it_is_heard(kind: str) -> None:
    said: list[str] = []

    def expect(ctx: CallContext, text: str) -> ToolCall | None:
        if not said:
            said.append(text)
            ctx.say("I see that you ask for money.")
        return None

    rules: Predictions = {"balance": expect}
    agent = agent_for(kind, predictions=rules)
    async with on(kind, agent) as call:
        await call.speaks()
        await call.hears_said("I see that you ask for money.")
        await call.is_idle()
        assert len(call.said) == 2
        assert call.errors == []


async def test_in_on_call_end_it_does_nothing(kind: str) -> None:
    agent = agent_for(kind)
    ended = asyncio.Event()

    @agent.on_call_end
    async def end(ctx: CallContext) -> None:
        ctx.say("Goodbye.")
        ended.set()

    async with on(kind, agent) as call:
        await call.asks(HOURS)
        await call.hears_said("open")
    assert ended.is_set()
    assert "Goodbye." not in call.said
    assert call.errors == []


async def test_in_a_reply_of_the_agents_own_it_follows_the_reply(kind: str) -> None:
    if kind != CASCADE:
        pytest.skip("a speech-to-speech model makes its own replies: @agent.reply is refused (test_agents)")
    agent = agent_for(kind)

    @agent.reply
    async def reply(ctx: ReplyContext):  # type: ignore[no-untyped-def]
        ctx.call.say("That is all.")
        yield "We open at nine."

    async with on(kind, agent) as call:
        await call.asks(HOURS)
        await call.hears_said("That is all.")
        assert call.said == ["We open at nine.", "That is all."]
        assert call.errors == []


async def test_in_writing_where_the_session_is(kind: str) -> None:
    agent = agent_for(kind)
    held: list[CallContext] = []

    @agent.on_call_start
    async def begin(ctx: CallContext) -> None:
        held.append(ctx)

    async with on(kind, agent, session={"output_modalities": ["text"]}) as call:
        held[0].say("In writing.")
        await call.hears_said("In writing.")
        assert "response.output_audio.delta" not in call.caller.types
        assert call.errors == []


@pytest.mark.parametrize("early", [True, False], ids=["in on_call_start", "in mid-call"])
async def test_so_many_wait_and_no_more(kind: str, early: bool, caplog: pytest.LogCaptureFixture) -> None:
    agent = agent_for(kind)
    held: list[CallContext] = []

    @agent.on_call_start
    async def begin(ctx: CallContext) -> None:
        held.append(ctx)
        if early:
            say_all(ctx)

    def say_all(ctx: CallContext) -> None:
        for number in range(40):
            ctx.say(f"Text {number}.")

    heard = MOST if early else MOST + 1  # the first is being said, and waits for nothing
    with caplog.at_level(logging.WARNING):
        async with on(kind, agent) as call:
            if not early:
                say_all(held[0])
            await until(lambda: len(call.said) >= heard)
            await call.is_idle()
            assert call.said == [f"Text {number}." for number in range(heard)]
            assert call.errors == []
    dropped = [record for record in caplog.records if "more texts than may wait" in record.message]
    assert len(dropped) == 40 - heard
    assert not any("Text" in record.getMessage() for record in dropped), "logs hold no words"


async def test_the_caller_who_speaks_over_it_stops_it_and_what_waits_is_said_after(kind: str) -> None:
    agent = agent_for(kind)
    held: list[CallContext] = []

    @agent.on_call_start
    async def begin(ctx: CallContext) -> None:
        held.append(ctx)

    async with on(kind, agent, profile="budget", hears=HOURS) as call:
        held[0].say(
            "This is a rather long text that goes on and on, and that nobody wants to hear to its end."
        )
        held[0].say("But this one is short.")
        await call.caller.hears("response.output_audio.delta")
        await call.speaks()
        await call.hears_said("But this one is short.")
        assert call.errors == []


async def test_an_agent_that_hangs_up_is_heard_out_first(kind: str) -> None:
    agent = agent_for(kind)

    @agent.on_call_start
    async def begin(ctx: CallContext) -> None:
        ctx.hang_up("We are closed. Goodbye.")

    async with on(kind, agent) as call:
        await call.hears_said("We are closed. Goodbye.")
        await call.worker.until_idle()
        assert call.said == ["We are closed. Goodbye."]
        assert call.errors == []
