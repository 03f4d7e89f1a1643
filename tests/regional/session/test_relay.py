"""A relayed call from inside: the client is played by the test, the provider by its stand-in, over real sockets."""

import asyncio
import base64
import json
from dataclasses import replace

import pytest
from tests.promptness import DEADLINE_S
from tests.regional.app.running import until
from tests.regional.session.relay_stage import QUICK, Desk, on_stage

from repartee.agent.agent import Agent
from repartee.agent.context import CallContext
from repartee.agent.notices import Notices
from repartee.pool.settings import PoolSettings
from repartee.standins.faults import Fault
from repartee.telemetry import events as t
from repartee.transport.interfaces import CallEnd
from repartee.turn.session_watch import WatchPolicy


async def test_a_filler_that_is_not_recorded_is_said_out_of_band() -> None:
    desk = Desk()
    async with on_stage(desk.agent) as stage:
        stage.asks("What is the balance of my account?")
        assert await stage.hears_words() == "One moment, please."
        filler = next(
            e for e in stage.events if e["type"] == "response.created" and e["response"]["metadata"]
        )
        assert filler["response"]["conversation_id"] is None
        desk.release.set()
        assert "1" in await stage.hears_words()
        [told] = [e for e in stage.events if e["type"] == "repartee.tool.answered"]
        assert json.loads(told["output"])["account"] == "savings"
        assert desk.calls == 1
        assert "error" not in stage.types


async def test_an_answer_takes_the_place_of_a_filler_that_nobody_has_heard_yet() -> None:
    desk = Desk()
    async with on_stage(desk.agent, profile="budget") as stage:
        stage.asks("What is the balance of my account?")
        filler = await stage.hears("response.created", lambda e: bool(e["response"]["metadata"]))
        desk.release.set()
        done = await stage.hears("response.done", lambda e: e["response"]["id"] == filler["response"]["id"])
        assert done["response"]["status"] == "cancelled"
        assert "1" in await stage.hears_words()
        heard = {e["response_id"] for e in stage.events if e["type"] == "response.output_audio.delta"}
        assert filler["response"]["id"] not in heard


async def test_a_recorded_filler_is_heard_at_once_and_before_the_answer() -> None:
    desk = Desk()
    async with on_stage(desk.agent, profile="budget", recorded=True) as stage:
        assert stage.providers.state.stats.of("openai-realtime").opened >= 1
        stage.asks("What is the balance of my account?")
        assert await stage.hears_words() == "One moment, please."
        desk.release.set()
        assert "1" in await stage.hears_words()
        of = [e["response_id"] for e in stage.events if e["type"] == "response.output_audio.delta"]
        assert len(set(of)) == 2
        assert of == sorted(of, key=of.index)


async def test_a_greeting_and_what_the_agent_says_of_its_own_accord() -> None:
    agent = Agent("Be kind.", model="gpt-realtime", greeting="Good morning.")

    @agent.on_call_start
    async def begin(ctx: CallContext) -> None:
        ctx.greeting = "Good evening."
        ctx.say('Your line is "recorded".')

    async with on_stage(agent) as stage:
        assert await stage.hears_words() == "Your line is 'recorded'."
        assert await stage.hears_words() == "Good evening."


async def test_a_recorded_greeting_is_heard_at_once_and_the_model_knows_of_it() -> None:
    agent = Agent("Be kind.", model="gpt-realtime", greeting="Good morning.")
    async with on_stage(agent, profile="budget", recorded=True) as stage:
        greeting = (await stage.hears("response.done"))["response"]["output"][0]
        assert greeting["content"][0]["transcript"] == "Good morning."
        stage.asks("Where are you?")
        added = await stage.hears("conversation.item.added", lambda e: e["item"]["role"] == "user")
        assert added["previous_item_id"] == greeting["id"]
        assert [e["item"]["id"] for e in stage.events if e["type"] == "conversation.item.added"] == [
            greeting["id"],
            added["item"]["id"],
        ]
        assert "Mill Street" in await stage.hears_words()


async def test_a_tool_goes_on_when_its_session_is_lost() -> None:
    desk = Desk()
    async with on_stage(desk.agent) as stage:
        stage.asks("What is the balance of my account?")
        assert await stage.hears_words() == "One moment, please."
        stage.lose_sessions()
        await asyncio.sleep(0)
        desk.release.set()
        assert "1" in await stage.hears_words()
        assert desk.calls == 1
        assert "error" not in stage.types


