"""A reply whose voice is lost in its midst."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Sequence
from typing import Any

import pytest

from repartee.errors import ProviderError
from repartee.providers.interfaces import Finished, ReplyPart, ReplyRequest, TextDelta
from repartee.session.pipeline import ANSWER_S, Pipeline
from repartee.turn.context_window import ContextWindow
from repartee.turn.events import (
    Event,
    ReplyDone,
    ReplyFailed,
    ReplyText,
    ReplyUsed,
    SpeechAudio,
    SpeechDone,
    SpeechWords,
    SpokenWord,
    VoiceUsed,
)
from repartee.turn.usage import TokenUsage

TEXT = "It is ten pounds and five pence."
WORD_MS = 200.0


class LostVoice:
    """Speaks what it is given, word by word, with or without their times, and is lost after so many words."""

    def __init__(
        self,
        losses: Sequence[int | None],
        *,
        times: bool = True,
        retryable: bool = True,
        silently: bool = False,
    ) -> None:
        self.losses = list(losses)
        self.times, self.retryable, self.silently = times, retryable, silently
        self.given: list[str] = []

    async def speak(self, reply_id: int, *, voice: str | None = None, language: str = "en") -> "Words":
        self.given.append("")
        return Words(self, len(self.given) - 1, self.losses.pop(0))


class Words:
    def __init__(self, voice: LostVoice, number: int, loss: int | None) -> None:
        self.voice, self.number, self.loss = voice, number, loss
        self.ended = asyncio.Event()

    def say(self, text: str, *, last: bool = False) -> None:
        self.voice.given[self.number] += text
        if last:
            self.ended.set()

    async def sounds(self) -> AsyncGenerator[SpeechAudio | SpeechWords, None]:
        await self.ended.wait()
        for place, word in enumerate(self.voice.given[self.number].split()):
            if place == self.loss:
                if self.voice.silently:
                    return
                retryable = self.voice.retryable
                raise ProviderError("The voice is gone.", provider="x", stage="tts", retryable=retryable)
            yield SpeechAudio(1, bytes(round(WORD_MS * 48)))
            if self.voice.times:
                yield SpeechWords(1, (SpokenWord(word, place * WORD_MS, (place + 1) * WORD_MS),))

    async def cancel(self) -> None:
        pass


async def spoken(voice: LostVoice) -> list[Event]:
    events: list[Event] = []
    tasks: list[asyncio.Task[None]] = []

    def start(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        tasks.append(asyncio.create_task(work))
        return tasks[-1]

    pipeline = Pipeline(1, start, lambda task: task.cancel(), events.append)
    pipeline.speak(voice, name=None, language="en")
    pipeline.say(TEXT[:9], False)
    pipeline.say(TEXT[9:], True)
    await asyncio.gather(*tasks)
    return events


@pytest.mark.parametrize("after", range(7))
async def test_another_takes_up_the_words_that_were_not_spoken(after: int) -> None:
    voice = LostVoice([after, None])
    events = await spoken(voice)
    words = [word for event in events if isinstance(event, SpeechWords) for word in event.words]
    assert [word.text for word in words] == TEXT.split(), "each once"
    assert [word.start_ms for word in words] == [place * WORD_MS for place in range(7)]
    assert isinstance(events[-1], SpeechDone)


@pytest.mark.parametrize("after", [None, 0, 3])
async def test_what_a_voice_is_given_is_counted_and_again_what_another_takes_up(after: int | None) -> None:
    voice = LostVoice([after, None])
    events = await spoken(voice)
    counted = sum(event.characters for event in events if isinstance(event, VoiceUsed))
    assert counted == sum(map(len, voice.given))
    assert (counted == len(TEXT)) == (after is None)


async def test_without_the_words_times_no_word_is_left_out() -> None:
    voice = LostVoice([3, None], times=False)
    await spoken(voice)
    assert TEXT.endswith(voice.given[1].strip())
    assert len(voice.given[1]) < len(TEXT)
    assert len(TEXT.split()) - len(voice.given[1].split()) <= 3


@pytest.mark.parametrize(("losses", "retryable"), [([2, 0], True), ([2, None], False)])
async def test_if_that_is_lost_too_or_cannot_help_the_reply_has_failed(
    losses: list[int | None], retryable: bool
) -> None:
    events = await spoken(LostVoice(losses, retryable=retryable))
    assert isinstance(events[-1], ReplyFailed)


@pytest.mark.parametrize("times", [True, False])
@pytest.mark.parametrize("after", [1, 2])
async def test_a_voice_that_says_it_is_done_too_early_is_taken_for_lost(after: int, times: bool) -> None:
    voice = LostVoice([after, None], times=times, silently=True)
    events = await spoken(voice)
    assert isinstance(events[-1], SpeechDone)
    assert TEXT.endswith(voice.given[1].strip())
    if times:
        assert voice.given[1].split() == TEXT.split()[after:], "each word once"


async def test_a_voice_that_says_nothing_at_all_is_done() -> None:
    """Whether to ask again is decided elsewhere: nobody has heard anything yet."""
    events = await spoken(LostVoice([0], silently=True))
    assert [type(event) for event in events if not isinstance(event, VoiceUsed)] == [SpeechDone]


class BusyModel:
    """Asks to be left alone for a while, once; then answers."""

    def __init__(self, retry_after_s: float | None) -> None:
        self.retry_after_s = retry_after_s
        self.asked_at: list[float] = []

    async def reply(self, request: ReplyRequest) -> AsyncGenerator[ReplyPart, None]:
        self.asked_at.append(asyncio.get_running_loop().time())
        if len(self.asked_at) == 1:
            raise ProviderError(
                "Too many requests.",
                provider="x",
                stage="llm",
                retryable=True,
                status=429,
                retry_after_s=self.retry_after_s,
            )
        yield TextDelta("Yes.")
        yield Finished("stop")


async def thought(model: BusyModel, patience_s: float) -> list[Event]:
    events: list[Event] = []
    tasks: list[asyncio.Task[None]] = []

    def start(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        tasks.append(asyncio.create_task(work))
        return tasks[-1]

    request = ReplyRequest(messages=({"role": "user", "content": "Well?"},))
    Pipeline(1, start, lambda task: task.cancel(), events.append).think(
        model, request, ContextWindow(1000), patience_s=patience_s
    )
    await asyncio.gather(*tasks)
    return events


@pytest.mark.parametrize("retry_after_s", [0.2, None])
async def test_a_model_that_is_busy_is_asked_again_when_it_wants_to_be(retry_after_s: float | None) -> None:
    model = BusyModel(retry_after_s)
    assert await thought(model, patience_s=7.0) == [ReplyText(1, "Yes."), ReplyDone(1, "stop")]
    first, second = model.asked_at
    assert second - first >= (retry_after_s or 0.0)


async def test_one_that_would_answer_too_late_for_the_caller_is_not_waited_for() -> None:
    model = BusyModel(2.0)
    started = asyncio.get_running_loop().time()
    [failed] = await thought(model, patience_s=2.0 + ANSWER_S / 2)
    assert isinstance(failed, ReplyFailed)
    assert len(model.asked_at) == 1
    assert asyncio.get_running_loop().time() - started < 2.0, "the caller hears so at once"


class Counting:
    """A model that has announced what its answer has used, and then does this."""

    def __init__(self, does: str) -> None:
        self.does = does

    async def reply(self, request: ReplyRequest) -> AsyncGenerator[ReplyPart, None]:
        yield TextDelta("Yes.")
        yield Finished("stop", usage_follows=True)
        if self.does == "hangs":
            await asyncio.Event().wait()
        elif self.does == "fails":
            raise ProviderError("It broke.", provider="x", stage="llm", retryable=True)
        elif self.does == "counts":
            yield TokenUsage(9, 1)


@pytest.mark.parametrize(
    ("does", "tokens"), [("counts", TokenUsage(9, 1)), ("hangs", None), ("fails", None), ("ends", None)]
)
async def test_what_becomes_of_the_count_does_not_touch_the_answer(
    does: str, tokens: TokenUsage | None
) -> None:
    events: list[Event] = []
    tasks: list[asyncio.Task[None]] = []

    def start(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        tasks.append(asyncio.create_task(work))
        return tasks[-1]

    Pipeline(1, start, lambda task: task.cancel(), events.append).think(
        Counting(does), ReplyRequest(messages=[]), ContextWindow(1000)
    )
    await asyncio.gather(*tasks)
    assert events == [ReplyText(1, "Yes."), ReplyDone(1, "stop", usage_follows=True), ReplyUsed(1, tokens)]
