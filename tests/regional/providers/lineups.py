"""Scripted vendors for lineups, and notes of who served."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import TypeVar

from repartee.errors import PoolTimeout, ProviderError
from repartee.providers.interfaces import Finished, ReplyPart, ReplyRequest, TextDelta
from repartee.providers.lineup import Lineup, Standing, VendorFault
from repartee.turn.events import SpeechAudio, SpeechWords, SpokenWord

ServiceT = TypeVar("ServiceT")


def fault(
    stage: str = "llm",
    *,
    status: int | None = None,
    retryable: bool = True,
    retry_after_s: float | None = None,
) -> ProviderError:
    return ProviderError(
        "gone",
        provider="scripted",
        stage=stage,
        retryable=retryable,
        status=status,
        retry_after_s=retry_after_s,
    )


class Noted:
    """Implements ServiceNotes."""

    def __init__(self) -> None:
        self.who: list[str] = []
        self.whom: list[str] = []

    def served(self, stage: str, vendor: str) -> None:
        self.who.append(vendor)

    def left(self, stage: str, vendor: str, error: VendorFault) -> None:
        self.whom.append(vendor)


class FallbackBrain:
    """Says its pieces, each after so many seconds, or fails; counts what became of its requests."""

    def __init__(self, *script: str | ReplyPart | VendorFault | float) -> None:
        self.script = script
        self.asked: list[ReplyRequest] = []
        self.closed = 0

    async def reply(self, request: ReplyRequest) -> AsyncGenerator[ReplyPart, None]:
        self.asked.append(request)
        try:
            for step in self.script:
                if isinstance(step, float):
                    await asyncio.sleep(step)
                elif isinstance(step, ProviderError | PoolTimeout):
                    raise step
                else:
                    yield TextDelta(step) if isinstance(step, str) else step
            yield Finished("stop")
        finally:
            self.closed += 1


class FallbackVoice:
    """Speaks 100 ms a word, ``words`` of them at most, and then fails with ``failure`` (if any)."""

    def __init__(self, words: int = 1_000, failure: VendorFault | None = None) -> None:
        self.words = words
        self.failure = failure
        self.spoke: list[str] = []
        self.voices: list[str | None] = []
        self.cancelled = 0

    async def speak(
        self, reply_id: int, *, voice: str | None = None, language: str = "en"
    ) -> "FallbackVoiceUtterance":
        if self.failure and not self.words:
            raise self.failure
        self.voices.append(voice)
        return FallbackVoiceUtterance(self, reply_id)


class FallbackVoiceUtterance:
    def __init__(self, voice: FallbackVoice, reply_id: int) -> None:
        self._voice = voice
        self._reply_id = reply_id
        self._queue: asyncio.Queue[str | None] = asyncio.Queue()

    def say(self, text: str, *, last: bool = False) -> None:
        for word in text.split():
            self._queue.put_nowait(word)
        if last:
            self._queue.put_nowait(None)

    async def sounds(self) -> AsyncGenerator[SpeechAudio | SpeechWords, None]:
        spoken = 0
        while (word := await self._queue.get()) is not None:
            if spoken == self._voice.words:
                if self._voice.failure:
                    raise self._voice.failure
                return
            start_ms = spoken * 100.0
            yield SpeechAudio(self._reply_id, bytes(4_800))
            yield SpeechWords(self._reply_id, (SpokenWord(word, start_ms, start_ms + 100.0),))
            self._voice.spoke.append(word)
            spoken += 1

    async def cancel(self) -> None:
        self._voice.cancelled += 1


def lineup_of(stage: str, services: Sequence[ServiceT]) -> Lineup[ServiceT]:
    """Vendors named a, b, c …"""
    return Lineup(stage, [Standing(chr(97 + place), one) for place, one in enumerate(services)])
