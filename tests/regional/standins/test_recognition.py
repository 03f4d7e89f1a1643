"""Real ears and a real voice: how well the one understands the other, and a spoken turn through the SDK."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from deepgram import AsyncDeepgramClient
from pocketsphinx import get_model_path
from tests.promptness import DEADLINE_S, measured

from repartee.standins.domain import SUGGESTED_QUESTIONS, sentences
from repartee.standins.server import Running, StandInSettings, serve
from repartee.standins.sphinx_worker import NOISE_RMS, START_CMN, build_models, make_decoder
from repartee.standins.synthesiser import AGENT_VOICE, CALLER_VOICE, synthesise

RATE_HZ = 16_000
FLUX = {
    "model": "flux-general-en",
    "encoding": "linear16",
    "sample_rate": RATE_HZ,
    "eager_eot_threshold": 0.5,
}


@pytest.fixture
async def hearing() -> AsyncIterator[Running]:
    async with serve(StandInSettings(profile="budget")) as server:
        yield server


def errors(said: Sequence[str], heard: Sequence[str]) -> int:
    """Words to insert, delete or change."""
    row = list(range(len(heard) + 1))
    for i, word in enumerate(said, 1):
        last, row[0] = row[0], i
        for j, other in enumerate(heard, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (word != other))
    return row[-1]


def test_every_word_of_the_domain_has_a_pronunciation() -> None:
    with Path(get_model_path("en-us/cmudict-en-us.dict")).open(encoding="utf-8") as entries:
        known = {entry.split(" ", 1)[0] for entry in entries}
    assert {word for sentence in sentences() for word in sentence.split()} - known == set()


@pytest.mark.parametrize("voice", [CALLER_VOICE, AGENT_VOICE])
def test_at_most_one_word_in_twenty_is_misheard(tmp_path: Path, voice: str) -> None:
    decoder = make_decoder(*build_models(tmp_path))
    decoder.set_cmn(START_CMN)
    noise = np.random.default_rng(1)
    chosen = random.Random(5).sample(sorted(set(sentences())), 50)
    wrong = total = 0
    for sentence in chosen:
        speech = np.frombuffer(synthesise(sentence + ".", voice=voice, rate_hz=RATE_HZ).pcm, "<i2")
        speech = speech[: int(np.flatnonzero(np.abs(speech) > 100)[-1])]
        samples = np.concatenate([np.zeros(RATE_HZ // 5), speech, np.zeros(RATE_HZ * 8 // 100)])
        samples = np.clip(samples + noise.normal(0, NOISE_RMS, len(samples)), -32768, 32767)
        audio = samples.astype("<i2").tobytes()
        decoder.start_utt()
        for at in range(0, len(audio), 1280):
            decoder.process_raw(audio[at : at + 1280], False, False)
        heard = decoder.hyp().hypstr.split() if decoder.hyp() else []
        decoder.end_utt()
        wrong += errors(sentence.split(), heard)
        total += len(sentence.split())
    assert wrong / total <= 0.05


async def test_spoken_questions_are_understood_and_end_on_time(
    hearing: Running, deepgram: Callable[..., AsyncDeepgramClient]
) -> None:
    """Audio in real time; an end of turn is on time if it is told at the frame after its silence."""
    loop = asyncio.get_running_loop()
    said: list[str] = []
    late_ms: list[float] = []
    machine = measured()
    async with deepgram(hearing).listen.v2.connect(**FLUX) as socket:
        assert (await socket.recv()).type == "Connected"
        for question in SUGGESTED_QUESTIONS[:3]:
            pcm = synthesise(question, voice=CALLER_VOICE, rate_hz=RATE_HZ).pcm
            last = int(np.flatnonzero(np.abs(np.frombuffer(pcm, "<i2")) > 300)[-1])
            audio = bytes(640 * 10) + pcm + bytes(640 * 30)
            spoken = loop.create_task(play(socket, audio))
            started = loop.time()
            while (event := await asyncio.wait_for(socket.recv(), DEADLINE_S)).event != "EndOfTurn":
                if event.event == "EagerEndOfTurn":
                    eager = event.transcript
            late_ms.append((loop.time() - started) * 1000 - 200 - last / 16 - 250)
            assert event.transcript == eager
            said.append(event.transcript)
            await spoken
    asked = [question.strip("?.") for question in SUGGESTED_QUESTIONS[:3]]
    wrong = sum(
        errors(a.lower().split(), s.strip("?.").lower().split()) for a, s in zip(asked, said, strict=True)
    )
    assert wrong <= 1, said
    assert min(late_ms) > -40
    machine.promise(max(late_ms) < 400, f"the ends of turns were told {late_ms} ms late")


async def play(socket: object, audio: bytes) -> None:
    """Send audio in frames of 20 ms, in real time."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    for number, at in enumerate(range(0, len(audio), 640)):
        await asyncio.sleep(max(0.0, start + number * 0.02 - loop.time()))
        await socket.send_media(audio[at : at + 640])  # type: ignore[attr-defined]


def test_a_voice_is_audible_at_once_and_times_its_words() -> None:
    spoken = synthesise("We open at eight thirty.", voice=AGENT_VOICE)
    samples = np.abs(np.frombuffer(spoken.pcm, "<i2"))
    assert samples[:48].max() >= 90
    assert [word for word, _, _ in spoken.words] == ["We", "open", "at", "eight", "thirty"]
    starts = [start for _, start, _ in spoken.words]
    assert starts == sorted(starts)
    assert spoken.words[-1][2] == pytest.approx(spoken.duration_ms, abs=1)
    assert synthesise("…").pcm == b"" or synthesise("…").duration_ms < 3000
    assert synthesise("hello", voice="no-such-voice").pcm


@pytest.mark.parametrize("endpointing", [10, 25])
async def test_nova_keeps_the_words_with_the_endpointing_that_others_ask_for(
    hearing: Running, deepgram: Callable[..., AsyncDeepgramClient], endpointing: int
) -> None:
    """In real time, with real ears: 10 to 25 ms are the defaults of Deepgram, Pipecat and LiveKit."""
    settings = {"model": "nova-3", "encoding": "linear16", "sample_rate": RATE_HZ, "interim_results": "true"}
    pcm = (
        bytes(RATE_HZ) + synthesise("What are your opening hours?", rate_hz=RATE_HZ).pcm + bytes(3 * RATE_HZ)
    )
    loop = asyncio.get_running_loop()
    async with deepgram(hearing).listen.v1.connect(
        **settings, endpointing=endpointing, utterance_end_ms=1000
    ) as socket:

        async def speak() -> None:
            began = loop.time()
            for number, at in enumerate(range(0, len(pcm), 640)):
                await asyncio.sleep(max(0.0, began + number * 0.02 - loop.time()))
                await socket.send_media(pcm[at : at + 640])

        speaking = asyncio.create_task(speak())
        finals: list[str] = []
        async with asyncio.timeout(DEADLINE_S):
            async for message in socket:
                if message.type == "UtteranceEnd":
                    break
                if message.type == "Results" and message.is_final:
                    finals.append(message.channel.alternatives[0].transcript)
        await speaking
    assert " ".join(filter(None, finals)) == "what are your opening hours"
