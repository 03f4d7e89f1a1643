"""One reply being made: the model streams text, the voice streams audio, both at once.

Carries out; decides nothing. What comes back is delivered as events with the reply's id, and the turn core says
what becomes of it.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing, suppress
from dataclasses import replace
from http import HTTPStatus
from typing import Any

from repartee.errors import PoolTimeout, ProviderError
from repartee.providers.interfaces import (
    LLM,
    TTS,
    CalledTool,
    Finished,
    ReplyPart,
    ReplyRequest,
    TextDelta,
    Utterance,
)
from repartee.providers.spoken_so_far import SpokenSoFar
from repartee.session.phrases import Recording
from repartee.turn.context_window import ContextWindow
from repartee.turn.events import (
    Event,
    ReplyDone,
    ReplyFailed,
    ReplyText,
    ReplyToolCall,
    ReplyUsed,
    SpeechAudio,
    SpeechDone,
    SpeechWords,
    VoiceUsed,
)
from repartee.turn.usage import TokenUsage

log = logging.getLogger(__name__)

Start = Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]
Drop = Callable[[asyncio.Task[None]], object]
Deliver = Callable[[Event], None]

LLM_ATTEMPTS = 2
"""How often a model is asked, as long as it has not said a word."""

TTS_ATTEMPTS = 2
"""So many voices, one after the other, may be lost with a reply; each takes up what the one before has not spoken."""

PATIENCE_S = 7.0
"""How long a caller waits for an answer, unless the call's policy says otherwise."""

ANSWER_S = 1.0
"""What a model and a voice need for the first sound, once the model may be asked again."""

USAGE_S = 0.5
"""What a reply has used is waited for so long behind its end."""

MODEL_FIRST_S = 0.005
"""A voice is got ready so long after a model was asked: the request is on its way then, and no word is back yet."""


