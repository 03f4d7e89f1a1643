"""The stand-in for OpenAI's Realtime API, as OpenAI's own client sees it."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest
from openai import AsyncOpenAI
from tests.promptness import DEADLINE_S
from websockets.exceptions import ConnectionClosed, InvalidStatus

from repartee.standins.faults import Fault
from repartee.standins.server import Running, StandInSettings, serve


def tone(ms: float) -> bytes:
    times = np.arange(int(24 * ms)) / 24_000
    voice: bytes = (8_000 * np.sin(2 * np.pi * 180 * times)).astype("<i2").tobytes()
    return voice


class Line:
    """A connection, and all it has received."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.events: list[Any] = []

    async def hears(self, kind: str, where: Callable[[Any], bool] = lambda event: True) -> Any:
        """Read until there is an event of this type."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                event = await self.connection.recv()
                self.events.append(event)
                if event.type == kind and where(event):
                    return event

    @property
    def types(self) -> list[str]:
        return [event.type for event in self.events]

    async def update(self, **session: Any) -> Any:
        await self.connection.session.update(session={"type": "realtime", **session})
        return (await self.hears("session.updated")).session

    async def writes(self, text: str) -> None:
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
        await self.connection.conversation.item.create(item=item)
        await self.hears("conversation.item.done")

    async def speaks(self, ms: float = 600, silence_ms: float = 600) -> None:
        audio = tone(ms) + bytes(48 * int(silence_ms))
        for start in range(0, len(audio), 960):
            frame = base64.b64encode(audio[start : start + 960]).decode()
            await self.connection.input_audio_buffer.append(audio=frame)

    def audio(self, response_id: str) -> bytes:
        deltas = [
            e.delta
            for e in self.events
            if e.type == "response.output_audio.delta" and e.response_id == response_id
        ]
        return b"".join(base64.b64decode(delta) for delta in deltas)


@asynccontextmanager
async def connected(
    server: Running, key: str = "key", model: str = "gpt-realtime", **options: Any
) -> AsyncIterator[Line]:
    async with (
        AsyncOpenAI(api_key=key, base_url=f"{server.base_url}/v1") as client,
        client.realtime.connect(model=model, **options) as connection,
    ):
        yield Line(connection)


async def test_a_spoken_turn_is_answered_in_the_protocols_order(running: Running) -> None:
    async with connected(running) as line:
        created = await line.hears("session.created")
        assert (created.session.model, created.session.output_modalities) == ("gpt-realtime", ["audio"])
        await line.update(audio={"input": {"transcription": {"model": "gpt-4o-mini-transcribe"}}})
        line.events.clear()
        await line.speaks()
        done = await line.hears("response.done")
        wanted = [
            "input_audio_buffer.speech_started",
            "input_audio_buffer.speech_stopped",
            "input_audio_buffer.committed",
            "conversation.item.added",
            "conversation.item.done",
            "response.created",
            "conversation.item.input_audio_transcription.completed",
            "response.output_item.added",
            "conversation.item.added",
            "response.content_part.added",
            "response.output_audio_transcript.delta",
            "response.output_audio.delta",
            "response.output_audio.done",
            "response.output_audio_transcript.done",
            "response.content_part.done",
            "conversation.item.done",
            "response.output_item.done",
            "response.done",
        ]
        places = iter(line.types)
        assert all(kind in places for kind in wanted), line.types
        assert len({event.event_id for event in line.events}) == len(line.events)
        assert done.response.status == "completed"
        transcript = done.response.output[0].content[0].transcript
        said = [e.delta for e in line.events if e.type == "response.output_audio_transcript.delta"]
        assert "".join(said) == transcript
        assert len(line.audio(done.response.id)) > 24_000
        assert done.response.usage.output_tokens > 0


async def test_the_end_of_a_turn_is_as_long_a_silence_as_is_asked_for(running: Running) -> None:
    async with connected(running) as line:
        await line.hears("session.created")
        detection = {"type": "server_vad", "silence_duration_ms": 400, "create_response": False}
        await line.update(audio={"input": {"turn_detection": detection}})
        await line.speaks(600, 380)
        await line.connection.input_audio_buffer.append(audio=base64.b64encode(bytes(960)).decode())
        stopped = await line.hears("input_audio_buffer.speech_stopped")
        assert stopped.audio_end_ms == 1000
        await line.writes("Where are you?")
        assert "response.created" not in line.types


async def test_manual_turns(running: Running) -> None:
    async with connected(running) as line:
        await line.hears("session.created")
        await line.update(audio={"input": {"turn_detection": None}})
        await line.connection.input_audio_buffer.commit()
        assert (await line.hears("error")).error.code == "input_audio_buffer_commit_empty"
        await line.speaks(600, 100)
        await line.connection.input_audio_buffer.commit()
        committed = await line.hears("input_audio_buffer.committed")
        await line.connection.response.create()
        done = await line.hears("response.done")
        assert done.response.status == "completed"
        await line.connection.conversation.item.retrieve(item_id=committed.item_id)
        item = (await line.hears("conversation.item.retrieved")).item
        assert item.content[0].transcript


@pytest.mark.parametrize("law", ["audio/pcmu", "audio/pcma"])
async def test_telephone_audio(running: Running, law: Any) -> None:
    async with connected(running) as line:
        await line.hears("session.created")
        session = await line.update(audio={"output": {"format": {"type": law}}})
        assert session.audio.output.format.type == law
        await line.writes("Where are you?")
        await line.connection.response.create()
        done = await line.hears("response.done")
        text = done.response.output[0].content[0].transcript
        assert len(line.audio(done.response.id)) == pytest.approx(8 * 62 * len(text), rel=0.02)


async def test_a_function_is_called_and_its_output_answered(running: Running) -> None:
    tool = {
        "type": "function",
        "name": "weather_forecast",
        "description": "The weather forecast for a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    }
    async with connected(running) as line:
        await line.hears("session.created")
        await line.update(tools=[tool])
        await line.writes("What is the weather forecast?")
        await line.connection.response.create()
        asked = await line.hears("response.function_call_arguments.done")
        deltas = [e.delta for e in line.events if e.type == "response.function_call_arguments.delta"]
        assert (asked.name, "".join(deltas)) == ("weather_forecast", asked.arguments)
        done = await line.hears("response.done")
        assert [item.type for item in done.response.output] == ["function_call"]
        output = {"type": "function_call_output", "call_id": asked.call_id, "output": '{"forecast": "sunny"}'}
        await line.connection.conversation.item.create(item=output)
        await line.connection.response.create()
        done = await line.hears("response.done")
        assert "sunny" in done.response.output[0].content[0].transcript


async def test_a_response_out_of_band_leaves_the_conversation_alone() -> None:
    async with serve(StandInSettings(profile="budget", light=True)) as server, connected(server) as line:
        await line.hears("session.created")
        await line.writes("Where are you?")
        await line.connection.response.create()
        first = (await line.hears("response.created")).response
        said = 'Say exactly this and nothing else: "One moment, please."'
        await line.connection.response.create(
            response={"conversation": "none", "input": [], "instructions": said, "metadata": {"of": "me"}}
        )
        second = (await line.hears("response.created")).response
        assert (second.conversation_id, second.metadata) == (None, {"of": "me"})
        done = await line.hears("response.done", lambda e: e.response.id == second.id)
        assert done.response.output[0].content[0].transcript == "One moment, please."
        assert line.audio(second.id)
        await line.connection.conversation.item.retrieve(item_id=done.response.output[0].id)
        assert (await line.hears("error")).error.code == "item_retrieve_invalid_item_id"
        await line.connection.response.create()
        assert (await line.hears("error")).error.code == "conversation_already_has_active_response"
        await line.connection.response.cancel(response_id=first.id)
        done = await line.hears("response.done")
        assert (done.response.status, done.response.status_details.reason) == (
            "cancelled",
            "client_cancelled",
        )


async def test_speech_over_an_answer_cancels_it() -> None:
    async with serve(StandInSettings(profile="budget", light=True)) as server, connected(server) as line:
        await line.hears("session.created")
        await line.writes("Where are you?")
        await line.connection.response.create()
        await line.hears("response.output_audio.delta")
        await line.speaks(600, 0)
        done = await line.hears("response.done")
        assert done.response.status_details.reason == "turn_detected"
        item = done.response.output[0]
        assert item.status == "incomplete"
        await line.connection.conversation.item.truncate(item_id=item.id, content_index=0, audio_end_ms=20)
        await line.hears("conversation.item.truncated")
        await line.connection.conversation.item.retrieve(item_id=item.id)
        assert not (await line.hears("conversation.item.retrieved")).item.content[0].transcript
        await line.connection.conversation.item.truncate(item_id=item.id, content_index=0, audio_end_ms=9000)
        assert "already shorter" in (await line.hears("error")).error.message


@pytest.mark.parametrize(
    ("event", "code", "param"),
    [
        ("nonsense", "invalid_json", None),
        ({"type": "no.such.event"}, "invalid_value", "type"),
        ({"type": "session.update", "session": {}}, "missing_required_parameter", "session.type"),
        (
            {"type": "session.update", "session": {"type": "realtime", "x": 1}},
            "unknown_parameter",
            "session.x",
        ),
        (
            {
                "type": "session.update",
                "session": {"type": "realtime", "audio": {"output": {"voice": "bob"}}},
            },
            "invalid_value",
            "session.audio.output.voice",
        ),
        ({"type": "conversation.item.delete", "item_id": "x"}, "item_delete_invalid_item_id", "item_id"),
        ({"type": "response.cancel"}, "response_cancel_not_active", None),
        ({"type": "input_audio_buffer.append", "audio": "%"}, "invalid_value", "audio"),
        (
            {
                "type": "conversation.item.create",
                "item": {"type": "message", "role": "user", "content": [{"type": "text"}]},
            },
            "invalid_value",
            "item.content[0].type",
        ),
    ],
)
async def test_mistakes(running: Running, event: Any, code: str, param: str | None) -> None:
    async with connected(running) as line:
        await line.hears("session.created")
        text = event if isinstance(event, str) else json.dumps(event | {"event_id": "mine"})
        await line.connection.send_raw(text)
        error = (await line.hears("error")).error
        assert (error.type, error.code, error.param) == ("invalid_request_error", code, param)
        assert error.event_id == (None if isinstance(event, str) else "mine")
        await line.update(instructions="Go on.")


async def test_a_bad_key_is_refused(running: Running) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with connected(running, key="bad-key"):
            pass
    assert refused.value.response.status_code == 401
    assert json.loads(bytes(refused.value.response.body))["error"]["code"] == "invalid_api_key"


async def test_an_unknown_model_is_told_and_closed(running: Running) -> None:
    async with connected(running, model="no-such-model") as line:
        assert (await line.hears("error")).error.code == "model_not_found"
        with pytest.raises(ConnectionClosed) as closed:
            await line.hears("session.created")
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4000


async def test_a_session_ends_after_its_time(running: Running) -> None:
    running.state.realtime_session_s = 0.05
    async with connected(running) as line:
        assert (await line.hears("error")).error.code == "session_expired"
        with pytest.raises(ConnectionClosed) as closed:
            await line.hears("no more")
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1001


async def test_a_fault_of_its_own(running: Running) -> None:
    running.state.faults.put(Fault("close", "openai-realtime", after_messages=1, code=1001))
    async with connected(running) as line:
        await line.hears("session.created")
        with pytest.raises(ConnectionClosed):
            await line.update(instructions="x")
    assert running.state.stats.of("openai-realtime").opened == 1
    assert running.state.stats.of("openai").opened == 0
