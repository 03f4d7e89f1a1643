"""What `doctor --latency` foretells against what calls take, on virtual time and with delays that a seed gives.

The doctor's own requests and whole calls through the worker's pipeline meet the same providers, whose delays are
drawn from the stand-ins' profiles: how far apart the two are is the same on any machine.
"""

import asyncio
import itertools
import math
import time
from collections.abc import AsyncGenerator, Sequence
from random import Random
from typing import Any

import pytest

from repartee.agent.agent import Agent
from repartee.agent.experience import Experience
from repartee.audio.pcm import level
from repartee.bench.seeded_world import SeededSTT, SilentLine
from repartee.bench.virtual_time import VirtualLoop, clocks_of
from repartee.doctor.stage_times import QUESTION, Placing, measured
from repartee.latency.prediction import OWN_MS, percentiles_of, voice_to_voice
from repartee.providers.hedged_llm import HedgedLLM
from repartee.providers.interfaces import SPEECH_HZ, Finished, Hearing, ReplyPart, ReplyRequest, TextDelta
from repartee.session.call import Call, CallParts, CallSettings
from repartee.session.cascade import Cascade
from repartee.session.cascade_resources import CascadeResources
from repartee.session.phrases import Phrases
from repartee.standins.profiles import Profile, load_profile
from repartee.telemetry import events as t
from repartee.turn.events import EagerEndOfTurn, EndOfTurn, PartialTranscript, SpeechAudio, StartOfTurn

CLOSE_MS = 20.0
FRAME_MS = 20.0
ANSWER = ("I", " can", " do", " it", " now", ".")
CALLS, TURNS = 40, 20
REQUESTS = 200


class ProfiledLLM:
    """Implements LLM."""

    def __init__(self, profile: Profile, dice: Random) -> None:
        self._times, self._dice = profile.llm, dice

    async def reply(self, request: ReplyRequest) -> AsyncGenerator[ReplyPart, None]:
        await asyncio.sleep(self._times.ttft_ms.draw(self._dice) / 1000)
        rate = self._times.tokens_per_s.draw(self._dice) if self._times.tokens_per_s else math.inf
        for number, token in enumerate(ANSWER):
            await asyncio.sleep(1 / rate if number else 0)
            yield TextDelta(token)
        yield Finished("stop")


class ProfiledTTS:
    """Implements TTS; each of its utterances is audible at once."""

    def __init__(self, profile: Profile, dice: Random) -> None:
        self._times, self._dice = profile.tts, dice

    async def speak(
        self, reply_id: int, *, voice: str | None = None, language: str = "en"
    ) -> "ProfiledUtterance":
        return ProfiledUtterance(reply_id, self._times.ttfb_ms.draw(self._dice) / 1000)


