"""A worker that relays to a speech-to-speech model, as OpenAI's own client sees it: the protocol stays the same."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncOpenAI
from tests.contract.caller import Caller, calling
from tests.promptness import DEADLINE_S, measured
from tests.regional.app.running import Region, region, speech, until
from tests.regional.app.running import calling as dial
from websockets.exceptions import ConnectionClosedError

from repartee.agent.agent import Agent
from repartee.standins.server import Running, StandInSettings, serve
from repartee.wire.audio_format import AudioEncoder, WireFormat

SHORT = Path(__file__).parent / "balance.json"
"""One question, with a short answer."""


def bank(released: asyncio.Event | None = None) -> Agent:
    """An agent of a speech-to-speech model, with one tool."""
    agent = Agent(instructions="You are a bank.", model="gpt-realtime")

    @agent.tool(read_only=True, filler="Let me look at your account.")
    async def get_balance(account: str = "main") -> dict[str, Any]:
        """See how much money is in the account."""
        if released:
            await released.wait()
        return {"balance": 1240, "currency": "dollars"}

    return agent


@asynccontextmanager
async def relaying(
    agent: Agent, profile: str = "instant", script: Path | None = None, **settings: str
) -> AsyncIterator[tuple[Region, AsyncOpenAI, Running]]:
    """Stand-ins and a worker in this process, and a client."""
    async with (
        serve(StandInSettings(profile=profile, light=True, script=script)) as providers,
        region({**providers.environment(), **settings}, agent=agent) as worker,
        AsyncOpenAI(api_key="dev", websocket_base_url=f"ws://127.0.0.1:{worker.port}/v1") as client,
    ):
        yield worker, client, providers


async def writes(caller: Caller, text: str) -> None:
    item: Any = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
    await caller.connection.conversation.item.create(item=item)


async def test_a_conversation_of_two_turns() -> None:
    agent = Agent(instructions="Be kind.", model="gpt-realtime")
    machine = measured()
    async with relaying(agent, "budget", SHORT) as (worker, client, _), calling(client) as caller:
        created = caller.events[0].session
        assert (created.model, created.instructions) == ("gpt-realtime", "Be kind.")
        none = 'repartee_provider_errors_total{provider="openai/gpt-realtime",stage="model"}'
        assert (await worker.metrics())[none] == 0, "by the name that traces give it"
        for turn in (1, 2):
            await caller.says_something()
            heard = await caller.hears("conversation.item.input_audio_transcription.completed")
            assert heard.transcript
            latency = await caller.hears("repartee.turn.latency")
            assert (latency.turn_id, latency.region) == (turn, "local")
            assert latency.providers == {"model": "openai/gpt-realtime"}
            assert set(latency.stages_ms) <= {"end_of_turn", "model", "lead_in", "filler"}
            assert sum(latency.stages_ms.values()) == pytest.approx(latency.voice_to_voice_ms, abs=1)
            took_ms = latency.voice_to_voice_ms
            assert took_ms > 480
            done = await caller.hears("response.done")
            assert done.response.status == "completed"
            assert latency.response_id == done.response.id
            assert len(caller.audio(done.response.id)) > 24_000
            finished = await caller.hears("repartee.turn.finished")
            assert (finished.turn_id, finished.outcome) == (turn, "answered")
            machine.promise(took_ms < 600, f"the answer came after {took_ms:.0f} ms")
        assert "error" not in caller.types


async def test_a_tool_of_the_agents_with_its_filler() -> None:
    released = asyncio.Event()
    async with relaying(bank(released), "budget") as (_, client, providers), calling(client) as caller:
        await writes(caller, "What is the balance of my account?")
        await caller.connection.response.create()
        called = await caller.hears("repartee.tool.called")
        assert called.name == "get_balance"
        assert (await caller.hears("response.done")).response.output == []
        filler = await caller.hears("response.done")
        assert filler.response.output[0].content[0].transcript == "Let me look at your account."
        assert len(caller.audio(filler.response.id)) > 24_000
        assert "response.created" not in caller.types[caller._read :]
        item = filler.response.output[0].id
        await caller.connection.conversation.item.truncate(item_id=item, content_index=0, audio_end_ms=100)
        assert (await caller.hears("conversation.item.truncated")).item_id == item
        released.set()
        assert (await caller.hears("repartee.tool.answered")).call_id == called.call_id
        answer = await caller.hears("response.done")
        assert "1" in answer.response.output[0].content[0].transcript
        assert "error" not in caller.types
        assert providers.state.stats.of("openai-realtime").cancelled == 0


async def test_a_quick_tool_needs_no_filler() -> None:
    async with relaying(bank()) as (_, client, _), calling(client) as caller:
        await writes(caller, "What is the balance of my account?")
        await caller.connection.response.create()
        await caller.hears("response.done")
        answer = await caller.hears("response.done")
        assert answer.response.output[0].type == "message"
        assert caller.types.count("response.created") == 2


async def test_a_tools_turn_is_traced_with_its_tool() -> None:
    agent = bank(slow := asyncio.Event())
    machine = measured()
    async with relaying(agent, "budget", SHORT) as (_, client, _), calling(client) as caller:
        await caller.says_something(pause_ms=300)
        await caller.hears("repartee.tool.called")
        await asyncio.sleep(0.3)
        slow.set()
        latency = await caller.hears("repartee.turn.latency")
        stages = latency.stages_ms
        assert list(stages)[:3] == ["end_of_turn", "model", "tool"]
        assert stages["tool"] > 250 and stages["filler"] > 500 and latency.filler_ms > 500
        assert latency.prefetch in ("hit", "miss")
        assert sum(stages.values()) == pytest.approx(latency.voice_to_voice_ms, abs=1)
        machine.promise(stages["tool"] < 410, f"the tool took {stages['tool']:.0f} ms")
        machine.promise(latency.filler_ms < 700, f"the filler came after {latency.filler_ms:.0f} ms")


async def test_speaking_over_a_filler_leaves_the_tool_running() -> None:
    released = asyncio.Event()
    async with relaying(bank(released), "budget") as (_, client, _), calling(client) as caller:
        await writes(caller, "What is the balance of my account?")
        await caller.connection.response.create()
        await caller.hears("response.done")
        await caller.hears("response.done")  # the filler
        await caller.says_something(pause_ms=0)
        await caller.hears("input_audio_buffer.speech_started")
        released.set()
        assert "1240" in (await caller.hears("repartee.tool.answered")).output
        assert "response.created" not in caller.types[caller._read :]


async def test_a_tool_of_the_clients() -> None:
    tool: Any = {
        "type": "function",
        "name": "weather_forecast",
        "description": "The weather forecast for a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    }
    async with relaying(bank()) as (_, client, _), calling(client, tools=[tool]) as caller:
        await writes(caller, "What is the weather forecast?")
        await caller.connection.response.create()
        asked = await caller.hears("response.function_call_arguments.done")
        assert asked.name == "weather_forecast"
        await caller.hears("response.done")
        output: Any = {
            "type": "function_call_output",
            "call_id": asked.call_id,
            "output": '{"forecast": "sunny"}',
        }
        await caller.connection.conversation.item.create(item=output)
        await caller.connection.response.create()
        answer = await caller.hears("response.done")
        assert "sunny" in answer.response.output[0].content[0].transcript
        assert caller.types.count("response.created") == 2


async def test_binary_audio_and_other_rates() -> None:
    agent = Agent(instructions="Be kind.", model="gpt-realtime")
    async with relaying(agent) as (worker, _, _), dial(f"{worker.url}?audio=binary") as websocket:
        telephone = {"type": "audio/pcm", "rate": 16_000}
        audio = {"input": {"format": telephone}, "output": {"format": telephone}}
        update = {"type": "session.update", "session": {"type": "realtime", "audio": audio}}
        await websocket.send(json.dumps(update))
        question = speech(500, 16_000) + bytes(32 * 600)
        for start in range(0, len(question), 640):
            await websocket.send(question[start : start + 640])
            await asyncio.sleep(0.02)
        heard, told = bytearray(), list[Any]()
        async with asyncio.timeout(DEADLINE_S):
            while not told or told[-1]["type"] != "response.done":
                frame = await websocket.recv()
                if isinstance(frame, bytes):
                    heard += frame
                else:
                    told.append(json.loads(frame))
        text = told[-1]["response"]["output"][0]["content"][0]["transcript"]
        assert len(heard) == pytest.approx(32 * 62 * len(text), rel=0.02)
        [updated] = [event for event in told if event["type"] == "session.updated"]
        assert updated["session"]["audio"]["output"]["format"] == telephone


@pytest.mark.parametrize("law", ["audio/pcmu", "audio/pcma"])
async def test_a_telephones_formats(law: Any) -> None:
    encoder = AudioEncoder(WireFormat(law, 8_000), 24_000)
    audio = {"input": {"format": {"type": law}}, "output": {"format": {"type": law}}}
    agent = Agent(instructions="Be kind.", model="gpt-realtime")
    machine = measured()
    async with relaying(agent, "budget") as (_, client, _), calling(client, audio=audio) as caller:
        await caller.says_something(encode=lambda pcm: encoder.feed(pcm) + encoder.flush())
        latency = await caller.hears("repartee.turn.latency")
        took_ms = latency.voice_to_voice_ms
        assert took_ms > 480
        done = await caller.hears("response.done")
        text = done.response.output[0].content[0].transcript
        assert len(caller.audio(done.response.id)) == pytest.approx(8 * 62 * len(text), rel=0.02)
        machine.promise(took_ms < 620, f"the answer came after {took_ms:.0f} ms")


async def test_a_greeting_is_said_and_remembered() -> None:
    agent = Agent(instructions="Be kind.", model="gpt-realtime", greeting="Good morning, this is the bank.")
    async with relaying(agent) as (_, client, _), calling(client) as caller:
        done = await caller.hears("response.done")
        [item] = done.response.output
        assert item.content[0].transcript == "Good morning, this is the bank."
        assert len(caller.audio(done.response.id)) > 24_000
        await caller.connection.conversation.item.retrieve(item_id=item.id)
        kept = (await caller.hears("conversation.item.retrieved")).item
        assert "Good morning" in (kept.content[0].transcript or kept.content[0].text)


async def test_speaking_over_an_answer_stops_it() -> None:
    agent = Agent(instructions="Be kind.", model="gpt-realtime")
    async with relaying(agent, "budget") as (_, client, _), calling(client) as caller:
        await caller.says_something()
        await caller.hears("response.output_audio.delta")
        await caller.says_something(pause_ms=400)
        await caller.hears("input_audio_buffer.speech_started", lambda e: caller.types.count(e.type) == 2)
        finished = await caller.hears("repartee.turn.finished")
        assert (finished.turn_id, finished.outcome) == (1, "interrupted")
        done = await caller.hears("response.done", lambda e: e.response.status == "completed")
        assert len(caller.audio(done.response.id)) > 24_000


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("this is not JSON", "invalid_json"),
        ('{"type":"no.such.event","event_id":"mine"}', "invalid_value"),
        ('{"type":"session.update","session":{"audio":{"output":{"voice":"nobody"}}}}', "invalid_value"),
        ('{"type":"session.update","session":{"audio":{"output":{"format":{"rate":1}}}}}', "invalid_value"),
        ('{"type":"conversation.item.truncate","item_id":"x"}', "missing_required_parameter"),
        ('{"type":"conversation.item.delete","item_id":"x"}', "item_delete_invalid_item_id"),
        ('{"type":"response.cancel"}', "response_cancel_not_active"),
        ('{"type":"input_audio_buffer.commit"}', "input_audio_buffer_commit_empty"),
    ],
)
async def test_mistakes_are_answered_and_the_call_goes_on(frame: str, code: str) -> None:
    agent = Agent(instructions="Be kind.", model="gpt-realtime")
    async with relaying(agent) as (_, client, _), calling(client) as caller:
        await caller.connection.send_raw(frame)
        error = (await caller.hears("error")).error
        assert (error.type, error.code) == ("invalid_request_error", code)
        await caller.connection.session.update(session={"type": "realtime", "output_modalities": ["text"]})
        session: Any = (await caller.hears("session.updated")).session
        assert session.audio.output.voice == "default"
        await writes(caller, "Where are you?")
        await caller.connection.response.create()
        done = await caller.hears("response.done")
        assert done.response.status == "completed"
        assert done.response.output[0].content[0].text


async def test_a_lost_session_is_taken_up_again() -> None:
    agent = Agent(instructions="Be kind.", model="gpt-realtime")
    async with relaying(agent) as (_, client, providers), calling(client) as caller:
        await writes(caller, "My name is Anna.")
        await caller.connection.response.create()
        await caller.hears("response.done")
        providers.state.faults.clear()
        await lose_sessions(providers)
        await writes(caller, "What can you do?")
        await caller.connection.response.create()
        done = await caller.hears("response.done")
        assert done.response.status == "completed"
        items = [e.item.id for e in caller.events if e.type == "conversation.item.added"]
        assert len(items) == len(set(items))
        for item_id in items:
            await caller.connection.conversation.item.retrieve(item_id=item_id)
            await caller.hears("conversation.item.retrieved")
        assert "error" not in caller.types


async def test_an_answer_lost_before_it_was_heard_is_asked_for_again() -> None:
    agent = Agent(instructions="Be kind.", model="gpt-realtime")
    async with relaying(agent, "budget") as (_, client, providers), calling(client) as caller:
        await caller.says_something(pause_ms=300)
        await caller.hears("response.created")
        await lose_sessions(providers)
        cut = await caller.hears("response.done")
        assert cut.response.status == "cancelled"
        assert (await caller.hears("repartee.turn.latency")).turn_id == 1
        done = await caller.hears("response.done")
        assert done.response.status == "completed"


async def test_words_lost_in_the_middle_are_heard_all_the_same() -> None:
    agent = Agent(instructions="Be kind.", model="gpt-realtime")
    async with relaying(agent, "budget") as (_, client, providers), calling(client) as caller:
        talking = asyncio.create_task(caller.says_something())
        await caller.hears("input_audio_buffer.speech_started")
        await lose_sessions(providers)
        await talking
        done = await caller.hears("response.done")
        assert done.response.status == "completed"
        assert caller.types.count("input_audio_buffer.speech_started") == 1
        latency = next(e for e in caller.events if e.type == "repartee.turn.latency")
        assert latency.turn_id == 1


async def lose_sessions(providers: Running) -> None:
    """Every session of the provider's ends, as after 60 minutes, but for those to come."""
    before = providers.state.stats.of("openai-realtime").closed
    for session in list(providers.state.realtime_sessions):
        session.expire()
    await until(lambda: providers.state.stats.of("openai-realtime").closed > before)


