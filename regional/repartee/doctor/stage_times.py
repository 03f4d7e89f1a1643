"""How long a deployment's providers take: real requests, with its keys, by the worker's own code.

The voice speaks a question; the recogniser hears it at the pace of speech; the model answers it over and over, hedged
as in a call; the voice speaks the first pieces of the answers. Answers are read to their ends, as calls read them: a
request that is broken off costs its connection, and the next one would wait for another. Nothing of what is said is
kept.
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


APART_S = 0.05
"""Requests begin so far apart, as callers fall silent: those that begin in one instant wait for each other here."""

LONGEST_S = 20.0
"""What takes longer is lost."""

TAIL_S = 8.0
"""So much silence follows the question at most: a recogniser that has found no end by then finds none."""

T = TypeVar("T")


async def stage_times(settings: Settings, agent: Agent, placing: Placing) -> StageTimes:
    """Place so many requests of each kind. Raises ProviderError, PoolTimeout or ConfigurationError."""
    small = settings.model_copy(
        update={
            "warm_calls": placing.at_once,
            "record_phrases": False,
            "dials_per_s": settings.call_dials_per_s,  # these requests are calls' as far as connections go
        }
    )
    services = Services(small, agent)
    if services.resources is None:
        await services.aclose()
        raise ConfigurationError(
            "The agent speaks by itself: --latency measures recogniser, model and voice."
        )
    try:
        await services.start()
        return await measured(services.resources, agent, placing)
    finally:
        await services.aclose()


async def measured(resources: CascadeResources, agent: Agent, placing: Placing) -> StageTimes:
    """The same of providers that are ready."""
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
    """So many measurements, some at once, in the order in which they began."""
    gate = asyncio.Semaphore(placing.at_once)

    async def one() -> T:
        try:
            async with asyncio.timeout(LONGEST_S):
                return await measure()
        finally:
            gate.release()

    async with asyncio.TaskGroup() as under_way:
        begun = []
        for _ in range(placing.requests):
            await gate.acquire()
            begun.append(under_way.create_task(one()))
            await asyncio.sleep(APART_S)
    return [task.result() for task in begun]


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
                now = time.monotonic()
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
    began = time.monotonic()
    for number in range(len(pcm) // size):
        due = began + number * FRAME_MS / 1000
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        feed(pcm[number * size : (number + 1) * size])
        if not spoken.done() and (number + 1) * FRAME_MS >= end_ms:
            spoken.set_result(time.monotonic() - ((number + 1) * FRAME_MS - end_ms) / 1000)


async def _answer(resources: CascadeResources, agent: Agent) -> tuple[float, float, str]:
    """The first token and the first piece that can be spoken, ms after the request; and the piece."""
    system = str(agent.instructions or "")
    request = ReplyRequest(
        messages=({"role": "system", "content": system}, {"role": "user", "content": QUESTION})
    )
    chunker = PacedChunker(resources.policy.chunks if resources.policy else ChunkPolicy())
    began = time.monotonic()
    first_ms: float | None = None
    piece: tuple[float, str] | None = None
    async with aclosing(resources.llm.reply(request)) as parts:
        async for part in parts:
            now = time.monotonic()
            took_ms = (now - began) * 1000
            if not isinstance(part, TextDelta) or not part.text:
                continue
            first_ms = took_ms if first_ms is None else first_ms
            piece = piece or _first_piece(chunker, part.text, now)
    if first_ms is None:
        raise _nothing("llm", "The model answered nothing.")
    at, text = piece or (time.monotonic(), chunker.finish())
    return first_ms, (at - began) * 1000, text


def _first_piece(chunker: PacedChunker, text: str, now: float) -> tuple[float, str] | None:
    """When the first piece could be spoken, and what it is; None: not with this text either."""
    due = chunker.due
    if due is not None and due <= now and (cut := chunker.hurry(due)):
        return due, cut[0]
    pieces = chunker.feed(text, now)
    return (now, pieces[0]) if pieces else None


async def _sound(resources: CascadeResources, agent: Agent, piece: str) -> float:
    """The first audible sample of a piece, ms after it was said."""
    utterance = await resources.tts.speak(0, voice=agent.voice, language=agent.language)
    silent_ms, took_ms = 0.0, None
    try:
        began = time.monotonic()
        utterance.say(piece)
        async with aclosing(utterance.sounds()) as sounds:
            async for sound in sounds:
                if took_ms is not None or not isinstance(sound, SpeechAudio):
                    continue
                lead_ms = leading_silence_ms(sound.pcm, SPEECH_HZ)
                if lead_ms < len(sound.pcm) / 2 * 1000 / SPEECH_HZ:
                    took_ms = (time.monotonic() - began) * 1000 + silent_ms + lead_ms
                    utterance.say("", last=True)
                silent_ms += lead_ms
    finally:
        await utterance.cancel()
    if took_ms is None:
        raise _nothing("tts", "The voice sent no sound.")
    return took_ms


def _nothing(stage: str, told: str) -> ProviderError:
    return ProviderError(told, provider=stage, stage=stage, retryable=True)