async def test_a_session_near_its_end_is_left_in_a_quiet_moment() -> None:
    agent = Agent("Be kind.", model="gpt-realtime")
    async with on_stage(agent, life_s=300.2) as stage:
        stage.sends("session.update", session={"type": "realtime", "output_modalities": ["text"]})
        stage.asks("My name is Anna.")
        await stage.hears("response.done")
        item_ids = [e["item"]["id"] for e in stage.events if e["type"] == "conversation.item.added"]
        counts = stage.providers.state.stats.of("openai-realtime")
        before = counts.closed
        await until(lambda: counts.closed > before)
        for item_id in item_ids:
            stage.sends("conversation.item.retrieve", item_id=item_id)
            kept = await stage.hears("conversation.item.retrieved")
            assert kept["item"]["content"]
        assert "error" not in stage.types
        assert [e for e in stage.events if e["type"] == "conversation.item.added"][len(item_ids) :] == []


@pytest.mark.timeout(120)
async def test_what_was_heard_of_an_answer_is_told_to_every_session_that_follows() -> None:
    agent = Agent("Be kind.", model="gpt-realtime")
    async with on_stage(agent) as stage:
        stage.asks("Where are you?")
        done = (await stage.hears("response.done"))["response"]
        [item] = done["output"]
        stage.sends("conversation.item.truncate", item_id=item["id"], content_index=0, audio_end_ms=2000)
        await stage.hears("conversation.item.truncated")
        kept = []
        counts = stage.providers.state.stats.of("openai-realtime")
        for _ in range(3):
            counts.closed = 0
            stage.lose_sessions()
            await until(lambda: counts.closed)
            stage.sends("conversation.item.retrieve", item_id=item["id"])
            kept.append((await stage.hears("conversation.item.retrieved"))["item"]["content"][0]["text"])
        assert len(set(kept)) == 1
        assert 10 < len(kept[0]) < len(item["content"][0]["transcript"])
        assert item["content"][0]["transcript"].startswith(kept[0])


async def test_a_turn_that_nobody_wants_answered_is_not_answered_by_another_session() -> None:
    agent = Agent("Be kind.", model="gpt-realtime")
    async with on_stage(agent) as stage:
        detection = {"type": "server_vad", "create_response": False}
        stage.sends(
            "session.update", session={"type": "realtime", "audio": {"input": {"turn_detection": detection}}}
        )
        await stage.hears("session.updated")
        await stage.speaks()
        await stage.hears("conversation.item.input_audio_transcription.completed")
        counts = stage.providers.state.stats.of("openai-realtime")
        before = counts.closed
        stage.lose_sessions()
        await until(lambda: counts.closed > before)
        stage.asks("Where are you?")
        await stage.hears_words()
        assert stage.types.count("response.created") == 1


async def test_an_answer_cut_by_a_lost_session_is_told_and_the_call_goes_on() -> None:
    agent = Agent("Be kind.", model="gpt-realtime")
    async with on_stage(agent, profile="budget") as stage:
        await stage.speaks()
        await stage.hears("response.output_audio.delta")
        stage.lose_sessions()
        cut = (await stage.hears("response.done"))["response"]
        assert (cut["status"], cut["status_details"]["error"]["code"]) == ("failed", "session_lost")
        stage.asks("Where are you?")
        assert await stage.hears_words()


async def test_a_provider_that_cannot_be_had_ends_the_call_with_words() -> None:
    agent = Agent("Be kind.", model="gpt-realtime")
    async with on_stage(agent) as stage:
        for _ in range(20):
            stage.providers.state.faults.put(Fault("server_error", "openai-realtime", count=20))
        stage.lose_sessions()
        for _ in range(2):
            stage.lose_sessions()
        error = await stage.hears("error", lambda e: e["error"]["type"] == "server_error")
        assert error["error"]["code"] == "model_failed"
        assert await asyncio.wait_for(stage.running, DEADLINE_S) is CallEnd.PROVIDERS_GONE
        assert stage.notes.failures


async def test_messages_that_cannot_be_read_are_left_out() -> None:
    agent = Agent("Be kind.", model="gpt-realtime")
    async with on_stage(agent) as stage:
        await stage.hears("session.created")
        stage.providers.state.faults.put(Fault("malformed", "openai-realtime", after_messages=8, count=10))
        stage.lose_sessions()
        stage.asks("Where are you?")
        await until(lambda: stage.notes.failures)
        assert "cannot be read" in stage.notes.failures[0][1]


async def test_hanging_up_tells_of_the_turn_and_leaves_nothing() -> None:
    agent = Agent("Be kind.", model="gpt-realtime")
    async with on_stage(agent, profile="budget") as stage:
        await stage.speaks()
        assert await stage.hangs_up() is CallEnd.CLIENT_GONE
        assert [turn[:2] for turn in stage.notes.turns] == [(1, "unanswered")]
        assert stage.notes.prefetched is not None