class Pipeline:
    """The tasks of one reply. ``start`` starts a task that the call owns, ``drop`` ends one."""

    def __init__(self, reply_id: int, start: Start, drop: Drop, deliver: Deliver) -> None:
        self._reply_id = reply_id
        self._start, self._drop = start, drop
        self._deliver = deliver
        self._tasks: list[asyncio.Task[None]] = []
        self._utterance: Utterance | None = None
        self._stopped = False
        self._unsaid: list[tuple[str, bool]] = []
        self._spoken = SpokenSoFar()
        self._voice_asked = False

    def think(
        self, llm: LLM, request: ReplyRequest, window: ContextWindow, *, patience_s: float = PATIENCE_S
    ) -> None:
        """Ask the model; with a mended conversation if its server refuses this one. A model that asks to be left
        alone for a while is asked again after that, if it leaves the caller an answer within ``patience_s``."""
        self._tasks.append(self._start(self._think(llm, request, window, patience_s)))

    def speak(self, tts: TTS, *, name: str | None, language: str) -> None:
        """Get a voice ready; what is said before it is waits for it. A model that has been asked comes first."""
        wait_s = MODEL_FIRST_S if self._tasks else 0.0
        self._tasks.append(self._start(self._speak(tts, name, language, wait_s)))

    def say(self, text: str, last: bool) -> None:
        """Have the voice say this."""
        self._spoken.given(text, last=last)
        if last and not text and not self._voice_asked:
            self._tell(SpeechDone(self._reply_id))  # all of it was heard from memory
            return
        self._voice_asked = True
        if self._utterance:
            self._give(self._utterance, text, last=last)
        else:
            self._unsaid.append((text, last))

    @property
    def has_begun(self) -> bool:
        """Something was to be said."""
        return self._spoken.begun

    def play(self, recording: Recording, text: str, last: bool) -> None:
        """Have this heard from memory; the voice speaks what follows it."""
        self._spoken.given(text, last=last)
        for sound in (
            SpeechWords(self._reply_id, recording.words),
            SpeechAudio(self._reply_id, recording.pcm),
        ):
            self._tell(self._spoken.heard(sound))
        self._spoken.take_up()
        if last:
            self._tell(SpeechDone(self._reply_id))

    def stop(self) -> None:
        """Stop both; nothing is delivered after this."""
        self._stopped = True
        # The reply may be over because of what one of its own tasks has just delivered: that one ends by itself.
        current = asyncio.current_task()
        for task in self._tasks:
            if task is not current:
                self._drop(task)

    def _give(self, utterance: Utterance, text: str, *, last: bool) -> None:
        utterance.say(text, last=last)
        if text:
            self._tell(VoiceUsed(self._reply_id, len(text)))

    def _tell(self, event: Event) -> None:
        if not self._stopped:
            self._deliver(event)

    async def _think(self, llm: LLM, request: ReplyRequest, window: ContextWindow, patience_s: float) -> None:
        now = asyncio.get_running_loop().time
        latest = now() + patience_s - ANSWER_S
        for attempt in range(1, LLM_ATTEMPTS + 1):
            try:
                await self._read(llm, request)
                return
            except ProviderError as error:
                refused = error.status == HTTPStatus.BAD_REQUEST and attempt < LLM_ATTEMPTS
                mended = window.mended(request.messages, str(error)) if refused else None
                extra = request.extra
                if mended is not None and (extra is None or extra.take("mended")):
                    log.info(
                        "the language model refused the conversation: %s; asking with a mended one", error
                    )
                    request = replace(request, messages=mended)
                    continue
                wait_s = error.retry_after_s or 0.0
                again = error.retryable and attempt < LLM_ATTEMPTS and now() + wait_s <= latest
                if again and (extra is None or extra.take("retry")):
                    log.info("the language model failed: %s; asking again in %.1f s", error, wait_s)
                    await asyncio.sleep(wait_s)
                    continue
                self._tell(ReplyFailed(self._reply_id, "llm", str(error)))
                return
            except PoolTimeout as error:
                self._tell(ReplyFailed(self._reply_id, "llm", str(error)))
                return

    async def _read(self, llm: LLM, request: ReplyRequest) -> None:
        begun = False
        try:
            async with aclosing(llm.reply(request)) as parts:
                async for part in parts:
                    begun = True
                    self._tell(self._event(part))
                    if self._stopped:
                        return
                    if isinstance(part, Finished) and part.usage_follows:
                        await self._count(parts)
                        return
        except ProviderError as error:
            # What has been said cannot be asked for again.
            error.retryable = error.retryable and not begun
            raise

    async def _count(self, parts: AsyncGenerator[ReplyPart, None]) -> None:
        """What the reply has used, if that comes soon; whatever happens now, the answer is complete."""
        tokens = None
        with suppress(TimeoutError, ProviderError, PoolTimeout):
            async with asyncio.timeout(USAGE_S):
                async for part in parts:
                    tokens = part if isinstance(part, TokenUsage) else tokens
        self._tell(ReplyUsed(self._reply_id, tokens))

    def _event(self, part: ReplyPart) -> Event:
        match part:
            case TextDelta(text):
                return ReplyText(self._reply_id, text)
            case CalledTool():
                return ReplyToolCall(
                    self._reply_id, part.call_id, part.name, part.arguments, part.extra, part.reasoning
                )
            case Finished(reason, usage_follows):
                return ReplyDone(self._reply_id, reason, usage_follows)
            case TokenUsage():
                return ReplyUsed(self._reply_id, part)

    async def _speak(self, tts: TTS, name: str | None, language: str, wait_s: float) -> None:
        await asyncio.sleep(wait_s)
        for attempt in range(1, TTS_ATTEMPTS + 1):
            try:
                await self._utter(await tts.speak(self._reply_id, voice=name, language=language))
                return
            except (ProviderError, PoolTimeout) as error:
                if not isinstance(error, ProviderError) or not error.retryable or attempt == TTS_ATTEMPTS:
                    self._tell(ReplyFailed(self._reply_id, "tts", str(error)))
                    return
                log.info("speech synthesis was lost: %s; having the rest spoken anew", error)
                self._utterance = None
                self._unsaid = [self._spoken.take_up()]

    async def _utter(self, utterance: Utterance) -> None:
        """Have it speak what there is to say, and what is to come. Raises ProviderError."""
        try:
            for text, last in self._unsaid:
                self._give(utterance, text, last=last)
            self._unsaid.clear()
            self._utterance = utterance
            async with aclosing(utterance.sounds()) as sounds:
                async for sound in sounds:
                    self._tell(self._spoken.heard(sound))
                    if self._stopped:
                        return
            if self._spoken.breaks_off:
                raise ProviderError(
                    "The voice was done before it had spoken everything.",
                    provider="voice",
                    stage="tts",
                    retryable=True,
                )
            self._tell(SpeechDone(self._reply_id))
        finally:
            await utterance.cancel()
