"""An STT, LLM or TTS that an agent brings along, in the same form as the worker's vendors.

Turns what an author's code raises into a ProviderError, which a call takes like any vendor's. There are no pools:
it looks after its own connections.
"""

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing
from typing import Any, Protocol, TypeVar

from repartee.errors import ConfigurationError, PoolTimeout, ProviderError
from repartee.pool.figures import PoolFigures
from repartee.providers.interfaces import (
    LLM,
    STT,
    TTS,
    Hearing,
    ReplyPart,
    ReplyRequest,
    Transcriber,
    Utterance,
)
from repartee.providers.pooled import Use
from repartee.turn.events import SpeechAudio, SpeechWords

log = logging.getLogger(__name__)

_Part = TypeVar("_Part")


class BroughtAlong(Protocol):
    """The part of an agent that brings providers of its own: what makes each, once a worker."""

    stt: Callable[[], STT] | None
    llm: Callable[[], LLM] | None
    tts: Callable[[], TTS] | None


class Own:
    """What a worker does with any provider. ``made`` is the author's object, ``stage`` says what it is."""

    warm = True
    usable = True

    def __init__(self, stage: str, made: Any) -> None:
        self._stage = stage
        self._made = made
        self.name = type(made).__name__

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.name}>"

    def pools(self) -> tuple[PoolFigures, ...]:
        """None that the worker knows of."""
        return ()

    def expect(self, calls: int) -> None:
        """So many calls are in progress."""

    def use(self, uses: Iterable[Use]) -> None:
        """The deployment's agents use these."""

    async def start(self) -> None:
        """Its factory has started it."""

    async def probe(self) -> None:
        """A request costs its author something: none is made."""

    async def aclose(self) -> None:
        """Close it, if it can be closed. Raises nothing."""
        close: Callable[[], Awaitable[None]] | None = getattr(self._made, "aclose", None)
        if close is None:
            return
        try:
            await close()
        except Exception:
            log.exception(
                "the agent's own %s, %s, could not be closed; leaving it as it is", self._stage, self.name
            )

    def failure(self, error: Exception) -> ProviderError | PoolTimeout:
        """An author's exception as the call takes it."""
        if isinstance(error, ProviderError | PoolTimeout):
            return error
        log.warning(
            "the agent's own %s, %s, has failed; doing what is done when a provider fails",
            self._stage,
            self.name,
            exc_info=error,
        )
        told = f"The agent's own {self._stage} failed: {type(error).__name__}."
        return ProviderError(told, provider=self.name, stage=self._stage, retryable=False)

    async def stream(self, parts: AsyncGenerator[_Part, None]) -> AsyncGenerator[_Part, None]:
        """The parts as they come. Raises ProviderError."""
        try:
            async with aclosing(parts):
                async for part in parts:
                    yield part
        except Exception as error:
            raise self.failure(error) from error


class OwnSTT(Own):
    """Implements :class:`~repartee.providers.interfaces.STT`."""

    async def listen(self, *, language: str = "en", keyterms: Sequence[str] = ()) -> Transcriber:
        """Raises ProviderError."""
        try:
            transcriber: Transcriber = await self._made.listen(language=language, keyterms=keyterms)
        except Exception as error:
            raise self.failure(error) from error
        return _OwnTranscriber(self, transcriber)


class _OwnTranscriber:
    def __init__(self, own: Own, transcriber: Transcriber) -> None:
        self._own = own
        self._transcriber = transcriber
        self.feed = transcriber.feed
        self.finish_turn = transcriber.finish_turn
        self.aclose = transcriber.aclose

    @property
    def has_room(self) -> bool:
        return self._transcriber.has_room

    @property
    def owing_since(self) -> float | None:
        return self._transcriber.owing_since

    def events(self) -> AsyncGenerator[Hearing, None]:
        return self._own.stream(self._transcriber.events())


class OwnLLM(Own):
    """Implements :class:`~repartee.providers.interfaces.LLM`."""

    def reply(self, request: ReplyRequest) -> AsyncGenerator[ReplyPart, None]:
        """Raises ProviderError."""
        return self.stream(self._made.reply(request))


class OwnTTS(Own):
    """Implements :class:`~repartee.providers.interfaces.TTS`."""

    async def speak(self, reply_id: int, *, voice: str | None = None, language: str = "en") -> Utterance:
        """Raises ProviderError."""
        try:
            utterance: Utterance = await self._made.speak(reply_id, voice=voice, language=language)
        except Exception as error:
            raise self.failure(error) from error
        return _OwnUtterance(self, utterance)


class _OwnUtterance:
    def __init__(self, own: Own, utterance: Utterance) -> None:
        self._own = own
        self._utterance = utterance
        self.say = utterance.say
        self.cancel = utterance.cancel

    def sounds(self) -> AsyncGenerator[SpeechAudio | SpeechWords, None]:
        return self._own.stream(self._utterance.sounds())


def own_stt(agent: BroughtAlong) -> OwnSTT | None:
    """The agent's own STT, made now; None if it brings none. Raises ConfigurationError."""
    return OwnSTT("stt", _make("stt", agent.stt, "listen")) if agent.stt else None


def own_llm(agent: BroughtAlong) -> OwnLLM | None:
    """The agent's own LLM, likewise."""
    return OwnLLM("llm", _make("llm", agent.llm, "reply")) if agent.llm else None


def own_tts(agent: BroughtAlong) -> OwnTTS | None:
    """The agent's own TTS, likewise."""
    return OwnTTS("tts", _make("tts", agent.tts, "speak")) if agent.tts else None


def own_stages(agent: BroughtAlong) -> frozenset[str]:
    """For what the agent brings a provider of its own, so that the deployment needs none."""
    return frozenset(stage for stage in ("stt", "llm", "tts") if getattr(agent, stage))


def _make(stage: str, factory: Callable[[], object], method: str) -> object:
    try:
        made = factory()
    except Exception as error:
        raise ConfigurationError(
            f"Agent({stage}=…) could not be made: {type(error).__name__}: {error}"
        ) from error
    if not callable(getattr(made, method, None)):
        raise ConfigurationError(
            f"Agent({stage}=…) makes something that has no {method} (a {type(made).__name__}): see "
            f"`from repartee import {stage.upper()}`."
        )
    return made
