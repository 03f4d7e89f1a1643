"""The session protocol as OpenAI's own client uses it, over a real socket to a worker on stand-ins."""

import asyncio
import json
from typing import Any

import pytest
from openai import AsyncOpenAI
from tests.contract.caller import Caller, calling

from repartee.wire.audio_format import AudioEncoder, WireFormat

pytestmark = pytest.mark.asyncio(loop_scope="session")

MANUAL: dict[str, Any] = {"input": {"turn_detection": None}}


async def says_in_writing(caller: Caller, text: str) -> None:
    await caller.connection.conversation.item.create(
        item={"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
    )


async def test_a_conversation_of_two_turns(openai: AsyncOpenAI) -> None:
    async with calling(openai) as caller:
        for turn in (1, 2):
            await caller.says_something()
            heard = await caller.hears("conversation.item.input_audio_transcription.completed")
            assert heard.transcript
            # Half a second of speech, and the pause that ends the turn, of which 0.6 s were sent.
            assert 0.5 <= heard.usage.seconds <= 1.1
            done = await caller.hears("response.done")
            assert done.response.status == "completed"
            assert done.response.output[0].content[0].transcript
            assert len(caller.audio(done.response.id)) > 24_000
            latency = await _latency(caller, turn)
            assert sum(latency["stages_ms"].values()) == pytest.approx(latency["voice_to_voice_ms"], abs=1)
        assert "error" not in caller.types


async def _latency(caller: Caller, turn: int) -> dict[str, Any]:
    """Our own event reaches the client as it is."""
    [event] = [e for e in caller.events if e.type == "repartee.turn.latency" and e.turn_id == turn]
    told: dict[str, Any] = event.model_dump()
    return told


async def test_manual_turns(openai: AsyncOpenAI) -> None:
    async with calling(openai, audio=MANUAL) as caller:
        await caller.says_something(pause_ms=100)
        await caller.connection.input_audio_buffer.commit()
        committed = await caller.hears("input_audio_buffer.committed")
        item = await caller.hears("conversation.item.done")
        assert item.item.id == committed.item_id
        assert "response.created" not in caller.types
        await caller.connection.response.create()
        done = await caller.hears("response.done")
        assert done.response.status == "completed"
        assert caller.audio(done.response.id)


async def test_text_in_and_text_out(openai: AsyncOpenAI) -> None:
    async with calling(openai, output_modalities=["text"]) as caller:
        await says_in_writing(caller, "What are your opening hours?")
        await caller.connection.response.create()
        text = (await caller.hears("response.output_text.done")).text
        done = await caller.hears("response.done")
        assert done.response.output[0].content[0].text == text
        deltas = [event.delta for event in caller.events if event.type == "response.output_text.delta"]
        assert "".join(deltas) == text
        assert "response.output_audio.delta" not in caller.types


async def test_a_tool_of_the_clients(openai: AsyncOpenAI) -> None:
    tool = {
        "type": "function",
        "name": "weather_forecast",
        "description": "The weather forecast for a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    }
    async with calling(openai, tools=[tool], output_modalities=["text"]) as caller:
        await says_in_writing(caller, "What is the weather forecast?")
        await caller.connection.response.create()
        asked = await caller.hears("response.function_call_arguments.done")
        assert asked.name == "weather_forecast"
        assert isinstance(json.loads(asked.arguments), dict)
        done = await caller.hears("response.done")
        assert done.response.output[0].type == "function_call"
        await caller.connection.conversation.item.create(
            item={
                "type": "function_call_output",
                "call_id": asked.call_id,
                "output": json.dumps({"forecast": "sunny"}),
            }
        )
        await caller.connection.response.create()
        answer = await caller.hears("response.done")
        assert "sunny" in answer.response.output[0].content[0].text


async def test_truncating_what_was_not_played(openai: AsyncOpenAI) -> None:
    async with calling(openai) as caller:
        await says_in_writing(caller, "Where are you?")
        await caller.connection.response.create()
        done = await caller.hears("response.done")
        item = done.response.output[0]
        await caller.connection.conversation.item.truncate(item_id=item.id, content_index=0, audio_end_ms=500)
        assert (await caller.hears("conversation.item.truncated")).audio_end_ms == 500
        await caller.connection.conversation.item.retrieve(item_id=item.id)
        kept = (await caller.hears("conversation.item.retrieved")).item.content[0].transcript
        assert len(kept) < len(item.content[0].transcript)
        assert item.content[0].transcript.startswith(kept)


async def test_cancelling(openai: AsyncOpenAI) -> None:
    async with calling(openai) as caller:
        await says_in_writing(caller, "What can you do?")
        await caller.connection.response.create()
        created = await caller.hears("response.created")
        await caller.connection.response.cancel(response_id=created.response.id)
        done = await caller.hears("response.done")
        assert done.response.id == created.response.id
        if done.response.status == "cancelled":
            assert done.response.status_details.reason == "client_cancelled"
        else:  # all of it had been made before the cancel came
            assert (await caller.hears("error")).error.code == "response_cancel_not_active"
        await caller.connection.response.create()
        await caller.hears("response.created")


async def test_speaking_over_the_agent_stops_it(openai: AsyncOpenAI) -> None:
    async with calling(openai) as caller:
        await says_in_writing(caller, "What can you do?")
        await caller.connection.response.create()
        await caller.hears("response.output_audio.delta")
        await caller.says_something()
        await caller.hears("input_audio_buffer.speech_started")
        assert "conversation.item.truncated" in caller.types
        await caller.hears("response.done")


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("this is not JSON", "invalid_json"),
        ('{"type":"no.such.event","event_id":"mine"}', "invalid_value"),
        ('{"type":"session.update","session":{"audio":{"output":{"format":{"rate":1}}}}}', "invalid_value"),
        ('{"type":"conversation.item.truncate","item_id":"x"}', "missing_required_parameter"),
        ('{"type":"input_audio_buffer.commit"}', "input_audio_buffer_commit_empty"),
        (
            '{"type":"input_audio_buffer.append","audio":"' + "A" * (15 * 1024 * 1024) + '"}',
            "event_too_large",
        ),
    ],
    ids=["not JSON", "unknown", "wrong format", "incomplete", "empty commit", "oversize"],
)
async def test_mistakes_are_answered_and_the_call_goes_on(openai: AsyncOpenAI, frame: str, code: str) -> None:
    async with calling(openai, output_modalities=["text"]) as caller:
        await caller.connection.send_raw(frame)
        error = (await caller.hears("error")).error
        assert (error.type, error.code) == ("invalid_request_error", code)
        await says_in_writing(caller, "Where are you?")
        await caller.connection.response.create()
        assert (await caller.hears("response.done")).response.status == "completed"