class ProfiledUtterance:
    """Implements Utterance."""

    def __init__(self, reply_id: int, first_s: float) -> None:
        self._reply_id, self._first_s = reply_id, first_s
        self._text: asyncio.Queue[str | None] = asyncio.Queue()

    def say(self, text: str, *, last: bool = False) -> None:
        self._text.put_nowait(text)
        if last:
            self._text.put_nowait(None)

    async def sounds(self) -> AsyncGenerator[SpeechAudio, None]:
        while (text := await self._text.get()) is not None:
            await asyncio.sleep(self._first_s)
            self._first_s = 0.0
            if text:
                yield SpeechAudio(self._reply_id, b"\x00\x20" * (len(text) * SPEECH_HZ // 50))

    async def cancel(self) -> None: ...


def ends_ms(profile: Profile, dice: Random) -> tuple[float, float]:
    """When an eager end and an end are told, ms after the last sound: whole frames, and what is extra."""
    times = profile.stt
    eager_ms, end_ms = times.eager_end_of_turn_ms.draw(dice), times.end_of_turn_ms.draw(dice)
    whole = [math.ceil(ms / FRAME_MS) * FRAME_MS for ms in (eager_ms, max(eager_ms, end_ms))]
    eager_at = whole[0] + times.extra_ms.draw(dice)
    return eager_at, max(eager_at, whole[1] + times.extra_ms.draw(dice))


class ListeningSTT:
    """Implements STT for the doctor: tells of ends by the audio that it is fed."""

    def __init__(self, profile: Profile, dice: Random) -> None:
        self._profile, self._dice = profile, dice

    async def listen(self, *, language: str = "en", keyterms: Sequence[str] = ()) -> "ListeningEar":
        return ListeningEar(ends_ms(self._profile, self._dice))


class ListeningEar(SeededSTT):
    """Implements Transcriber."""

    def __init__(self, ends: tuple[float, float]) -> None:
        super().__init__()
        self._ends, self._began = ends, False
        self._loop, self._timers = asyncio.get_running_loop(), list[asyncio.TimerHandle]()

    def feed(self, pcm: bytes) -> None:
        if level(pcm) < 0.01:
            return
        if not self._began:
            self._began = True
            self.hears(StartOfTurn("What"))
        for timer in self._timers:
            timer.cancel()
        said: list[Hearing] = [EagerEndOfTurn(QUESTION), EndOfTurn(QUESTION)]
        self._timers = [
            self._loop.call_later(ms / 1000, self.hears, event)
            for ms, event in zip(self._ends, said, strict=True)
        ]


def resources_of(profile: Profile, dice: Random, stt: Any, llm: HedgedLLM) -> CascadeResources:
    voice = ProfiledTTS(profile, dice)
    return CascadeResources(stt, llm, voice, names={}, phrases=Phrases(voice), experience=Experience())


async def foretold(profile: Profile) -> dict[str, float]:
    dice = Random(1)
    llm = HedgedLLM(ProfiledLLM(profile, dice))
    resources = resources_of(profile, dice, ListeningSTT(profile, dice), llm)
    times = await measured(resources, Agent("Answer."), Placing(REQUESTS, 10))
    # On virtual time the worker itself takes none.
    return {name: ms - OWN_MS for name, ms in voice_to_voice(times).items()}


async def taken(profile: Profile) -> dict[str, float]:
    """By calls one after another, with one hedging policy as in a worker."""
    dice, latencies = Random(2), list[float]()
    llm = HedgedLLM(ProfiledLLM(profile, dice))
    for number in range(CALLS):
        stt, line, over = SeededSTT(), SilentLine(), asyncio.Event()

        def emit(event: t.CallEvent, over: asyncio.Event = over) -> None:
            if isinstance(event, t.TurnOver):
                assert event.trace is not None
                latencies.append(event.trace.voice_to_voice_ms)
                over.set()

        resources = resources_of(profile, dice, stt, llm)
        parts = CallParts(CallSettings(f"call{number}", "here"), Agent("Answer."), resources, emit, line)
        running = asyncio.create_task(
            Call(parts, lambda made, using=resources: Cascade(made, using)).run()  # type: ignore[misc]
        )
        for _ in range(TURNS):
            over.clear()
            await ask(profile, dice, stt)
            async with asyncio.timeout(30):
                await over.wait()
            await asyncio.sleep(0.5)
        line.hang_up()
        await running
    return percentiles_of(latencies)


numbers = itertools.count()


async def ask(profile: Profile, dice: Random, stt: SeededSTT) -> None:
    words = f"question {next(numbers)}"
    stt.hears(StartOfTurn())
    await asyncio.sleep(0.4)
    stt.hears(PartialTranscript(words))
    await asyncio.sleep(0.4)
    ended_at = time.monotonic()
    eager_ms, end_ms = ends_ms(profile, dice)
    await asyncio.sleep(eager_ms / 1000)
    stt.hears(EagerEndOfTurn(words, ended_at))
    await asyncio.sleep((end_ms - eager_ms) / 1000)
    stt.hears(EndOfTurn(words, ended_at))


@pytest.mark.parametrize("name", ["budget", "typical", "heavy-tail"])
def test_the_doctor_foretells_what_calls_take(name: str) -> None:
    profile = load_profile(name)
    with asyncio.Runner(loop_factory=VirtualLoop) as runner, clocks_of(runner.get_loop()):
        told, took = runner.run(foretold(profile)), runner.run(taken(profile))
    assert abs(told["p50"] - took["p50"]) <= CLOSE_MS, (told, took)
    assert abs(told["p90"] - took["p90"]) <= CLOSE_MS, (told, took)
