"""Recognition outlives what callers send and what happens to its process: a caller's words come all the same."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import numpy as np
import pytest
from deepgram import AsyncDeepgramClient
from tests.promptness import DEADLINE_S

from repartee.standins.detector import SpeechDetector
from repartee.standins.recogniser import Word, text_of
from repartee.standins.server import Running, StandInSettings, serve
from repartee.standins.sphinx import SphinxPool, SphinxRecogniser
from repartee.standins.synthesiser import CALLER_VOICE, synthesise

RATE_HZ = 16_000
MESSAGE_BYTES = RATE_HZ * 2 * 60 // 1000
FLUX = {"model": "flux-general-en", "encoding": "linear16", "sample_rate": RATE_HZ}
QUESTION = "What are your opening hours?"


@pytest.fixture
async def pool() -> AsyncIterator[SphinxPool]:
    async with SphinxPool.started(1) as started:
        yield started


@pytest.fixture
async def hearing() -> AsyncIterator[Running]:
    async with serve(StandInSettings(profile="budget")) as server:
        yield server


def spoken(text: str) -> bytes:
    """Speech with a little silence before it and much after."""
    return (
        bytes(RATE_HZ * 2 // 5) + synthesise(text, voice=CALLER_VOICE, rate_hz=RATE_HZ).pcm + bytes(RATE_HZ)
    )


async def words_of(recogniser: SphinxRecogniser) -> str:
    """All words of the utterance under way."""
    heard: asyncio.Future[list[Word]] = asyncio.get_running_loop().create_future()
    recogniser.finish(SpeechDetector(), heard.set_result)
    return text_of(await asyncio.wait_for(heard, DEADLINE_S))


async def until(reached: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not reached():  # noqa: ASYNC110 (a process tells by its pipe)
            await asyncio.sleep(0.02)


async def test_a_turn_may_end_and_the_next_begin_within_one_message(pool: SphinxPool) -> None:
    recogniser = pool.recogniser()
    recogniser.hear(bytes(6400))
    recogniser.begin(100)
    recogniser.hear(spoken(QUESTION)[: RATE_HZ * 2])
    recogniser.reset()
    recogniser.hear(second := spoken(QUESTION))
    recogniser.reset()
    onset_ms = (6400 + RATE_HZ * 2 + len(second)) / 32 - 400
    recogniser.begin(onset_ms)  # in the last message, of which nothing is to come any more
    recogniser.reset()
    onset_ms += 400
    for at in range(0, len(second), MESSAGE_BYTES):
        recogniser.hear(second[at : at + MESSAGE_BYTES])
        if at == 0:
            recogniser.begin(onset_ms)
    assert await words_of(recogniser) == QUESTION
    assert pool.health()["restarts"] == 0


async def test_nothing_empty_and_nothing_odd_stops_the_process(pool: SphinxPool) -> None:
    """Straight at the process, past the recogniser's own care."""
    bad, good = pool.recogniser(), pool.recogniser()
    worker = bad._worker
    worker.send("begin", bad._id, 0.0, b"")
    worker.send("hear", bad._id, b"")
    worker.send("hear", bad._id, b"odd")
    worker.send("no such thing", bad._id)
    assert await words_of(bad) == ""
    for recogniser in (good, bad):
        recogniser.hear(spoken(QUESTION))
        recogniser.begin(0)
        assert await words_of(recogniser) == QUESTION
    assert pool.health()["restarts"] == 0


async def test_a_dead_worker_is_started_again_and_the_utterance_under_way_is_whole(
    pool: SphinxPool, caplog: pytest.LogCaptureFixture
) -> None:
    speaking, silent = pool.recogniser(), pool.recogniser()
    audio = spoken(QUESTION)
    half = len(audio) // 4 * 2
    speaking.hear(audio[:3200])
    speaking.begin(0)
    speaking.hear(audio[3200:half])
    [pid] = pool.health()["pids"]
    os.kill(pid, signal.SIGKILL)
    await until(lambda: pool.health()["restarts"] == 1)
    assert pool.health()["up"] == 0
    speaking.hear(audio[half:])
    assert await words_of(speaking) == QUESTION
    assert "Speech recognition stopped" in caplog.text
    silent.hear(audio)
    silent.begin(0)
    assert await words_of(silent) == QUESTION


