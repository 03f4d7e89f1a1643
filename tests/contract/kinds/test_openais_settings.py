"""Settings of OpenAI's, each on its own, on both kinds of call: met, or refused by its name; never taken in silence.

A speech-to-speech model's provider is given them; a cascade meets what it can.
"""

import json
from typing import Any

import pytest
from tests.contract.kinds.call import CASCADE, KINDS, SPEECH_TO_SPEECH, BothKinds, agent_for, on
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

PROMPT = {"id": "pmpt_1", "version": "2"}
LOGPROBS = ["item.input_audio_transcription.logprobs"]
RATIO = {"type": "retention_ratio", "retention_ratio": 0.8}
TRACING = {"workflow_name": "shop", "group_id": "g1", "metadata": {"a": "1"}}

SETTINGS: dict[str, tuple[Any, str]] = {
    "speed": ({"audio": {"output": {"speed": 1.25}}}, "audio.output.speed"),
    "noise_reduction": (
        {"audio": {"input": {"noise_reduction": {"type": "far_field"}}}},
        "audio.input.noise_reduction",
    ),
    "truncation": ({"truncation": RATIO}, "truncation"),
    "include": ({"include": LOGPROBS}, "include"),
    "prompt": ({"prompt": PROMPT}, "prompt"),
}


def at(settings: Any, path: str) -> Any:
    for name in path.split("."):
        settings = settings[name]
    return settings


async def refused(call: BothKinds, **session: Any) -> Any:
    settings: Any = {"type": "realtime", **session}
    await call.caller.connection.session.update(session=settings)
    return (await call.caller.hears("error")).error


@pytest.mark.parametrize("name", SETTINGS)
async def test_a_cascade_refuses_it_by_its_name_and_takes_nothing_of_the_update(name: str) -> None:
    given, path = SETTINGS[name]
    async with on(CASCADE, agent_for(CASCADE)) as call:
        error = await refused(call, instructions="You are a florist.", **given)
        assert (error.code, error.param) == ("unsupported_parameter", f"session.{path}")
        assert f"'session.{path}'" in error.message
        assert "session.updated" not in call.caller.types
        await call.asks("Hello?")
        await call.is_idle()
        assert "florist" not in call.instructions


@pytest.mark.parametrize("name", SETTINGS)
async def test_a_speech_to_speech_models_provider_is_given_it(name: str) -> None:
    given, path = SETTINGS[name]
    async with on(SPEECH_TO_SPEECH, agent_for(SPEECH_TO_SPEECH)) as call:
        await call.updates(**given)
        assert at(call.sessions[-1], path) == at(given, path)
        assert call.errors == []


@pytest.mark.parametrize("kind", KINDS)
async def test_tracing_is_taken_and_shown(kind: str) -> None:
    async with on(kind, agent_for(kind)) as call:
        for tracing in ("auto", TRACING):
            await call.updates(tracing=tracing)
            shown = call.caller.events[-1].session.tracing
            assert (shown if isinstance(shown, str) else shown.to_dict()) == tracing
        if kind == SPEECH_TO_SPEECH:
            assert call.sessions[-1]["tracing"] == TRACING
        error = await refused(call, tracing={"workflow": "shop"})
        assert error.param == "session.tracing"


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"audio": {"output": {"speed": 1.0}}}, "audio.output.speed"),
        ({"audio": {"input": {"noise_reduction": None}}}, "audio.input.noise_reduction"),
        ({"truncation": "auto"}, "truncation"),
        ({"include": None}, "include"),
        ({"prompt": None}, "prompt"),
        ({"tracing": None}, "tracing"),
    ],
    ids=["speed", "noise_reduction", "truncation", "include", "prompt", "tracing"],
)
@pytest.mark.parametrize("kind", KINDS)
async def test_what_changes_nothing_is_taken(kind: str, given: Any, path: str) -> None:
    async with on(kind, agent_for(kind)) as call:
        await call.updates(**given)
        assert call.errors == [], path


def url_of(call: BothKinds, query: str) -> str:
    return f"ws://127.0.0.1:{call.worker.port}/v1/realtime?model=gpt-realtime&{query}"


@pytest.mark.parametrize("kind", KINDS)
async def test_a_transcription_session_is_refused_by_name_and_the_socket_closed(kind: str) -> None:
    async with on(kind, agent_for(kind)) as call, connect(url_of(call, "intent=transcription")) as socket:
        told = json.loads(await socket.recv())
        assert told["type"] == "error"
        assert (told["error"]["code"], told["error"]["param"]) == ("unsupported_parameter", "intent")
        await socket.wait_closed()
        assert socket.close_code == 4000


@pytest.mark.parametrize("kind", KINDS)
async def test_a_side_band_to_no_call_is_refused_by_name_before_the_socket_opens(kind: str) -> None:
    async with on(kind, agent_for(kind)) as call:
        with pytest.raises(InvalidStatus) as refusal:
            await connect(url_of(call, "call_id=rtc_nowhere"))
        assert refusal.value.response.status_code == 404
        body = json.loads(refusal.value.response.body or b"{}")
        assert body["error"]["code"] == "call_not_found"
