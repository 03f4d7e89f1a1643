"""How long a deployment's providers take: real requests, with its keys, by the worker's own code.

The voice speaks a question; the recogniser hears it at the pace of speech; the model answers it over and over, hedged
as in a call; the voice speaks the first pieces of the answers. Nothing of what is said is kept.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import TypeVar

from repartee.agent.agent import Agent
from repartee.app.services import Services
from repartee.app.settings import Settings
from repartee.audio.pcm import bytes_for_ms, silence
from repartee.audio.speech_end import leading_silence_ms, speech_end_ms
from repartee.errors import ConfigurationError, ProviderError
from repartee.latency.prediction import StageTimes
from repartee.providers.interfaces import HEARING_HZ, SPEECH_HZ, ReplyRequest, TextDelta
from repartee.session.cascade_resources import CascadeResources
from repartee.turn.chunking import ChunkPolicy
from repartee.turn.events import EagerEndOfTurn, EndOfTurn, SpeechAudio, TurnResumed
from repartee.turn.pacing import PacedChunker

QUESTION = "What are your opening hours?"
FRAME_MS = 20
AT_ONCE = 4
"""Requests of one kind that are under way at the same time, as in a region with some calls."""


@dataclass(frozen=True, slots=True)
class Placing:
    """How many requests of each kind, and how many of them at the same time."""

    requests: int
    at_once: int = AT_ONCE


LONGEST_S = 20.0
"""What takes longer is lost."""

TAIL_S = 8.0
"""So much silence follows the question at most: a recogniser that has found no end by then finds none."""

T = TypeVar("T")


async def stage_times(settings: Settings, agent: Agent, placing: Placing) -> StageTimes:
    """Place so many requests of each kind. Raises ProviderError, PoolTimeout or ConfigurationError."""
    small = settings.model_copy(update={"warm_calls": placing.at_once, "record_phrases": False})
    services = Services(small, agent)
    if services.resources is None:
        await services.aclose()
        raise ConfigurationError(
            "The agent speaks by itself: --latency measures recogniser, model and voice."
        )
    try:
        await services.start()
        return await _measured(services.resources, agent, placing)
    finally:
        await services.aclose()


async def _measured(resources: CascadeResources, agent: Agent, placing: Placing) -> StageTimes:
    question = await _spoken(resources, agent, QUESTION)
    await _answer(
        resources, agent
    )  # the first request of all is no call's: it may load what is not loaded yet
    ends = await _each(placing, lambda: _ends(resources, agent, question))
    answers = await _each(placing, lambda: _answer(resources, agent))
    pieces = iter([piece for _, _, piece in answers])
    sounds = await _each(placing, lambda: _sound(resources, agent, next(pieces)))
    return StageTimes(ends, [token for token, _, _ in answers], [piece for _, piece, _ in answers], sounds)


async def _each(placing: Placing, measure: Callable[[], Awaitable[T]]) -> list[T]:
    """So many measurements, some at once."""
    gate = asyncio.Semaphore(placing.at_once)

    async def one() -> T:
        async with gate, asyncio.timeout(LONGEST_S):
            return await measure()

    return await asyncio.gather(*(one() for _ in range(placing.requests)))


async def _spoken(resources: CascadeResources, agent: Agent, text: str) -> bytes:
    """A text in the deployment's own voice: PCM16, 24 kHz."""
    utterance = await resources.tts.speak(0, voice=agent.voice, language=agent.language)
    try:
        utterance.say(text, last=True)
        async with asyncio.timeout(LONGEST_S), aclosing(utterance.sounds()) as sounds:
            return b"".join([sound.pcm async for sound in sounds if isinstance(sound, SpeechAudio)])
    finally:
        await utterance.cancel()


