"""What the settings and an agent ask of their vendors reaches the wire: reasoning, service tier, extra fields, the
voice's model and manner."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.promptness import DEADLINE_S
from tests.regional.tcp_server import tcp
from websockets.asyncio.server import ServerConnection, serve

from repartee.agent.agent import Agent
from repartee.app.services import Services
from repartee.app.settings import read_settings
from repartee.errors import ConfigurationError
from repartee.providers import deepgram
from repartee.providers.interfaces import ReplyRequest
from repartee.providers.vendor import VendorKind
from repartee.standins.cartesia import strange_field
from repartee.standins.elevenlabs import voice_of, wrong_message

KEYS = {"DEEPGRAM_API_KEY": "d", "OPENAI_API_KEY": "o", "CARTESIA_API_KEY": "c", "ELEVENLABS_API_KEY": "e"}
ANSWER = (
    b"""data: {"choices": [{"delta": {"content": "Yes."}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n"""
)


@asynccontextmanager
async def model() -> AsyncIterator[tuple[str, list[dict[str, Any]]]]:
    """A language model's server, and the bodies that it is sent."""
    bodies: list[dict[str, Any]] = []

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        [length] = [line[15:] for line in head.splitlines() if line.startswith("content-length:")]
        bodies.append(json.loads(await reader.readexactly(int(length))))
        start = f"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: {len(ANSWER)}\r\n\r\n"
        writer.write(start.encode() + ANSWER)

    async with tcp(one) as url:
        yield f"{url}/v1", bodies


@asynccontextmanager
async def voice() -> AsyncIterator[tuple[str, list[dict[str, Any]]]]:
    """A voice's server, and the messages that it is sent, the URL's query among them. One that the vendor would not
    know is not among them."""
    messages: list[dict[str, Any]] = []

    async def session(connection: ServerConnection) -> None:
        assert connection.request
        async for message in connection:
            said = json.loads(message)
            eleven = voice_of(connection.request.path.partition("?")[0])
            if not (wrong_message(said) if eleven else strange_field(said)):
                messages.append(said | {"path": connection.request.path})

    async with serve(session, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}", messages


async def asked_of_the_model(environment: dict[str, str], agent: Agent) -> dict[str, Any]:
    async with model() as (url, bodies):
        services = Services(read_settings({**KEYS, **environment, "OPENAI_BASE_URL": url}), agent)
        assert services.resources
        request = ReplyRequest(messages=({"role": "user", "content": "Hi"},))
        assert [part async for part in services.resources.llm.reply(request)]
        await services.aclose()
    return bodies[0]


async def asked_of_the_voice(environment: dict[str, str], agent: Agent) -> dict[str, Any]:
    async with voice() as (url, messages):
        vendor = environment.get("REPARTEE_TTS", "cartesia").upper()
        services = Services(read_settings({**KEYS, **environment, f"{vendor}_BASE_URL": url}), agent)
        assert services.resources
        utterance = await services.resources.tts.speak(1)
        utterance.say("Good day.")
        async with asyncio.timeout(DEADLINE_S):
            while not messages:  # noqa: ASYNC110 - the far end's
                await asyncio.sleep(0.01)
        await utterance.cancel()
        await services.aclose()
    return messages[0]


PLAIN = Agent("Be kind.")


async def test_the_language_models_by_the_settings() -> None:
    environment = {
        "REPARTEE_REASONING_EFFORT": "low",
        "REPARTEE_SERVICE_TIER": "priority",
        "REPARTEE_LLM_EXTRA": '{"seed": 7}',
    }
    asked = await asked_of_the_model(environment, PLAIN)
    assert (asked["reasoning_effort"], asked["service_tier"], asked["seed"]) == ("low", "priority", 7)


async def test_the_language_models_by_the_agent() -> None:
    agent = Agent("Be kind.", reasoning_effort="minimal", service_tier="flex", extra_body={"seed": 8})
    asked = await asked_of_the_model({"REPARTEE_REASONING_EFFORT": "low"}, agent)
    assert (asked["reasoning_effort"], asked["service_tier"], asked["seed"]) == ("minimal", "flex", 8)


async def test_without_a_wish_the_family_decides() -> None:
    asked = await asked_of_the_model({"REPARTEE_LLM_MODEL": "gpt-6-luna"}, PLAIN)
    assert asked["reasoning_effort"] == "none"
    assert not asked.keys() & {"service_tier", "seed"}


async def test_cartesias_by_the_settings_and_by_the_agent() -> None:
    environment = {
        "REPARTEE_CARTESIA_MODEL": "sonic-x",
        "REPARTEE_CARTESIA_SPEED": "1.2",
        "REPARTEE_CARTESIA_VOLUME": "1.5",
        "REPARTEE_CARTESIA_EMOTION": "calm",
        "REPARTEE_CARTESIA_PRONUNCIATION": "pd_1",
    }
    asked = await asked_of_the_voice(environment, PLAIN)
    assert (asked["model_id"], asked["pronunciation_dict_id"]) == ("sonic-x", "pd_1")
    assert asked["generation_config"] == {"speed": 1.2, "volume": 1.5, "emotion": "calm"}
    options: dict[str, str | float] = {
        "model": "sonic-y",
        "speed": 0.8,
        "volume": 0.7,
        "emotion": "happy",
        "pronunciation": "pd_2",
    }
    asked = await asked_of_the_voice(environment, Agent("Be kind.", voice_options=options))
    assert (asked["model_id"], asked["pronunciation_dict_id"]) == ("sonic-y", "pd_2")
    assert asked["generation_config"] == {"speed": 0.8, "volume": 0.7, "emotion": "happy"}


async def test_cartesia_is_asked_for_its_newest_model_that_is_generally_available() -> None:
    asked = await asked_of_the_voice({}, PLAIN)
    assert asked["model_id"] == "sonic-3.5"
    assert not asked.keys() & {"generation_config", "pronunciation_dict_id"}


async def test_elevenlabs_by_the_settings_and_by_the_agent() -> None:
    environment = {
        "REPARTEE_TTS": "elevenlabs",
        "REPARTEE_ELEVENLABS_MODEL": "eleven_x",
        "REPARTEE_ELEVENLABS_SPEED": "1.1",
        "REPARTEE_ELEVENLABS_PRONUNCIATION": "dict:v1",
    }
    asked = await asked_of_the_voice(environment, PLAIN)
    assert "model_id=eleven_x" in asked["path"]
    assert asked["voice_settings"]["speed"] == 1.1
    assert asked["pronunciation_dictionary_locators"] == [
        {"pronunciation_dictionary_id": "dict", "version_id": "v1"}
    ]
    asked = await asked_of_the_voice(environment, Agent("Be kind.", voice_options={"speed": 0.8}))
    assert asked["voice_settings"]["speed"] == 0.8


def test_an_agents_option_that_the_vendor_in_use_does_not_take_stops_the_start() -> None:
    agent = Agent("Be kind.", voice_options={"emotion": "calm"})
    with pytest.raises(ConfigurationError, match="ElevenLabs takes no emotion"):
        Services(read_settings({**KEYS, "REPARTEE_TTS": "elevenlabs"}), agent)


@pytest.mark.parametrize("stt", ["flux", "nova"])
@pytest.mark.parametrize(
    ("keyterms", "fault"),
    [
        (["a"] * 100, None),
        (["a"] * 101, "takes 100 key terms, and the agent has 101"),
        (["a" * 20] * 100, None),
        (["a" * 17] * 100, None),
        (["a" * 21] * 84, "takes key terms of 500 tokens, and the agent's have about 504"),
    ],
)
async def test_keyterms_over_the_vendors_limit_stop_the_start(
    stt: str, keyterms: list[str], fault: str | None
) -> None:
    settings = read_settings({**KEYS, "REPARTEE_STT": stt})
    agent = Agent(instructions="Be brief.", keyterms=keyterms)
    if fault is None:
        await Services(settings, agent).aclose()
        return
    with pytest.raises(ConfigurationError, match=fault):
        Services(settings, agent)


def test_a_spare_connection_to_flux_is_kept_no_longer_than_the_setting_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The default is below the 20 to 30 s after which such connections are reported to end."""
    kept: list[float] = []
    monkeypatch.setattr(deepgram, "FluxSTT", lambda config, uses: kept.append(config.pool.max_age_s))
    for environment in ({}, {"REPARTEE_FLUX_IDLE_S": "45"}):
        settings = read_settings({**KEYS, **environment})
        [row] = settings.vendors(VendorKind.STT)
        row.open(settings.opening(row))
    assert kept == [20.0, 45.0]
    with pytest.raises(ConfigurationError, match="REPARTEE_FLUX_IDLE_S: must be a number from 5 to 3600"):
        read_settings({"REPARTEE_FLUX_IDLE_S": "2"})