async def test_the_model_is_relayed_to_only_if_the_deployment_says_so() -> None:
    agent = Agent(instructions="Be kind.")
    async with relaying(agent) as (worker, client, providers):
        async with client.realtime.connect(model="gpt-realtime") as connection:
            assert (await connection.recv()).type == "session.created"
        await worker.until_idle()
        assert providers.state.stats.of("openai-realtime").opened == 0
    async with relaying(
        agent, REPARTEE_SPEECH_TO_SPEECH="on", REPARTEE_REALTIME_MODEL="gpt-realtime-mini"
    ) as (
        worker,
        client,
        providers,
    ):
        async with client.realtime.connect(model="gpt-realtime") as connection:
            created: Any = await connection.recv()
            assert created.session.model == "gpt-realtime-mini"
        async with client.realtime.connect(model="another") as connection:
            created = await connection.recv()
            assert created.session.model == "another"
        await worker.until_idle()


async def test_settings_that_the_provider_refuses_end_the_call_with_words() -> None:
    agent = Agent(instructions="Be kind.", model="gpt-realtime", voice="nobody")
    async with relaying(agent) as (worker, client, _), client.realtime.connect(model="any") as connection:
        assert (await connection.recv()).type == "session.created"
        error: Any = await connection.recv()
        assert (error.type, error.error.type) == ("error", "server_error")
        assert "voice" in error.error.message or "nobody" in error.error.message
        with pytest.raises(ConnectionClosedError):
            await connection.recv()
        await worker.until_idle()


@pytest.mark.parametrize(
    ("model", "reasoning"), [("gpt-realtime-2.1", {"effort": "minimal"}), ("gpt-realtime-1.5", None)]
)
async def test_a_model_that_reasons_is_asked_for_as_little_as_it_can_do(
    model: str, reasoning: dict[str, str] | None
) -> None:
    """The stand-in refuses a wish for reasoning where the model does none, and a transcriber that is none."""
    agent = Agent(instructions="Be kind.", model=model)
    async with relaying(agent) as (_, client, providers), calling(client) as caller:
        await caller.says_something()
        await caller.hears("response.done")
        assert "error" not in caller.types
        sessions: set[Any] = providers.state.realtime_sessions
        [settings] = [each.settings for each in sessions if each.settings["instructions"]]
        assert settings.get("reasoning") == reasoning
        assert settings["audio"]["input"]["transcription"]["model"] == "gpt-transcribe"
