"""ElevenLabs' voice, over real sockets to a script of its multi-context protocol."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from tests.promptness import DEADLINE_S
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from repartee.audio.pcm import duration_ms
from repartee.errors import ProviderError
from repartee.pool.settings import PoolSettings
from repartee.providers.elevenlabs import ElevenLabsSettings, ElevenLabsTTS, ElevenLabsUtterance
from repartee.standins.elevenlabs import wrong_message, wrong_query
from repartee.turn.events import SpeechAudio, SpeechWords

POOL = PoolSettings(spare=1, slots=5, keepalive_s=None, backoff_first_s=0.01, acquire_timeout_s=1)


def audio(context: str, ms: float, chars: str = "", **more: Any) -> str:
    """A chunk of audio in which its characters are spread evenly."""
    step = ms / max(len(chars), 1)
    alignment = {
        "chars": list(chars),
        "charStartTimesMs": [number * step for number in range(len(chars))],
        "charsDurationsMs": [step] * len(chars),
    }
    data = base64.b64encode((b"\x00\x20\x00\xe0" * int(24 * ms))[: int(24 * ms) * 2]).decode()
    return json.dumps({"audio": data, "alignment": alignment, "contextId": context, **more})


@dataclass
class Studio:
    """Speaks each text at 10 ms a character when it is flushed, and ends a context when it is closed. It takes what
    the stand-in takes."""

    base_url: str = ""
    paths: list[str] = field(default_factory=list)
    heard: list[dict[str, Any]] = field(default_factory=list)
    keeps_contexts: bool = False
    speaks: bool = True
    open_contexts: set[str] = field(default_factory=set)

    def admit(self, connection: ServerConnection, request: Request) -> Response | None:
        self.paths.append(request.path)
        if request.headers.get("xi-api-key") != "key":
            return connection.respond(401, "invalid api key\n")
        wrong = wrong_query(dict(parse_qsl(urlsplit(request.path).query)))
        return connection.respond(400, wrong) if wrong else None

    async def session(self, connection: ServerConnection) -> None:
        async for raw in connection:
            message = json.loads(raw)
            self.heard.append(message)
            if wrong := wrong_message(message):
                await connection.close(1008, wrong)
                return
            context = message.get("context_id")
            if message.get("close_socket"):
                return
            if message.get("close_context"):
                if not self.keeps_contexts:
                    self.open_contexts.discard(context)
                    await connection.send(json.dumps({"isFinal": True, "contextId": context}))
                continue
            self.open_contexts.add(context)
            if len(self.open_contexts) > 5:
                await connection.close(1008, "Maximum simultaneous contexts exceeded")
            elif self.speaks:
                await connection.send(audio(context, 10 * len(message["text"]), message["text"]))


@asynccontextmanager
async def studio(*, speaks: bool = True, keeps_contexts: bool = False) -> AsyncIterator[Studio]:
    there = Studio(speaks=speaks, keeps_contexts=keeps_contexts)
    async with serve(there.session, "127.0.0.1", 0, process_request=there.admit) as server:
        there.base_url = f"http://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
        yield there


def voice_at(base_url: str, **changes: Any) -> ElevenLabsTTS:
    return ElevenLabsTTS(replace(ElevenLabsSettings(base_url, "key", "voice 1", pool=POOL), **changes))


async def listen(utterance: ElevenLabsUtterance) -> list[SpeechAudio | SpeechWords]:
    async with asyncio.timeout(DEADLINE_S):
        return [sound async for sound in utterance.sounds()]


def audio_ms(sounds: list[SpeechAudio | SpeechWords]) -> float:
    return duration_ms(sum(len(sound.pcm) for sound in sounds if isinstance(sound, SpeechAudio)), 24_000)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():  # noqa: ASYNC110 - the conditions are others' states
            await asyncio.sleep(0.002)


async def test_text_in_pieces_is_one_context_with_words_timed_from_its_start() -> None:
    async with studio() as there:
        voice = voice_at(there.base_url)
        await voice.start()
        await voice.wait_warm(2)
        utterance = await voice.speak(3)
        utterance.say("Good day.")
        utterance.say("What now?", last=True)
        sounds = await listen(utterance)
        words = [word for sound in sounds if isinstance(sound, SpeechWords) for word in sound.words]
        assert [(word.text, word.start_ms) for word in words] == [
            ("Good", 0),
            ("day.", 50),
            ("What", 100),
            ("now?", 150),
        ]
        assert words[-1].end_ms == 190
        assert audio_ms(sounds) == 200
        assert {sound.reply_id for sound in sounds} == {3}
        assert voice.pools()[0].leased == 0
        await voice.aclose()
    texts = [message["text"] for message in there.heard if "text" in message]
    assert texts == ["Good day. ", "What now? "]
    assert ["voice_settings" in message for message in there.heard[:2]] == [True, False]
    assert there.heard[2]["close_context"] is True
    assert there.paths[0].startswith(
        "/v1/text-to-speech/voice%201/multi-stream-input?model_id=eleven_flash_v2_5"
    )
    assert "output_format=pcm_24000" in there.paths[0]
    assert "inactivity_timeout=180" in there.paths[0]


async def test_a_word_may_lie_across_two_chunks_of_audio() -> None:
    async def session(connection: ServerConnection) -> None:
        context = json.loads(await connection.recv())["context_id"]
        await connection.send(audio(context, 30, "Hel"))
        await connection.send(audio(context, 20, "lo"))
        await connection.send(json.dumps({"is_final": True, "contextId": context}))
        await connection.wait_closed()

    async with serve(session, "127.0.0.1", 0) as server:
        voice = voice_at(f"http://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}")
        utterance = await voice.speak(1)
        utterance.say("Hello", last=True)
        sounds = await listen(utterance)
        words = [word for sound in sounds if isinstance(sound, SpeechWords) for word in sound.words]
        assert [(word.text, word.start_ms, word.end_ms) for word in words] == [("Hello", 0, 50)]
        await voice.aclose()


async def test_no_socket_carries_more_than_five_contexts() -> None:
    async with studio() as there:
        voice = voice_at(there.base_url)
        utterances = [await voice.speak(number) for number in range(7)]
        for utterance in utterances:
            utterance.say("Hello there.")
        for utterance in utterances:
            utterance.say("", last=True)
        for sounds in await asyncio.gather(*(listen(utterance) for utterance in utterances)):
            assert audio_ms(sounds) == 130
        await voice.aclose()


async def test_a_cancelled_context_frees_its_slot_only_when_it_has_ended() -> None:
    async with studio(keeps_contexts=True) as there:
        voice = voice_at(there.base_url, closing_timeout_s=0.1)
        await voice.start()
        await voice.wait_warm(2)
        utterance = await voice.speak(1)
        utterance.say("A long story.")
        await utterance.cancel()
        await utterance.cancel()
        assert await listen(utterance) == []
        assert voice.pools()[0].leased == 1
        await until(lambda: voice.pools()[0].leased == 0)
        await until(lambda: sum("close_context" in message for message in there.heard) == 1)
        assert voice.pools()[0].idle <= 1
        await voice.aclose()


async def test_an_utterance_that_says_nothing_sends_nothing() -> None:
    async with studio() as there:
        voice = voice_at(there.base_url)
        spoken, cancelled = await voice.speak(1), await voice.speak(2)
        spoken.say("", last=True)
        assert await listen(spoken) == []
        await cancelled.cancel()
        assert voice.pools()[0].leased == 0
        assert there.heard == []
        await voice.aclose()


async def test_another_voice_is_dialled_for_and_its_socket_closed_after_use() -> None:
    async with studio() as there:
        voice = voice_at(there.base_url)
        utterance = await voice.speak(1, voice="other", language="de-AT")
        utterance.say("Guten Tag.", last=True)
        assert audio_ms(await listen(utterance)) > 0
        assert "/other/" in there.paths[0]
        assert "language_code=de" in there.paths[0]
        await until(lambda: any("close_socket" in message for message in there.heard))
        await voice.aclose()


async def test_a_bad_key_is_told_in_plain_words() -> None:
    async with studio() as there:
        voice = voice_at(there.base_url, api_key="wrong")
        with pytest.raises(ProviderError, match=r"refused the connection with status 401 \(invalid") as told:
            await voice.speak(1)
        assert not told.value.retryable
        await voice.aclose()


async def test_silence_and_a_lost_socket_are_told() -> None:
    async with studio(speaks=False) as there:
        voice = voice_at(there.base_url, first_audio_timeout_s=0.05)
        utterance = await voice.speak(1)
        utterance.say("Hello.")
        with pytest.raises(ProviderError, match="sent no audio"):
            await listen(utterance)
        utterance = await voice.speak(2)
        utterance.say("Hello.")
        reading = asyncio.create_task(listen(utterance))
        await asyncio.sleep(0)
        await voice.aclose()
        with pytest.raises(ProviderError, match="closed the connection"):
            await reading
        assert voice.pools()[0].leased == 0


def test_more_contexts_than_allowed_are_refused_at_once() -> None:
    with pytest.raises(ValueError, match="allows 5 contexts a socket, not 8"):
        ElevenLabsSettings("http://127.0.0.1:1", "key", "voice", pool=replace(POOL, slots=8))
