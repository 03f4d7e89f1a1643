"""Nothing that can be null, absent or new in a vendor's message costs a connection or an answer."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from tests.promptness import DEADLINE_S
from tests.regional.providers.conftest import frames, question
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from repartee.pool.settings import PoolSettings
from repartee.providers.cartesia import CartesiaSettings, CartesiaTTS
from repartee.providers.cartesia_stt import InkSettings, InkSTT
from repartee.providers.deepgram import FluxSettings, FluxSTT, NovaSettings, NovaSTT
from repartee.providers.deepgram_tts import FluxTTS, FluxTTSSettings
from repartee.providers.elevenlabs import ElevenLabsSettings, ElevenLabsTTS
from repartee.standins.server import Running
from repartee.turn.events import EndOfTurn, SpeechAudio

Document = Any
ONCE = PoolSettings(spare=1, young_s=0.0, single_use=True)
POOL = PoolSettings(spare=1, young_s=0.0, keepalive_s=None)

STRANGERS: list[Document] = [None, [], "text", 3, {}, {"type": None}, {"type": "New", "event": {"a": [None]}}]
"""Messages that no vendor has sent yet."""


def variants(messages: Sequence[Document], needed: set[tuple[int, str]]) -> Iterator[list[Document]]:
    """The messages with strangers among them, and with each field null, absent, or an object, but for those which
    make an answer what it is."""
    yield [one for message in messages for one in (*STRANGERS, _grown(message))]
    for number, message in enumerate(messages):
        for key in message if isinstance(message, dict) else ():
            if (number, key) in needed:
                continue
            rest = {name: value for name, value in message.items() if name != key}
            for changed in (message | {key: None}, message | {key: {"new": []}}, rest):
                yield [*messages[:number], changed, *messages[number + 1 :]]


def _grown(message: Document) -> Document:
    return message | {"new": {"field": [1]}} if isinstance(message, dict) else message


@asynccontextmanager
async def saying(
    answer: Callable[[dict[str, Any]], bool], greeting: Document, said: list[Document]
) -> AsyncIterator[str]:
    """A WebSocket server that greets, and says all this when ``answer`` says so of a message; audio counts as {}."""

    async def handle(connection: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            if greeting is not None:
                await connection.send(json.dumps(greeting))
            async for message in connection:
                asked = json.loads(message) if isinstance(message, str) else {}
                if answer(asked):
                    context = asked.get("context_id")
                    for one in said:
                        await connection.send(
                            one
                            if isinstance(one, bytes)
                            else json.dumps(one).replace('"CONTEXT"', json.dumps(context))
                        )

    async with serve(handle, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"


def turn_info(event: str, transcript: str) -> dict[str, Any]:
    return {
        "type": "TurnInfo",
        "request_id": "a",
        "sequence_id": 1,
        "event": event,
        "turn_index": 0,
        "audio_window_start": 0.0,
        "audio_window_end": 1.0,
        "transcript": transcript,
        "words": [{"word": "Hello.", "confidence": 0.9}],
        "end_of_turn_confidence": 0.4,
    }


FLUX = [
    turn_info("StartOfTurn", "Hello"),
    turn_info("EagerEndOfTurn", "Hello."),
    turn_info("EndOfTurn", "Hello."),
]
NEEDED_OF_FLUX = {(2, "type"), (2, "event")}
RESULTS = {
    "type": "Results",
    "start": 0.0,
    "duration": 1.0,
    "is_final": True,
    "speech_final": True,
    "from_finalize": False,
    "channel_index": [0, 1],
    "metadata": {"request_id": "a"},
    "channel": {
        "alternatives": [
            {
                "transcript": "Hello.",
                "confidence": 0.9,
                "words": [{"word": "hello", "start": None, "end": None}],
            }
        ]
    },
}
NOVA: list[dict[str, Any]] = [{"type": "SpeechStarted", "channel": [0, 1], "timestamp": 0.1}, RESULTS]
NEEDED_OF_NOVA = {
    (1, "type"),
    (1, "channel"),
    (1, "is_final"),
    (1, "speech_final"),
    (1, "start"),
    (1, "duration"),
}
INK: list[dict[str, Any]] = [
    {"type": "turn.start", "request_id": "a", "transcript": "Hello"},
    {"type": "turn.eager_end", "request_id": "a", "transcript": "Hello."},
    {"type": "turn.end", "request_id": "a", "transcript": "Hello."},
]
NEEDED_OF_INK = {(2, "type")}
SOUND = base64.b64encode(bytes(4800)).decode()
CARTESIA: list[dict[str, Any]] = [
    {
        "type": "chunk",
        "context_id": "CONTEXT",
        "data": SOUND,
        "done": False,
        "status_code": 206,
        "step_time": 1.0,
    },
    {
        "type": "timestamps",
        "context_id": "CONTEXT",
        "status_code": 206,
        "word_timestamps": {"words": ["Hello."], "start": [0.0], "end": None},
    },
    {"type": "done", "context_id": "CONTEXT", "done": True, "status_code": 200},
]
NEEDED_OF_CARTESIA = {(0, "type"), (0, "context_id"), (0, "data"), (2, "type"), (2, "context_id")}
ALIGNMENT = {"chars": ["H", "i"], "charStartTimesMs": [0, 50], "charsDurationsMs": [50, 50]}
ELEVENLABS: list[dict[str, Any]] = [
    {
        "audio": SOUND,
        "contextId": "CONTEXT",
        "alignment": ALIGNMENT,
        "normalizedAlignment": None,
        "isFinal": None,
    },
    {"audio": None, "contextId": "CONTEXT", "isFinal": True, "alignment": {"chars": None}},
]
NEEDED_OF_ELEVENLABS = {(0, "contextId"), (0, "audio"), (1, "contextId"), (1, "isFinal")}

FLUX_TTS: list[Document] = [
    {"type": "SpeechStarted", "speech_id": 0, "request_id": "a"},
    base64.b64decode(SOUND),
    {"type": "SpeechMetadata", "speech_id": 0, "characters": 3, "audio_duration_ms": 100.0},
]
NEEDED_OF_FLUX_TTS = {(2, "type")}

Far = tuple[Callable[[str], Any], Any, list[Document], set[tuple[int, str]]]

RECOGNISERS: dict[str, Far] = {
    "flux": (
        lambda url: FluxSTT(FluxSettings(url, "k", pool=ONCE)),
        {"type": "Connected"},
        FLUX,
        NEEDED_OF_FLUX,
    ),
    "ink-2": (
        lambda url: InkSTT(InkSettings(url, "k", pool=ONCE)),
        {"type": "connected"},
        INK,
        NEEDED_OF_INK,
    ),
    "nova": (lambda url: NovaSTT(NovaSettings(url, "k", pool=ONCE)), None, NOVA, NEEDED_OF_NOVA),
}
VOICES: dict[str, Far] = {
    "cartesia": (
        lambda url: CartesiaTTS(CartesiaSettings(url, "k", "v", pool=POOL, prime_text="")),
        lambda asked: asked.get("continue") is False,
        CARTESIA,
        NEEDED_OF_CARTESIA,
    ),
    "elevenlabs": (
        lambda url: ElevenLabsTTS(ElevenLabsSettings(url, "k", "v", pool=POOL)),
        lambda asked: asked.get("close_context"),
        ELEVENLABS,
        NEEDED_OF_ELEVENLABS,
    ),
    "flux-tts": (
        lambda url: FluxTTS(FluxTTSSettings(url, "k", "flux-alexis-en", pool=POOL)),
        lambda asked: asked.get("type") == "Flush",
        FLUX_TTS,
        NEEDED_OF_FLUX_TTS,
    ),
}
GREETED = {"flux-tts": {"type": "Connected", "request_id": "a"}}


async def heard_end(ears: Any, audio: bytes) -> str:
    """The words of the first turn."""
    transcriber = await ears.listen()
    try:
        async with asyncio.timeout(DEADLINE_S):
            transcriber.feed(audio)
            async for event in transcriber.events():
                if isinstance(event, EndOfTurn):
                    return str(event.text)
    finally:
        await transcriber.aclose()
    raise AssertionError("it ended")


@pytest.mark.parametrize("name", list(RECOGNISERS))
async def test_a_recognisers_messages(name: str) -> None:
    make, greeting, messages, needed = RECOGNISERS[name]
    primed = 1 if name == "ink-2" else 2  # which audio is the call's: the first is the priming
    for said in variants(messages, needed):
        begun: list[bool] = []

        def first_audio(asked: dict[str, Any], begun: list[bool] = begun) -> bool:
            begun.append(asked == {})
            return begun.count(True) == primed and asked == {}

        async with saying(first_audio, greeting, said) as url:
            ears = make(url)
            try:
                assert await heard_end(ears, question()) == "Hello.", said
            finally:
                await ears.aclose()


@pytest.mark.parametrize("name", list(VOICES))
async def test_a_voices_messages(name: str) -> None:
    make, is_last, messages, needed = VOICES[name]
    for said in variants(messages, needed):
        async with saying(is_last, GREETED.get(name), said) as url:
            voice = make(url)
            utterance = await voice.speak(1)
            try:
                utterance.say("Hi.", last=True)
                async with asyncio.timeout(DEADLINE_S):
                    sounds = [sound async for sound in utterance.sounds()]
                assert sum(len(sound.pcm) for sound in sounds if isinstance(sound, SpeechAudio)) == 4800, said
            finally:
                await utterance.cancel()
                await voice.aclose()


@pytest.mark.parametrize("kind", ["strange_messages", "configure_refused"])
async def test_a_call_goes_on_when_flux_sends_warnings_nulls_and_refusals(
    kind: str, standins: Running, fault: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    ears = FluxSTT(FluxSettings(standins.base_url, "k", pool=ONCE))
    fault(kind, count=10)
    transcriber = await ears.listen(keyterms=["Repartee"])
    said: list[str] = []
    async with asyncio.timeout(DEADLINE_S):
        for piece in frames(question()):
            transcriber.feed(piece)
        async for event in transcriber.events():
            if isinstance(event, EndOfTurn):
                said.append(event.text)
                if len(said) == 2:
                    break
                for piece in frames(question()):
                    transcriber.feed(piece)
    await transcriber.aclose()
    await ears.aclose()
    assert said == ["Hello, can you hear me?", "What are your opening hours?"]
    word = "Warning" if kind == "strange_messages" else "ConfigureFailure"
    assert f"Deepgram sent a {word}" in caplog.text


@pytest.mark.parametrize("greeting", [*STRANGERS[1:], {"type": "Welcome", "request_id": None}])
@pytest.mark.parametrize("name", ["flux", "ink-2", "flux-tts"])
async def test_a_greeting_that_nobody_has_sent_yet(name: str, greeting: Document) -> None:
    if name in RECOGNISERS:
        make, _, messages, _ = RECOGNISERS[name]
        async with saying(lambda asked: asked == {}, greeting, messages) as url:
            ears = make(url)
            try:
                assert await heard_end(ears, question()) == "Hello."
            finally:
                await ears.aclose()
        return
    make, is_last, messages, _ = VOICES[name]
    async with saying(is_last, greeting, messages) as url:
        voice = make(url)
        try:
            await voice.start()
            await voice.wait_warm(DEADLINE_S)
        finally:
            await voice.aclose()