@pytest.mark.parametrize("law", ["audio/pcmu", "audio/pcma"])
async def test_a_telephones_formats(openai: AsyncOpenAI, law: Any) -> None:
    encoder = AudioEncoder(WireFormat(law, 8_000), 24_000)
    audio = {"input": {"format": {"type": law}}, "output": {"format": {"type": law}}}
    async with calling(openai, audio=audio) as caller:
        await caller.says_something(encode=lambda pcm: encoder.feed(pcm) + encoder.flush())
        done = await caller.hears("response.done")
        assert done.response.audio.output.format.type == law
        sent = caller.audio(done.response.id)
        assert len(sent) > 4_000
        assert (await caller.hears("repartee.turn.finished", lambda e: e.turn_id == 1)).outcome


async def test_several_calls_at_once_do_not_mix(openai: AsyncOpenAI) -> None:
    questions = ["Where are you?", "What are your opening hours?", "Is there parking?"]

    async def ask(question: str) -> str:
        async with calling(openai, output_modalities=["text"]) as caller:
            await says_in_writing(caller, question)
            await caller.connection.response.create()
            done = await caller.hears("response.done")
            return str(done.response.output[0].content[0].text)

    alone = [await ask(question) for question in questions]
    together = await asyncio.gather(*(ask(question) for question in questions * 3))
    assert together == alone * 3
