"""Everybody that a call has to do with, on virtual time: a caller, providers and tools whose delays come from a seed.

A delay is drawn from what it is for (the turn's words, how often it was asked for), never from the order in which
things happen: a change of the pipeline moves its own milliseconds and no others.
"""

import asyncio
import hashlib
import math
import random
import re
from collections import Counter
from collections.abc import AsyncGenerator, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from repartee.agent.agent import Agent
from repartee.agent.context import CallContext, ToolCall
from repartee.errors import ClientProtocolError, ProviderError
from repartee.providers.interfaces import (
    SPEECH_HZ,
    CalledTool,
    Finished,
    Hearing,
    ReplyPart,
    ReplyRequest,
    TextDelta,
)
from repartee.transport.interfaces import AudioFormats, CallEnd, CallSide
from repartee.turn.commands import Command
from repartee.turn.events import EagerEndOfTurn, EndOfTurn, PartialTranscript, SpeechAudio, StartOfTurn
from repartee.wire.session_settings import SessionSettings

MIX = {"plain": 0.68, "tool": 0.15, "hit": 0.13, "apology": 0.04}
"""What turns are asked for."""

WORDS = {
    "plain": "tell me about number {}",
    "tool": "please look up number {}",
    "hit": "what is the status of number {}",
    "apology": "nobody can answer number {}",
}
NUMBER = re.compile(r"\d+")
ANSWER = "Of course, it is all as you wanted it."
TOKEN_S = 1 / 60
SPEECH_MS_PER_CHAR = 60.0


class Draws:
    """Delays by their purpose, in seconds."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._asked: Counter[str] = Counter()

    def chance(self, purpose: str) -> float:
        """From 0 to 1, the same each time it is asked for again in the same place."""
        self._asked[purpose] += 1
        name = f"{self._seed}:{purpose}:{self._asked[purpose]}".encode()
        return int.from_bytes(hashlib.blake2b(name, digest_size=6).digest()) / 2**48

    def delay_s(self, purpose: str, median_s: float, sigma: float = 0.3) -> float:
        """Lognormal, as providers' are."""
        chance = min(max(self.chance(purpose), 1e-6), 1 - 1e-6)
        normal = math.sqrt(2) * _inverse_erf(2 * chance - 1)
        return median_s * math.exp(sigma * normal)


def _inverse_erf(x: float) -> float:
    """Winitzki's approximation: good to 0.2 %, and the same everywhere."""
    log = math.log(1 - x * x)
    half = 2 / (math.pi * 0.147) + log / 2
    return math.copysign(math.sqrt(math.sqrt(half * half - log / 0.147) - half), x)


@dataclass(frozen=True, slots=True)
class SeededQuestion:
    """One turn to come."""

    kind: str
    words: str


def questions_of(seed: int, call: int, turns: int) -> list[SeededQuestion]:
    """What a caller asks."""
    chances = random.Random(f"{seed}:{call}")
    kinds = chances.choices(list(MIX), list(MIX.values()), k=turns)
    return [SeededQuestion(kind, WORDS[kind].format(call * 1000 + n)) for n, kind in enumerate(kinds)]


class SeededSTT:
    """Implements STT: one transcriber, which the caller has say what was heard."""

    has_room = True
    owing_since: float | None = None

    def __init__(self) -> None:
        self._events: asyncio.Queue[Hearing | None] = asyncio.Queue()

    async def listen(self, *, language: str = "en", keyterms: Sequence[str] = ()) -> "SeededSTT":
        return self

    def feed(self, pcm: bytes) -> None: ...

    def finish_turn(self) -> None: ...

    def hears(self, event: Hearing) -> None:
        """The recogniser says this now."""
        self._events.put_nowait(event)

    async def events(self) -> AsyncGenerator[Hearing, None]:
        while (event := await self._events.get()) is not None:
            yield event

    async def aclose(self) -> None:
        self._events.put_nowait(None)


class SeededModel:
    """Implements LLM: calls the tool that the words ask for, answers with what it gave, fails where it is to."""

    def __init__(self, draws: Draws) -> None:
        self._draws = draws

    async def reply(self, request: ReplyRequest) -> AsyncGenerator[ReplyPart, None]:
        words = next(str(one["content"]) for one in reversed(request.messages) if one["role"] == "user")
        last = request.messages[-1]["role"]
        await asyncio.sleep(self._draws.delay_s(f"llm {last} {words}", 0.14))
        if words.startswith("nobody"):
            raise ProviderError("The model failed.", provider="seeded", stage="llm", retryable=False)
        tool = {"please": "look_up", "what": "status"}.get(words.split()[0])
        if tool and last != "tool":
            number = NUMBER.search(words)
            yield CalledTool(f"call {words}", tool, f'{{"number": {number[0] if number else 0}}}')
            yield Finished("tool_calls")
            return
        for word in ANSWER.split():
            yield TextDelta(f"{word} ")
            await asyncio.sleep(TOKEN_S)
        yield Finished("stop")


