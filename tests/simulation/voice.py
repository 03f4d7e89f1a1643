"""A voice that fails in every way. Each word that it speaks is marked in the audio, so that whoever hears it can tell
which words reached them."""

import asyncio
import itertools
from collections.abc import AsyncGenerator

import numpy as np
from tests.simulation.dice import Dice

from repartee.errors import PoolTimeout, ProviderError
from repartee.providers.interfaces import SPEECH_HZ
from repartee.turn.events import SpeechAudio, SpeechWords, SpokenWord

WORD_MS = 240
PIECE_MS = 20
LOUDNESS = 8_000
"""A word's samples all have this value and the word's number on top of it."""

WAYS = {
    "late": 3.0,
    "opens late": 1.0,
    "never opens": 0.5,
    "refuses": 1.0,
    "no connection": 0.5,
    "fails in mid-answer": 2.0,
    "done without sound": 1.0,
    "silence": 1.0,
    "stalls": 1.0,
    "never done": 1.0,
    "no word times": 3.0,
}


class Words:
    """All words spoken in a conversation, by their numbers in the audio."""

    def __init__(self) -> None:
        self._words: list[str] = []

    def mark(self, word: str) -> bytes:
        """The word as audio."""
        self._words.append(word)
        samples = np.full(WORD_MS * SPEECH_HZ // 1000, LOUDNESS + len(self._words), dtype="<i2")
        return samples.tobytes()

    def heard_in(self, pcm: bytes) -> list[tuple[int, float]]:
        """Each word's number (0: silence) and for how many ms it sounds, in order."""
        samples = np.frombuffer(pcm, dtype="<i2")[:: SPEECH_HZ // 1000]
        found: list[tuple[int, float]] = []
        for value, group in itertools.groupby(samples.tolist()):
            found.append((max(value - LOUDNESS, 0), float(len(list(group)))))
        return found

    def __getitem__(self, number: int) -> str:
        return self._words[number - 1]


class SimulatedVoice:
    """Implements TTS. ``dead`` from a moment on: nothing can be spoken any more."""

    def __init__(self, dice: Dice, words: Words) -> None:
        self._dice = dice
        self._words = words
        self.sound = True
        """Nothing goes wrong yet: phrases are being recorded."""
        self.timeless: set[int] = set()
        """Replies spoken without the times of their words."""

    async def speak(
        self, reply_id: int, *, voice: str | None = None, language: str = "en"
    ) -> "SimulatedUtterance":
        way = "sane" if self.sound else self._dice.behaviour("voice", WAYS, sane="sane")
        match way:
            case "opens late":
                await asyncio.sleep(self._dice.seconds(0.5, 4.0))
            case "never opens":
                await asyncio.Event().wait()
            case "refuses":
                raise failed(retryable=self._dice.chance(0.5))
            case "no connection":
                await asyncio.sleep(2.0)
                raise PoolTimeout("No connection to the voice was ready within 2 s.")
            case "no word times":
                self.timeless.add(reply_id)
        return SimulatedUtterance(reply_id, way, self._dice, self._words)


def failed(*, retryable: bool) -> ProviderError:
    return ProviderError("The voice failed.", provider="voice", stage="tts", retryable=retryable)


class SimulatedUtterance:
    """Implements Utterance."""

    def __init__(self, reply_id: int, way: str, dice: Dice, words: Words) -> None:
        self._reply_id, self._way, self._dice, self._words = reply_id, way, dice, words
        self._text: asyncio.Queue[str | None] = asyncio.Queue()
        self._length_ms = 0.0

    def say(self, text: str, *, last: bool = False) -> None:
        self._text.put_nowait(text)
        if last:
            self._text.put_nowait(None)

    async def cancel(self) -> None:
        pass

    async def sounds(self) -> AsyncGenerator[SpeechAudio | SpeechWords, None]:
        left = self._dice.number(0, 6)
        await asyncio.sleep(self._dice.seconds(1.0, 9.0) if self._way == "late" else 0.09)
        pending = ""
        while (text := await self._text.get()) is not None:
            *whole, pending = (pending + text).split(" ")
            for word in whole:
                async for sound in self._speak(word, left):
                    yield sound
                left -= bool(word)
        async for sound in self._speak(pending, left):
            yield sound
        if self._way == "never done":
            await asyncio.Event().wait()

    async def _speak(self, word: str, left: int) -> AsyncGenerator[SpeechAudio | SpeechWords, None]:
        """One word; ``left`` is how many more are spoken before what is wrong shows."""
        if not any(character.isalnum() for character in word) or self._way == "done without sound":
            return
        if left <= 0:
            match self._way:
                case "fails in mid-answer":
                    raise failed(retryable=self._dice.chance(0.7))
                case "stalls":
                    await asyncio.Event().wait()
        audio = bytes(WORD_MS * SPEECH_HZ // 500) if self._way == "silence" else self._words.mark(word)
        await asyncio.sleep(0.02)  # a voice speaks much faster than it is played
        piece = PIECE_MS * SPEECH_HZ // 500 * self._dice.number(1, 12)
        for start in range(0, len(audio), piece):
            yield SpeechAudio(self._reply_id, audio[start : start + piece])
        if self._way != "no word times":
            began, self._length_ms = self._length_ms, self._length_ms + WORD_MS
            yield SpeechWords(self._reply_id, (SpokenWord(word, began, began + WORD_MS),))
