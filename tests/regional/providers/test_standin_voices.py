"""ElevenLabs' and Deepgram's voices, over real sockets to their stand-ins, which refuse what the services refuse."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from deepgram.speak.v2.types import SpeakV2Speak
from elevenlabs import InitialiseContext
from tests.promptness import DEADLINE_S
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from repartee.audio.pcm import duration_ms
from repartee.errors import ProviderError
from repartee.pool.settings import PoolSettings
from repartee.providers.deepgram_tts import FluxTTS, FluxTTSSettings
from repartee.providers.elevenlabs import ElevenLabsSettings, ElevenLabsTTS
from repartee.providers.interfaces import Utterance
from repartee.standins.server import Running
from repartee.turn.events import SpeechAudio, SpeechWords

Fault = Callable[..., None]
Sound = SpeechAudio | SpeechWords
POOL = PoolSettings(spare=1, slots=1, keepalive_s=None, backoff_first_s=0.01, acquire_timeout_s=2)


def elevenlabs(standins: Running, **changes: Any) -> ElevenLabsTTS:
    return ElevenLabsTTS(
        replace(ElevenLabsSettings(standins.base_url, "key", "george", pool=POOL), **changes)
    )


def flux(standins: Running, **changes: Any) -> FluxTTS:
    return FluxTTS(replace(FluxTTSSettings(standins.base_url, "key", "flux-alexis-en", pool=POOL), **changes))


BOTH = pytest.mark.parametrize("make", [elevenlabs, flux])
NAMES: dict[Any, str] = {elevenlabs: "elevenlabs", flux: "deepgram-tts"}


async def spoken(utterance: Utterance, *pieces: str) -> list[Sound]:
    for place, piece in enumerate(pieces):
        utterance.say(piece, last=place == len(pieces) - 1)
    async with asyncio.timeout(DEADLINE_S):
        return [sound async for sound in utterance.sounds()]


def audio_ms(sounds: list[Sound]) -> float:
    return duration_ms(sum(len(sound.pcm) for sound in sounds if isinstance(sound, SpeechAudio)), 24_000)


@BOTH
async def test_a_reply_in_pieces_is_spoken_whole_and_the_next_one_on_the_same_socket(
    standins: Running, make: Callable[..., Any]
) -> None:
    voice = make(standins)
    await voice.start()
    await voice.wait_warm(2)
    lengths = []
    for pieces in (("Good day. ", "What now?"), ("Good day. What now?",), ("Good day.", " What now?", "")):
        utterance = await voice.speak(3)
        lengths.append(audio_ms(await spoken(utterance, *pieces)))
        await utterance.cancel()
    assert lengths[0] > 500
    assert max(lengths) - min(lengths) < 200
    counts = standins.state.stats.of(NAMES[make])
    assert (counts.requests, counts.finished) == (3, 3)
    assert counts.opened <= 2  # one is spare while another speaks
    await voice.aclose()


async def test_elevenlabs_words_have_times(standins: Running) -> None:
    voice = elevenlabs(standins)
    sounds = await spoken(await voice.speak(1), "Good day. ", "What now?")
    words = [word for sound in sounds if isinstance(sound, SpeechWords) for word in sound.words]
    assert [word.text for word in words] == ["Good", "day.", "What", "now?"]
    assert [word.start_ms for word in words] == sorted(word.start_ms for word in words)
    assert words[-1].end_ms <= audio_ms(sounds) + 1
    await voice.aclose()


@BOTH
async def test_an_interrupted_reply_costs_the_next_one_nothing(
    standins: Running, make: Callable[..., Any]
) -> None:
    voice = make(standins)
    first = await voice.speak(1)
    first.say("A long story. ")
    async with asyncio.timeout(DEADLINE_S):
        async for _ in first.sounds():
            break
    await first.cancel()
    assert audio_ms(await spoken(await voice.speak(2), "Yes?")) > 0
    await voice.aclose()


@BOTH
async def test_nothing_to_say_asks_for_nothing(standins: Running, make: Callable[..., Any]) -> None:
    voice = make(standins)
    assert await spoken(await voice.speak(1), "", " ") == []
    assert standins.state.stats.of(NAMES[make]).requests == 0
    await voice.aclose()


@BOTH
@pytest.mark.parametrize(
    ("kind", "settings"), [("close", {"code": 1011}), ("drop", {}), ("error", {"status": 500})]
)
async def test_a_socket_that_ends_in_mid_reply_says_why(
    standins: Running, fault: Fault, make: Callable[..., Any], kind: str, settings: dict[str, int]
) -> None:
    fault(kind, provider=NAMES[make], after_messages=3, **settings)
    voice = make(standins)
    with pytest.raises(ProviderError) as caught:
        await spoken(await voice.speak(1), "Good day. What now? Say more, and then some more.")
    assert caught.value.stage == "tts"
    await voice.aclose()


@BOTH
async def test_one_that_falls_silent_in_mid_reply_is_lost_after_its_stall(
    standins: Running, fault: Fault, make: Callable[..., Any]
) -> None:
    fault("silent", provider=NAMES[make], after_messages=3)
    voice = make(standins, first_audio_timeout_s=0.3, stall_s=0.3)
    with pytest.raises(ProviderError, match=r"sent no audio for 0\.3 s"):
        await spoken(await voice.speak(1), "Good day. What now? Say more, and then some more.")
    await voice.aclose()


@BOTH
async def test_a_bad_key_is_told(standins: Running, make: Callable[..., Any]) -> None:
    voice = make(standins, api_key="bad-key")
    with pytest.raises(ProviderError, match="status 401") as caught:
        await voice.speak(1)
    assert not caught.value.retryable
    await voice.aclose()


MULTI = "/v1/text-to-speech/george/multi-stream-input?model_id=eleven_flash_v2_5&auto_mode=true"
FLUX = "/v2/speak?model=flux-alexis-en"


def at(standins: Running, path: str) -> Any:
    headers = {"xi-api-key": "key", "Authorization": "Token key"}
    return connect(standins.base_url.replace("http", "ws", 1) + path, additional_headers=headers)


@pytest.mark.parametrize(
    "path",
    [
        f"{MULTI}&colour=red",
        MULTI.replace("eleven_flash_v2_5", "eleven_v4"),
        f"{MULTI}&output_format=mp3_44100_128",
        f"{MULTI}&inactivity_timeout=181",
        f"{FLUX}&colour=red",
        FLUX.replace("flux-alexis-en", "aura-2-thalia-en"),
        f"{FLUX}&sample_rate=22050",
        f"{FLUX}&speed=1.02",
        f"{FLUX}&speed=2",
    ],
)
async def test_handshakes_that_are_refused(standins: Running, path: str) -> None:
    with pytest.raises(InvalidStatus, match="400"):
        async with at(standins, path):
            pass


SETTINGS = {"stability": 0.5}


@pytest.mark.parametrize(
    ("path", "messages"),
    [
        (MULTI, ["{"]),
        (MULTI, [{"text": "Hello "}]),
        (MULTI, [{"context_id": "a", "words": "Hello "}]),
        (MULTI, [{"context_id": "a", "text": "Hello ", "voice_settings": {"speed": 2.0}}]),
        (
            MULTI,
            [{"context_id": "a", "text": " "}, {"context_id": "a", "text": "x", "voice_settings": SETTINGS}],
        ),
        (MULTI, [{"context_id": str(number), "text": " "} for number in range(6)]),
        (FLUX, ["{"]),
        (FLUX, [{"type": "KeepAlive"}]),
        (FLUX, [{"type": "Speak"}]),
        (FLUX, [{"type": "Flush", "now": True}]),
    ],
    ids=["json", "context", "field", "speed", "settings", "sixth", "flux-json", "type", "text", "flux-field"],
)
async def test_messages_that_end_the_socket(standins: Running, path: str, messages: list[Any]) -> None:
    async with at(standins, path) as connection:
        for message in messages:
            await connection.send(message if isinstance(message, str) else json.dumps(message))
        with pytest.raises(ConnectionClosed) as caught:
            async with asyncio.timeout(DEADLINE_S):
                while True:
                    await connection.recv()
    assert caught.value.rcvd is not None and caught.value.rcvd.code == 1008


async def heard_of(connection: ClientConnection, contexts: int) -> dict[str, int]:
    """How much audio each context brought, until so many have ended."""
    came: dict[str, int] = {}
    async with asyncio.timeout(DEADLINE_S):
        while contexts:
            said = json.loads(await connection.recv())
            came[said["contextId"]] = came.get(said["contextId"], 0) + len(said.get("audio") or "")
            contexts -= bool(said.get("isFinal"))
    return came


async def test_two_contexts_share_a_socket_of_elevenlabs(standins: Running) -> None:
    async with at(standins, MULTI) as connection:
        for name in ("a", "b"):
            first = InitialiseContext(context_id=name, text=f"Hello, I am {name}. ")
            await connection.send(first.model_dump_json(exclude_none=True))
        for name in ("b", "a"):
            await connection.send(json.dumps({"context_id": name, "close_context": True}))
        came = await heard_of(connection, 2)
        assert came.keys() == {"a", "b"} and all(came.values())


async def test_turns_of_flux_come_one_after_the_other(standins: Running) -> None:
    async with at(standins, FLUX) as connection:
        for text in ("One. ", "Two. "):
            await connection.send(SpeakV2Speak(text=text).model_dump_json())
            await connection.send(json.dumps({"type": "Flush"}))
        kinds: list[str] = []
        async with asyncio.timeout(DEADLINE_S):
            while kinds.count("SpeechMetadata") < 2:
                message = await connection.recv()
                kinds.append("audio" if isinstance(message, bytes) else json.loads(message)["type"])
    told = [kind for place, kind in enumerate(kinds) if kind != "audio" or kinds[place - 1] != "audio"]
    turn = ["SpeechStarted", "audio", "Flushed", "SpeechMetadata"]
    assert told == ["Connected", *turn, *turn]