class SeededTTS:
    """Implements TTS."""

    def __init__(self, draws: Draws) -> None:
        self._draws = draws

    async def speak(
        self, reply_id: int, *, voice: str | None = None, language: str = "en"
    ) -> "SeededUtterance":
        return SeededUtterance(reply_id, self._draws)


class SeededUtterance:
    """Implements Utterance."""

    def __init__(self, reply_id: int, draws: Draws) -> None:
        self._reply_id, self._draws = reply_id, draws
        self._text: asyncio.Queue[str | None] = asyncio.Queue()

    def say(self, text: str, *, last: bool = False) -> None:
        self._text.put_nowait(text)
        if last:
            self._text.put_nowait(None)

    async def sounds(self) -> AsyncGenerator[SpeechAudio, None]:
        begun = False
        while (text := await self._text.get()) is not None:
            if not begun:
                begun = True
                await asyncio.sleep(self._draws.delay_s(f"tts {self._reply_id}", 0.1))
            if text:
                samples = round(len(text) * SPEECH_MS_PER_CHAR * SPEECH_HZ / 1000)
                yield SpeechAudio(self._reply_id, b"\x00\x20" * samples)

    async def cancel(self) -> None: ...


class SilentLine:
    """Implements Transport: nobody listens; how long things take to be heard is reckoned by the core."""

    reports_played = False
    formats: AudioFormats | None = None

    def __init__(self) -> None:
        self._gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._call: CallSide | None = None

    def lines(self, call: CallSide) -> Sequence[Coroutine[Any, Any, None]]:
        self._call = call
        return []

    async def receive(self) -> None:
        await self._gone
        if self._call:
            self._call.client_gone()

    def hang_up(self) -> None:
        """The caller has asked all."""
        if not self._gone.done():
            self._gone.set_result(None)

    def opened(self, settings: SessionSettings) -> None: ...

    def configured(self, settings: SessionSettings) -> None: ...

    def tell(self, command: Command, audio_ms: int) -> None: ...

    def key_received(self, digit: str, at_s: int) -> None: ...

    def play(self, reply_id: int, audio: bytes) -> None: ...

    def clear(self, reply_id: int) -> None: ...

    def refuse(self, error: ClientProtocolError) -> None: ...

    def report_failure(self, message: str, code: str) -> None: ...

    def stop_receiving(self) -> None: ...

    async def flush(self) -> None: ...

    async def close(self, end: CallEnd) -> None: ...


def seeded_agent(draws: Draws) -> Agent:
    """Its tools take what the seed says; what callers want to know the status of is looked up as they speak."""
    agent = Agent(
        "Answer.",
        predictions={
            "status of number": lambda ctx, words: (
                ToolCall("status", {"number": int(found[0])}) if (found := NUMBER.search(words)) else None
            )
        },
        learn=False,
    )

    @agent.tool(read_only=True)
    async def status(ctx: CallContext, number: int) -> str:
        """The status of a number."""
        await asyncio.sleep(draws.delay_s(f"status {number}", 0.12))
        return "well"

    @agent.tool(filler="One moment.")
    async def look_up(ctx: CallContext, number: int) -> str:
        """Look a number up."""
        await asyncio.sleep(draws.delay_s(f"look up {number}", 1.0, 0.2))
        return "well"

    return agent


async def ask(question: SeededQuestion, stt: SeededSTT, draws: Draws) -> None:
    """Say it; returns when recognition has heard its end."""
    loop, words = asyncio.get_running_loop(), question.words
    stt.hears(StartOfTurn())
    await asyncio.sleep(0.4)
    stt.hears(PartialTranscript(words))
    await asyncio.sleep(0.4)
    ended_at = loop.time()
    eager_s = draws.delay_s(f"eager {words}", 0.15, 0.2)
    end_s = eager_s + draws.delay_s(f"end {words}", 0.2, 0.4)
    if draws.chance(f"has eager {words}") < 0.8:
        await asyncio.sleep(eager_s)
        stt.hears(EagerEndOfTurn(words, ended_at))
        await asyncio.sleep(end_s - eager_s)
    else:
        await asyncio.sleep(end_s)
    stt.hears(EndOfTurn(words, ended_at))
