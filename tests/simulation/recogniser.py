"""Speech recognition that is lost, deaf, late, or hears ends that are none."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

from tests.simulation.dice import Dice

from repartee.errors import ProviderError
from repartee.providers.interfaces import Hearing
from repartee.turn.events import EagerEndOfTurn, EndOfTurn, PartialTranscript, StartOfTurn, TurnResumed

WAYS = {
    "lost in mid-turn": 2.0,
    "lost after the turn": 1.0,
    "deaf in mid-turn": 1.0,
    "two ends": 2.0,
    "an end late": 1.0,
    "an eager end of other words": 1.0,
    "an eager end, and they go on": 3.0,
    "no partial transcripts": 1.0,
    "a start without words": 1.0,
}
OPENING = {"refuses twice": 2.0, "opens late": 2.0, "away for long": 0.5}

REPLAY_S = 0.3
"""Another connection has heard the open turn again after so long."""


@dataclass(frozen=True, slots=True)
class Sound:
    """What the caller utters; ``words`` may be none. Times are the loop's."""

    words: str
    began: float
    ended: float


class SimulatedTranscriber:
    """Implements Transcriber."""

    has_room = True

    def __init__(self) -> None:
        self._events: asyncio.Queue[Hearing | ProviderError | None] = asyncio.Queue()
        self.owing_since: float | None = None
        self.begun = False
        self.closed = False
        self.gone = asyncio.Event()

    def feed(self, pcm: bytes) -> None:
        pass

    def finish_turn(self) -> None:
        pass

    def hears(self, event: Hearing) -> None:
        over = isinstance(event, EndOfTurn)
        self.owing_since = None if over else asyncio.get_running_loop().time()
        self._events.put_nowait(event)

    def is_lost(self) -> None:
        self.closed = True
        self.gone.set()
        self._events.put_nowait(failed())

    async def events(self) -> AsyncGenerator[Hearing, None]:
        while (event := await self._events.get()) is not None:
            if isinstance(event, ProviderError):
                raise event
            yield event

    async def aclose(self) -> None:
        self.closed = True
        self.gone.set()
        self._events.put_nowait(None)


def failed() -> ProviderError:
    return ProviderError("Speech recognition failed.", provider="ears", stage="stt", retryable=True)


class SimulatedEars:
    """Implements STT. One utterance after the other is heard, by whichever connection there is."""

    def __init__(self, dice: Dice) -> None:
        self._dice = dice
        self._now = asyncio.get_running_loop().time
        self._newest: SimulatedTranscriber | None = None
        self._opened = asyncio.Event()
        self._refusals = 0
        self._away_until = 0.0

    async def listen(self, *, language: str = "en", keyterms: Sequence[str] = ()) -> SimulatedTranscriber:
        match self._dice.behaviour("recogniser", OPENING, sane="sane") if self._newest else "sane":
            case "refuses twice":
                self._refusals = 2
            case "away for long":
                self._away_until = self._now() + self._dice.seconds(3.0, 15.0)
            case "opens late":
                await asyncio.sleep(self._dice.seconds(0.5, 3.0))
        if self._refusals or self._now() < self._away_until:
            self._refusals = max(self._refusals - 1, 0)
            raise failed()
        self._newest = SimulatedTranscriber()
        self._opened.set()
        return self._newest

    async def hear(self, sound: Sound) -> None:
        """Say what is heard of it, as it is uttered, until its end has been told."""
        way = self._dice.behaviour("recogniser", WAYS, sane="sane") if sound.words else "sane"
        words = sound.words.split()
        await self._until(sound.began + 0.2)
        (await self._there()).hears(self._start(sound, way))
        await self._speak(sound, words, way)
        if way == "lost in mid-turn":
            (await self._there()).is_lost()
        elif way == "deaf in mid-turn":
            await self._fall_deaf(sound)
        await self._until(sound.ended + (self._dice.seconds(1.0, 3.0) if way == "an end late" else 0.25))
        await self._end(sound)
        if way == "two ends":
            (await self._there()).hears(EndOfTurn(sound.words))
        elif way == "lost after the turn":
            (await self._there()).is_lost()

    def _start(self, sound: Sound, way: str) -> StartOfTurn:
        first = "" if way == "a start without words" else sound.words.partition(" ")[0]
        if self._newest:
            self._newest.begun = True
        return StartOfTurn(first)

    async def _speak(self, sound: Sound, words: list[str], way: str) -> None:
        """What is told while they speak."""
        if way == "no partial transcripts":
            return
        step_s = (sound.ended - sound.began) / max(len(words), 1)
        for count in range(1, len(words)):
            await self._until(sound.began + count * step_s)
            await self._tell(PartialTranscript(" ".join(words[:count])), sound)
        if not words:
            return
        if way == "an eager end, and they go on":
            await self._tell(EagerEndOfTurn(" ".join(words[:-1]) or sound.words), sound)
            await asyncio.sleep(0.2)
            await self._tell(TurnResumed(), sound)
        elif way == "an eager end of other words":
            await self._tell(EagerEndOfTurn(sound.words + " then"), sound)
        elif self._dice.chance(0.6):
            await self._until(sound.ended + 0.1)
            await self._tell(EagerEndOfTurn(sound.words), sound)

    async def _tell(self, event: Hearing, sound: Sound) -> None:
        """Only the connection that has heard the turn's start."""
        transcriber = await self._there()
        if transcriber.begun:
            transcriber.hears(event)

    async def _fall_deaf(self, sound: Sound) -> None:
        """Until another connection takes its place, which hears the turn again."""
        deaf = await self._there()
        await deaf.gone.wait()

    async def _end(self, sound: Sound) -> None:
        transcriber = await self._there()
        if not transcriber.begun:
            await asyncio.sleep(REPLAY_S)
            if transcriber is not await self._there():
                return await self._end(sound)
            transcriber.hears(self._start(sound, "sane"))
        transcriber.begun = False
        transcriber.hears(EndOfTurn(sound.words))
        return None

    async def _there(self) -> SimulatedTranscriber:
        while self._newest is None or self._newest.closed:
            self._opened.clear()
            await self._opened.wait()
        return self._newest

    async def _until(self, at: float) -> None:
        await asyncio.sleep(max(at - self._now(), 0.0))