async def test_words_owed_when_the_worker_died_come_from_its_successor(pool: SphinxPool) -> None:
    recogniser = pool.recogniser()
    [pid] = pool.health()["pids"]
    os.kill(pid, signal.SIGSTOP)
    recogniser.hear(spoken(QUESTION))
    recogniser.begin(0)
    owed = asyncio.ensure_future(words_of(recogniser))
    await asyncio.sleep(0)
    recogniser.reset()
    os.kill(pid, signal.SIGKILL)
    assert await owed == QUESTION


async def test_an_utterance_that_kills_is_told_to_one_successor_only(pool: SphinxPool) -> None:
    recogniser = pool.recogniser()
    recogniser.hear(spoken(QUESTION))
    recogniser.begin(0)
    [pid] = pool.health()["pids"]
    os.kill(pid, signal.SIGSTOP)
    owed = asyncio.ensure_future(words_of(recogniser))
    await asyncio.sleep(0)
    os.kill(pid, signal.SIGKILL)
    await until(lambda: pool.health()["pids"] not in ([pid], [None]))
    os.kill(pool.health()["pids"][0], signal.SIGSTOP)
    pid = pool.health()["pids"][0]
    os.kill(pid, signal.SIGKILL)
    await asyncio.wait_for(owed, DEADLINE_S)


async def test_a_process_that_does_not_read_holds_nobody_up(pool: SphinxPool) -> None:
    recogniser = pool.recogniser()
    [pid] = pool.health()["pids"]
    os.kill(pid, signal.SIGSTOP)
    try:
        recogniser.begin(0)
        for _ in range(200):  # twenty times what a pipe holds
            recogniser.hear(bytes(MESSAGE_BYTES * 10))
    finally:
        os.kill(pid, signal.SIGCONT)
    assert isinstance(await words_of(recogniser), str)


async def test_healthz_says_when_recognition_is_down(hearing: Running) -> None:
    health: Any = hearing.state.engines.hearing_health
    async with httpx.AsyncClient(base_url=hearing.base_url, trust_env=False) as client:
        answer = await client.get("/healthz")
        assert (answer.status_code, answer.json()["status"]) == (200, "ok")
        os.kill(health()["pids"][0], signal.SIGKILL)
        await until(lambda: health()["up"] == 0)
        answer = await client.get("/healthz")
        assert answer.status_code == 503
        assert answer.json()["recognition"]["up"] == 0
        assert "recognition" in answer.json()["status"]
        await until(lambda: health()["up"] == 1)
        assert (await client.get("/healthz")).status_code == 200


async def test_a_noisy_caller_costs_nobody_else_a_word(
    hearing: Running, deepgram: Callable[..., AsyncDeepgramClient]
) -> None:
    """Babble in messages of 60 ms, as fast as it is taken: its turns end and begin within messages."""
    rng = np.random.default_rng(3)
    voices = [np.frombuffer(spoken(QUESTION) * 6, "<i2").astype(float) for _ in range(3)]
    length = min(len(voice) for voice in voices)
    babble = sum(np.roll(voice[:length], int(rng.integers(length))) for voice in voices) / 3
    gusts = np.repeat(rng.uniform(0, 1, length // 1600 + 1) ** 4, 1600)[:length]
    samples = babble * 0.3 + rng.normal(0, 2500, length) * gusts
    noise = np.clip(samples, -32768, 32767).astype("<i2").tobytes()
    clients = deepgram(hearing)
    async with (
        clients.listen.v2.connect(**FLUX) as noisy,
        clients.listen.v2.connect(**FLUX) as quiet,
    ):
        for at in range(0, len(noise), MESSAGE_BYTES):
            await noisy.send_media(noise[at : at + MESSAGE_BYTES])
        audio = spoken(QUESTION)
        for at in range(0, len(audio), MESSAGE_BYTES):
            await quiet.send_media(audio[at : at + MESSAGE_BYTES])
        async with asyncio.timeout(DEADLINE_S):
            while (event := await quiet.recv()).type != "TurnInfo" or event.event != "EndOfTurn":
                pass
    assert event.transcript == QUESTION
    health: Any = hearing.state.engines.hearing_health
    assert health()["restarts"] == 0