@pytest.mark.parametrize("ask", ["response", "clear"])
async def test_cancelling(ask: str) -> None:
    agent = Agent("Be kind.", model="gpt-realtime")
    async with on_stage(agent, profile="budget") as stage:
        stage.asks("Where are you?")
        await stage.hears("response.output_audio.delta")
        stage.sends("response.cancel" if ask == "response" else "output_audio_buffer.clear")
        done = await stage.hears("response.done")
        assert done["response"]["status_details"]["reason"] == "client_cancelled"


async def test_what_the_provider_alone_understands_is_passed_on() -> None:
    agent = Agent("Be kind.", model="gpt-realtime")
    async with on_stage(agent) as stage:
        detection = {"type": "server_vad", "silence_duration_ms": 700, "create_response": False}
        stage.sends(
            "session.update", session={"type": "realtime", "audio": {"input": {"turn_detection": detection}}}
        )
        await stage.hears("session.updated")
        await stage.speaks(500, 500)
        await stage.speaks(0, 260)
        assert (await stage.hears("input_audio_buffer.speech_stopped"))["audio_end_ms"] == 1200


ONE = PoolSettings(spare=1, single_use=True, max_age_s=600.0, keepalive_s=None)
WATCHED = replace(QUICK, watch=WatchPolicy(silent_s=1.0, exchange_every_s=4.0, tell_after_s=0.6, away_s=1.0))


async def test_an_answer_that_is_owed_comes_from_another_session() -> None:
    agent = Agent("Be kind.", model="gpt-realtime")
    silent = Fault("silent", "openai-realtime", after_messages=4)
    async with on_stage(agent, silent=silent, line=WATCHED, pool=ONE) as stage:
        await stage.hears("session.created")
        stage.asks("Where are you?")
        assert "Mill Street" in await stage.hears_words()
        assert stage.providers.state.stats.of("openai-realtime").closed >= 1
        assert "error" not in stage.types
        asked = [
            e for e in stage.events if e["type"] == "conversation.item.added" and e["item"]["role"] == "user"
        ]
        assert len(asked) <= 1


async def test_somebody_who_speaks_to_a_session_that_says_nothing_is_heard_by_another() -> None:
    agent = Agent("Be kind.", model="gpt-realtime")
    silent = Fault("silent", "openai-realtime", after_messages=2)
    async with on_stage(agent, silent=silent, line=WATCHED, pool=ONE) as stage:
        await stage.hears("session.created")
        await stage.says("Hello, can you tell me where you are, please?", quiet_ms=4_000)
        await stage.hears("conversation.item.input_audio_transcription.completed")
        assert await stage.hears_words()
        assert "error" not in stage.types


async def test_a_caller_of_sessions_that_say_nothing_is_told_and_the_call_ends_in_words() -> None:
    agent = Agent(
        "Be kind.", model="gpt-realtime", notices=Notices(unheard="One moment.", goodbye="Goodbye.")
    )
    silent = Fault("silent", "openai-realtime", after_messages=2, count=50)
    async with on_stage(agent, recorded=True, silent=silent, line=WATCHED, pool=ONE) as stage:
        await stage.hears("session.created")
        stage.asks("Where are you?")
        assert await stage.hears_words() == "One moment."
        assert await stage.hears_words() == "One moment."
        assert await stage.hears_words() == "Goodbye."
        assert (await stage.hears("error"))["error"]["code"] == "model_failed"
        assert await asyncio.wait_for(stage.running, DEADLINE_S) is CallEnd.PROVIDERS_GONE


async def test_what_the_model_cannot_take_is_refused_and_not_dropped() -> None:
    async with on_stage(Agent(instructions="Be kind.")) as stage:
        await stage.hears("session.created")
        audio = base64.b64encode(bytes(48_000 * 50)).decode()
        for _ in range(4):
            stage.sends("input_audio_buffer.append", audio=audio)
        assert (await stage.hears("error"))["error"]["code"] == "rate_limit_exceeded"


async def test_what_the_model_has_used_is_reported_as_the_provider_counts_it() -> None:
    async with on_stage(Agent("Be kind.", model="gpt-realtime")) as stage:
        stage.asks("Where are you?")
        done = await stage.hears("response.done")
    [used] = stage.notes.all(t.VendorUsed)
    told = done["response"]["usage"]
    assert used.stage == "model"
    assert used.provider.startswith("openai/gpt-realtime")
    assert (used.input_tokens, used.output_tokens) == (told["input_tokens"], told["output_tokens"])
    assert used.audio_output_tokens == told["output_token_details"]["audio_tokens"] > 0