async def _ends(resources: CascadeResources, agent: Agent, question: bytes) -> tuple[float, float]:
    """The eager end and the end of a turn, ms after its last sample of speech. Raises ProviderError."""
    end_ms = speech_end_ms(question + silence(500, HEARING_HZ), HEARING_HZ)
    if end_ms is None:
        raise _nothing("tts", "The voice spoke a question without a sound.")
    transcriber = await resources.stt.listen(language=agent.language, keyterms=tuple(agent.keyterms))
    spoken: asyncio.Future[float] = asyncio.get_running_loop().create_future()
    speaking = asyncio.create_task(_speak(transcriber.feed, question, end_ms, spoken))
    try:
        eager_at: float | None = None
        async with aclosing(transcriber.events()) as events:
            async for event in events:
                now = time.perf_counter()
                if isinstance(event, EagerEndOfTurn):
                    eager_at = now
                elif isinstance(event, TurnResumed):
                    eager_at = None
                elif isinstance(event, EndOfTurn) and spoken.done():
                    ended_at = spoken.result()
                    eager_ms = ((eager_at or now) - ended_at) * 1000
                    return max(0.0, eager_ms), (now - ended_at) * 1000
    finally:
        speaking.cancel()
        await transcriber.aclose()
    raise _nothing("stt", "The recogniser found no end of a turn.")


async def _speak(
    feed: Callable[[bytes], None], pcm: bytes, end_ms: float, spoken: asyncio.Future[float]
) -> None:
    """Say it at the pace of speech: a frame goes out when its last sample is spoken. ``spoken`` takes the moment of
    the last one of the speech."""
    size = bytes_for_ms(FRAME_MS, HEARING_HZ)
    pcm += silence(TAIL_S * 1000, HEARING_HZ)
    began = time.perf_counter()
    for number in range(len(pcm) // size):
        due = began + number * FRAME_MS / 1000
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        feed(pcm[number * size : (number + 1) * size])
        if not spoken.done() and (number + 1) * FRAME_MS >= end_ms:
            spoken.set_result(time.perf_counter() - ((number + 1) * FRAME_MS - end_ms) / 1000)


async def _answer(resources: CascadeResources, agent: Agent) -> tuple[float, float, str]:
    """The first token and the first piece that can be spoken, ms after the request; and the piece."""
    system = str(agent.instructions or "")
    request = ReplyRequest(
        messages=({"role": "system", "content": system}, {"role": "user", "content": QUESTION})
    )
    chunker = PacedChunker(resources.policy.chunks if resources.policy else ChunkPolicy())
    began = time.perf_counter()
    first_ms: float | None = None
    async with aclosing(resources.llm.reply(request)) as parts:
        async for part in parts:
            now = time.perf_counter()
            took_ms = (now - began) * 1000
            if not isinstance(part, TextDelta) or not part.text:
                continue
            first_ms = took_ms if first_ms is None else first_ms
            due = chunker.due
            if due is not None and due <= now and (cut := chunker.hurry(due)):
                return first_ms, (due - began) * 1000, cut[0]
            if pieces := chunker.feed(part.text, now):
                return first_ms, took_ms, pieces[0]
    if first_ms is None:
        raise _nothing("llm", "The model answered nothing.")
    return first_ms, (time.perf_counter() - began) * 1000, chunker.finish()


async def _sound(resources: CascadeResources, agent: Agent, piece: str) -> float:
    """The first audible sample of a piece, ms after it was said."""
    utterance = await resources.tts.speak(0, voice=agent.voice, language=agent.language)
    silent_ms = 0.0
    try:
        began = time.perf_counter()
        utterance.say(piece)
        async with aclosing(utterance.sounds()) as sounds:
            async for sound in sounds:
                if not isinstance(sound, SpeechAudio):
                    continue
                lead_ms = leading_silence_ms(sound.pcm, SPEECH_HZ)
                if lead_ms < len(sound.pcm) / 2 * 1000 / SPEECH_HZ:
                    return (time.perf_counter() - began) * 1000 + silent_ms + lead_ms
                silent_ms += lead_ms
    finally:
        await utterance.cancel()
    raise _nothing("tts", "The voice sent no sound.")


def _nothing(stage: str, told: str) -> ProviderError:
    return ProviderError(told, provider=stage, stage=stage, retryable=True)
