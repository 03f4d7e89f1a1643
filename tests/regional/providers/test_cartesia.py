"""Cartesia's voice, over real sockets to its stand-in, and to a script where the stand-in is too well-behaved."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from tests.promptness import DEADLINE_S
from websockets.asyncio.server import ServerConnection, serve

from repartee.audio.pcm import duration_ms
from repartee.errors import PoolTimeout, ProviderError
from repartee.pool.settings import PoolSettings
from repartee.providers.cartesia import CartesiaSettings, CartesiaTTS, CartesiaUtterance
from repartee.providers.sockets import SocketSettings
from repartee.standins.cartesia import strange_field
from repartee.standins.server import Running
from repartee.turn.events import SpeechAudio, SpeechWords

POOL = PoolSettings(spare=4, slots=4, keepalive_s=None, backoff_first_s=0.01, acquire_timeout_s=2)
QUICK = SocketSettings(open_timeout_s=0.5, ping_interval_s=0.1, ping_timeout_s=0.1, close_timeout_s=0.1)

Fault = Callable[..., None]


def voice_at(base_url: str, **changes: Any) -> CartesiaTTS:
    return CartesiaTTS(
        replace(CartesiaSettings(base_url, "key", "voice-1", pool=POOL, prime_text=""), **changes)
    )


async def listen(utterance: CartesiaUtterance) -> list[SpeechAudio | SpeechWords]:
    async with asyncio.timeout(DEADLINE_S):
        return [sound async for sound in utterance.sounds()]


def audio_ms(sounds: list[SpeechAudio | SpeechWords]) -> float:
    return duration_ms(sum(len(sound.pcm) for sound in sounds if isinstance(sound, SpeechAudio)), 24_000)


def words(sounds: list[SpeechAudio | SpeechWords]) -> list[str]:
    return [word.text for sound in sounds if isinstance(sound, SpeechWords) for word in sound.words]


async def test_text_in_pieces_is_one_utterance(standins: Running) -> None:
    voice = voice_at(standins.base_url)
    await voice.start()
    await voice.wait_warm(2)
    utterance = await voice.speak(7)
    utterance.say("We open at eight thirty. ")
    utterance.say("On weekdays we are here", last=False)
    utterance.say("until six.", last=True)
    utterance.say("This comes too late.")
    sounds = await listen(utterance)
    assert " ".join(words(sounds)) == "We open at eight thirty. On weekdays we are here until six."
    assert {sound.reply_id for sound in sounds} == {7}
    timed = [word for sound in sounds if isinstance(sound, SpeechWords) for word in sound.words]
    assert [word.start_ms for word in timed] == sorted(word.start_ms for word in timed)
    assert timed[-1].end_ms <= audio_ms(sounds) + 1
    await utterance.cancel()
    await utterance.cancel()
    assert voice.pools()[0].leased == 0
    assert standins.state.stats.of("cartesia").requests == 1
    await voice.aclose()


async def test_utterances_share_a_socket_and_keep_apart(standins: Running) -> None:
    voice = voice_at(standins.base_url)
    await voice.start()
    await voice.wait_warm(2)
    utterances = [await voice.speak(number) for number in range(4)]
    for number, utterance in enumerate(utterances):
        utterance.say(" ".join(["word"] * (number + 1)), last=True)
    heard = await asyncio.gather(*(listen(utterance) for utterance in utterances))
    for number, sounds in enumerate(heard):
        assert {sound.reply_id for sound in sounds} == {number}
        assert len(words(sounds)) == number + 1
    assert standins.state.stats.of("cartesia").opened <= 2
    await voice.aclose()


async def test_an_utterance_that_says_nothing_ends(standins: Running) -> None:
    voice = voice_at(standins.base_url)
    utterance = await voice.speak(1)
    utterance.say("  ")
    utterance.say("", last=True)
    assert await listen(utterance) == []
    assert voice.pools()[0].leased == 0
    assert standins.state.stats.of("cartesia").requests == 0
    await voice.aclose()


async def test_cancelling_stops_the_provider_and_ends_the_reader(standins: Running, fault: Fault) -> None:
    voice = voice_at(standins.base_url)
    fault("slow_first_token", provider="cartesia", delay_ms=300)
    utterance = await voice.speak(1)
    utterance.say("A long story, that nobody wants to hear to its end. ")
    reading = asyncio.create_task(listen(utterance))
    await asyncio.sleep(0.05)
    await utterance.cancel()
    assert await reading == []
    assert voice.pools()[0].leased == 0
    async with asyncio.timeout(DEADLINE_S):
        while not standins.state.stats.of("cartesia").cancelled:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    again = await voice.speak(2)
    again.say("Still here.", last=True)
    assert words(await listen(again)) == ["Still", "here."]
    await voice.aclose()


@pytest.mark.parametrize("kind", ["close", "drop", "malformed", "error", "half_open"])
async def test_whatever_breaks_in_mid_utterance_is_told_and_the_voice_recovers(
    standins: Running, fault: Fault, kind: str
) -> None:
    voice = voice_at(standins.base_url, socket=QUICK)
    fault(kind, provider="cartesia", after_messages=1)
    utterance = await voice.speak(1)
    utterance.say("We open at eight thirty, and we close at six in the evening.", last=True)
    with pytest.raises(ProviderError) as told:
        await listen(utterance)
    assert (told.value.retryable, told.value.provider, told.value.stage) == (True, "cartesia", "tts")
    await utterance.cancel()
    assert voice.pools()[0].leased == 0
    again = await voice.speak(2)
    again.say("Again.", last=True)
    assert words(await listen(again)) == ["Again."]
    await voice.aclose()


async def test_a_voice_that_falls_silent_is_noticed(standins: Running, fault: Fault) -> None:
    voice = voice_at(standins.base_url, first_audio_timeout_s=0.1)
    fault("silent", provider="cartesia")
    utterance = await voice.speak(1)
    utterance.say("Hello.")
    with pytest.raises(ProviderError, match=r"no audio for 0\.1 s"):
        await listen(utterance)
    await voice.aclose()


async def test_a_bad_key_is_told_in_plain_words(standins: Running) -> None:
    voice = voice_at(standins.base_url, api_key="bad-key")
    with pytest.raises(ProviderError, match=r"Cartesia refused the connection with status 401") as told:
        await voice.speak(1)
    assert not told.value.retryable
    await voice.start()
    with pytest.raises(PoolTimeout, match="status 401"):
        await voice.wait_warm(0.2)
    await voice.aclose()


async def test_a_request_that_is_refused_says_why(standins: Running) -> None:
    voice = voice_at(standins.base_url, model="trumpet-1")
    utterance = await voice.speak(1)
    utterance.say("Hello.", last=True)
    with pytest.raises(ProviderError, match="model_id must be one of the sonic models") as told:
        await listen(utterance)
    assert not told.value.retryable
    await voice.aclose()


async def test_new_sockets_are_primed(standins: Running) -> None:
    voice = voice_at(standins.base_url, prime_text="Hello.")
    await voice.start()
    await voice.wait_warm(2)
    async with asyncio.timeout(DEADLINE_S):
        while standins.state.stats.of("cartesia").finished < 1:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    await voice.aclose()


async def test_a_caller_who_gives_up_while_connecting_leaks_nothing(standins: Running, fault: Fault) -> None:
    fault("hang_at_connect", provider="cartesia", count=3)
    voice = voice_at(standins.base_url, socket=QUICK)
    speaking = asyncio.create_task(voice.speak(1))
    await asyncio.sleep(0.05)
    speaking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await speaking
    await voice.aclose()
    assert voice.pools()[0].leased == 0


Answer = Callable[[ServerConnection, dict[str, Any]], Any]


@asynccontextmanager
async def scripted(answer: Answer) -> AsyncIterator[str]:
    """A Cartesia that answers each request as a test wants, if the stand-in would take it."""

    async def session(connection: ServerConnection) -> None:
        async for message in connection:
            request = json.loads(message)
            if strange := strange_field(request):
                told = {"type": "error", "context_id": request.get("context_id"), "status_code": 400}
                await connection.send(json.dumps({**told, "message": f"{strange}: no such field"}))
            else:
                await answer(connection, request)

    async with serve(session, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"


def chunk(context: str, pcm: bytes) -> str:
    data = base64.b64encode(pcm).decode()
    return json.dumps(
        {"type": "chunk", "context_id": context, "data": data, "done": False, "status_code": 206}
    )


def timestamps(context: str, word: str, start_s: float, end_s: float) -> str:
    times = {"words": [word], "start": [start_s], "end": [end_s]}
    return json.dumps({"type": "timestamps", "context_id": context, "done": False, "word_timestamps": times})


async def test_text_after_a_context_has_expired_goes_on_in_another_and_the_times_with_it() -> None:
    asked: list[dict[str, Any]] = []

    async def answer(connection: ServerConnection, request: dict[str, Any]) -> None:
        asked.append(request)
        context = request["context_id"]
        await connection.send(chunk(context, bytes(4800)))
        await connection.send(timestamps(context, request["transcript"].strip(), 0.01, 0.09))
        await connection.send(json.dumps({"type": "done", "context_id": context, "done": True}))

    async with scripted(answer) as base_url:
        voice = voice_at(base_url)
        utterance = await voice.speak(1)
        sounds = utterance.sounds()
        utterance.say("One moment. ")
        first = [await anext(sounds), await anext(sounds)]
        await asyncio.sleep(0.05)
        utterance.say("Here it is.", last=True)
        rest = [sound async for sound in sounds]
        assert audio_ms(first + rest) == 200
        timed = [word for sound in first + rest if isinstance(sound, SpeechWords) for word in sound.words]
        assert [(word.text, word.start_ms) for word in timed] == [("One moment.", 10), ("Here it is.", 110)]
        assert len({request["context_id"] for request in asked}) == 2
        await voice.aclose()


async def test_text_that_comes_when_a_context_may_expire_is_not_sent_into_it() -> None:
    asked: list[str] = []

    async def answer(connection: ServerConnection, request: dict[str, Any]) -> None:
        asked.append(request["context_id"])
        await connection.send(chunk(request["context_id"], bytes(4800)))
        if not request["continue"]:
            # The first context's end comes only now, when text was already on its way.
            for context in asked:
                await connection.send(json.dumps({"type": "done", "context_id": context, "done": True}))

    async with scripted(answer) as base_url:
        voice = voice_at(base_url, context_idle_s=0.05)
        utterance = await voice.speak(1)
        sounds = utterance.sounds()
        utterance.say("One moment. ")
        first = [await anext(sounds)]
        await asyncio.sleep(0.1)
        utterance.say("Here it is.", last=True)
        assert audio_ms(first + [sound async for sound in sounds]) == 200
        assert len(set(asked)) == 2
        await voice.aclose()


async def test_audio_in_odd_pieces_stays_whole_samples() -> None:
    async def answer(connection: ServerConnection, request: dict[str, Any]) -> None:
        context = request["context_id"]
        for part in (b"\1\0\2", b"\0", b"", b"\3\0"):
            await connection.send(chunk(context, part))
        await connection.send(json.dumps({"type": "done", "context_id": context, "done": True}))

    async with scripted(answer) as base_url:
        voice = voice_at(base_url)
        utterance = await voice.speak(1)
        utterance.say("Odd.", last=True)
        pieces = [sound.pcm for sound in await listen(utterance) if isinstance(sound, SpeechAudio)]
        assert all(len(pcm) % 2 == 0 for pcm in pieces)
        assert b"".join(pieces) == b"\1\0\2\0\3\0"
        await voice.aclose()


async def test_each_request_names_voice_model_and_format() -> None:
    asked: list[dict[str, Any]] = []

    async def answer(connection: ServerConnection, request: dict[str, Any]) -> None:
        asked.append(request)
        if not request["continue"]:
            done = {"type": "done", "context_id": request["context_id"], "done": True}
            await connection.send(json.dumps(done))

    async with scripted(answer) as base_url:
        voice = voice_at(base_url)
        utterance = await voice.speak(1, voice="voice-2", language="de-DE")
        utterance.say("Guten")
        utterance.say("Tag.")
        utterance.say("", last=True)
        assert await listen(utterance) == []
        await voice.aclose()
    assert [request["transcript"] for request in asked] == ["Guten ", "Tag. ", ""]
    assert [request["continue"] for request in asked] == [True, True, False]
    for request in asked:
        assert request["voice"] == {"mode": "id", "id": "voice-2"}
        assert request["language"] == "de"
        assert request["max_buffer_delay_ms"] == 0
        assert request["add_timestamps"] is True
        assert request["output_format"] == {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 24000}


async def test_an_error_that_names_no_context_ends_all_on_its_socket() -> None:
    async def answer(connection: ServerConnection, request: dict[str, Any]) -> None:
        if request["transcript"].startswith("Second"):
            error = {"type": "error", "status_code": 429, "title": "Too many", "message": "Slow down"}
            await connection.send(json.dumps(error))

    async with scripted(answer) as base_url:
        voice = voice_at(base_url, pool=replace(POOL, max_open=1))
        first, second = await voice.speak(1), await voice.speak(2)
        first.say("First.", last=True)
        second.say("Second.", last=True)
        for utterance in (first, second):
            with pytest.raises(ProviderError, match="Too many: Slow down") as told:
                await listen(utterance)
            assert told.value.retryable
        await voice.aclose()
