"""The providers of one worker: built from its settings, warmed at its start, shared by its calls."""

import asyncio
import math
from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Protocol

from pydantic import SecretStr

from repartee.agent.agent import Agent, worker_side
from repartee.agent.experience import Experience
from repartee.app.keeping import Lessons
from repartee.app.readiness import Readiness
from repartee.app.settings import Settings
from repartee.errors import ConfigurationError
from repartee.latency.hedging import HedgePolicy, HedgeSettings
from repartee.pool.faults import PoolFault
from repartee.pool.policy import PoolSettings
from repartee.pool.pool import PoolFigures
from repartee.providers.cartesia import CartesiaConfig, CartesiaVoice
from repartee.providers.deepgram import FluxConfig, FluxEars, NovaConfig, NovaEars
from repartee.providers.elevenlabs import ElevenLabsConfig, ElevenLabsVoice
from repartee.providers.hedged_brain import HedgedBrain
from repartee.providers.openai_chat import ChatBrain, ChatConfig
from repartee.providers.openai_realtime import OpenAIRealtime, RealtimeConfig, RealtimeVoice
from repartee.providers.own import own_llm, own_stages, own_stt, own_tts
from repartee.relay.settings import is_speech_to_speech
from repartee.session.cascade import CascadeResources
from repartee.session.hearing import HearingPolicy
from repartee.session.phrases import Phrases
from repartee.session.provider_line import LinePolicy
from repartee.session.relay import RelayResources
from repartee.turn.chunking import ChunkPolicy
from repartee.turn.item_list import HistoryLimits
from repartee.turn.policy import TurnPolicy
from repartee.turn.session_watch import WatchPolicy


class _Provider(Protocol):
    """What all providers have in common."""

    @property
    def warm(self) -> bool: ...

    async def start(self) -> None: ...

    def pools(self) -> tuple[PoolFigures, ...]: ...

    async def aclose(self) -> None: ...


class _Shared(Protocol):
    """A provider whose connections serve one call after another."""

    def expect(self, calls: int) -> None: ...


class _OneEach(Protocol):
    """A provider of which each call has one connection."""

    def in_calls(self, calls: int) -> None: ...


class Services:
    """The ears, the brain and the voice that all calls share."""

    def __init__(self, settings: Settings, agent: Agent, lessons: Lessons | None = None) -> None:
        relayed = is_speech_to_speech(agent.model)
        check_keys(settings, relayed=relayed, own=own_stages(agent))
        if relayed and worker_side(agent).reply_function:
            raise ConfigurationError(
                f"{agent!r}: {agent.model} makes its own replies, so @agent.reply would never be called. Use one of "
                "the two."
            )
        own = (own_stt(agent), own_llm(agent), own_tts(agent))
        ears = own[0] or _ears(settings)
        chat = ChatConfig(
            settings.openai_base_url,
            settings.openai_api_key.get_secret_value(),
            (None if relayed else agent.model) or settings.llm_model,
        )
        brain = own[1] or ChatBrain(replace(chat, pool=_sized(chat.pool, settings)))
        self._brain = None if relayed else brain
        voice = own[2] or _voice(settings, agent)
        lessons = lessons or Lessons(Experience())
        realtime = _realtime(settings, agent)
        self._many_calls: tuple[_Shared, ...] = () if relayed else (brain, voice)
        self._one_each: tuple[_OneEach, ...] = () if relayed else (ears,)
        self._one_each += (realtime,) if realtime else ()
        self._kinds: dict[str, tuple[_Provider, ...]] = (
            {} if relayed else {"stt": (ears,), "llm": (brain,), "tts": (voice,)}
        )
        self._kinds |= {"model": (realtime,)} if realtime else {}
        self._all = tuple(provider for vendors in self._kinds.values() for provider in vendors)
        self._readiness = Readiness(self._kinds)
        self.hedging = HedgePolicy(HedgeSettings(enabled=settings.hedge))
        names = {"stt": f"deepgram/{settings.stt}", "llm": "openai", "tts": settings.tts}
        names |= {stage: one.name for stage, one in zip(names, own, strict=True) if one}
        if relayed:
            names = {"model": f"openai/{agent.model}"}
        self._agent = agent
        self._phrases = Phrases(RealtimeVoice(realtime) if realtime and relayed else voice)
        self._was_warm = False
        self._recording: asyncio.Task[None] | None = None
        self.resources = CascadeResources(
            ears,
            HedgedBrain(brain, policy=self.hedging),
            voice,
            names,
            self._phrases,
            lessons.experience,
            lessons.keep,
            _turn_policy(settings),
            HearingPolicy(watch=_watch_policy(settings)),
        )
        # Phrases in the cascade's voice would not sound like the model's: it says them itself.
        own_phrases = self._phrases if relayed or realtime is None else Phrases(RealtimeVoice(realtime))
        self.relay = (
            RelayResources(
                realtime,
                own_phrases,
                lessons.experience,
                lessons.keep,
                settings.realtime_transcriber,
                line=LinePolicy(watch=_watch_policy(settings)),
                history=_history_limits(settings),
            )
            if realtime
            else None
        )
        self._relays_all = relayed
        self._relays_on_request = settings.speech_to_speech == "on"
        self._records = settings.record_phrases

    @property
    def warm(self) -> bool:
        """All pools have had what a call needs, and what is said word for word is recorded.

        Once true it stays so: a provider that is down later is no reason to have the worker, and the calls on it,
        replaced.
        """
        if not self._was_warm:
            recorded = self._recording is not None and self._recording.done()
            self._was_warm = recorded and self._readiness.warm
        return self._was_warm

    @property
    def admitting(self) -> bool:
        """A new call of the usual kind has a usable vendor of each kind that it needs."""
        return not self._readiness.unusable(self._needed(""))

    def faults(self) -> tuple[PoolFault, ...]:
        """Which pools fail now, why, and what to do."""
        return self._readiness.faults()

    def check(self, model: str) -> None:
        """Raises AdmissionRefused if nothing could serve a call for which the client asks for this model."""
        self._readiness.check(self._needed(model))

    def _needed(self, model: str) -> tuple[str, ...]:
        return ("model",) if self.relay_for(model) else ("stt", "llm", "tts")

    def expect(self, calls: int) -> None:
        """So many calls are in progress: what they share has a connection ready for each."""
        for provider in self._many_calls:
            provider.expect(calls)
        for one_each in self._one_each:
            one_each.in_calls(calls)

    async def probe(self) -> None:
        """Ask the language model for a few tokens, as a call would. Raises ProviderError. Nothing to ask: nothing is
        done, as with a speech-to-speech model, whose sessions are tried by being opened."""
        if self._brain is not None:
            await self._brain.probe()

    def relay_for(self, model: str) -> RelayResources | None:
        """What a call is relayed with, if it is one with a speech-to-speech model. ``model`` is what the client asks
        for; which it gets is the deployment's choice."""
        wanted = self._relays_all or (self._relays_on_request and is_speech_to_speech(model))
        return self.relay if wanted else None

    def pools(self) -> Iterable[PoolFigures]:
        """Each pool's figures at this moment."""
        for provider in self._all:
            yield from provider.pools()

    async def start(self) -> None:
        """Begin warming; returns at once."""
        for provider in self._all:
            await provider.start()
        self.record(self._agent)

    def record(self, agent: Agent) -> None:
        """Have what this agent says word for word recorded, in the background."""
        if self._recording:
            self._recording.cancel()
        self._recording = asyncio.create_task(self._record(agent))

    async def aclose(self) -> None:
        """Close all connections; returns when none is left."""
        if self._recording:
            self._recording.cancel()
            await asyncio.wait([self._recording])
        await asyncio.gather(*(provider.aclose() for provider in self._all))

    async def _record(self, agent: Agent) -> None:
        phrases = (
            (*worker_side(agent).phrases, *agent.notices.phrases(agent.language)) if self._records else ()
        )
        await self._phrases.record(phrases, name=agent.voice, language=agent.language)
        if self.relay and self.relay.phrases is not self._phrases:
            await self.relay.phrases.record(phrases, name=None, language=agent.language)


def check_keys(settings: Settings, *, relayed: bool = False, own: Collection[str] = ()) -> None:
    """Raises ConfigurationError that names every provider's key that is needed and missing. ``relayed``: all calls
    are with a speech-to-speech model; ``own``: the stages for which the agent brings a provider of its own."""
    voice = "CARTESIA_API_KEY" if settings.tts == "cartesia" else "ELEVENLABS_API_KEY"
    by_stage = {"stt": "DEEPGRAM_API_KEY", "llm": "OPENAI_API_KEY", "tts": voice}
    names = ["OPENAI_API_KEY"] if relayed else [name for stage, name in by_stage.items() if stage not in own]
    if settings.speech_to_speech == "on" and "OPENAI_API_KEY" not in names:
        names.append("OPENAI_API_KEY")
    needed: dict[str, SecretStr] = {name: getattr(settings, name.lower()) for name in names}
    missing = [name for name, key in needed.items() if not key.get_secret_value()]
    if missing:
        raise ConfigurationError(
            f"Not set: {', '.join(missing)}. Export the keys, or run the whole system with the providers' stand-ins: "
            "repartee up."
        )


def _turn_policy(settings: Settings) -> TurnPolicy:
    chunks = ChunkPolicy(first_clause_chars=settings.first_clause_chars)
    return TurnPolicy(speculate=settings.speculate, chunks=chunks, history=_history_limits(settings))


def _history_limits(settings: Settings) -> HistoryLimits:
    return HistoryLimits(settings.history_items, settings.history_bytes)


def _watch_policy(settings: Settings) -> WatchPolicy:
    return WatchPolicy(
        silent_s=settings.silent_s,
        exchange_every_s=settings.exchange_every_s,
        exchanges=settings.exchanges,
        away_s=settings.away_s,
        tell_after_s=0.65 * settings.away_s,
    )


def _realtime(settings: Settings, agent: Agent) -> OpenAIRealtime | None:
    """The speech-to-speech model, if any call may be with one."""
    relayed = is_speech_to_speech(agent.model)
    if not relayed and settings.speech_to_speech == "off":
        return None
    model = str(agent.model) if relayed else settings.realtime_model
    config = RealtimeConfig(settings.openai_base_url, settings.openai_api_key.get_secret_value(), model)
    return OpenAIRealtime(replace(config, pool=_sized(config.pool, settings)))


def _ears(settings: Settings) -> FluxEars | NovaEars:
    url, key = settings.deepgram_base_url, settings.deepgram_api_key.get_secret_value()
    if settings.stt == "flux":
        flux = FluxConfig(url, key)
        return FluxEars(replace(flux, pool=_sized(flux.pool, settings)))
    nova = NovaConfig(url, key)
    return NovaEars(replace(nova, pool=_sized(nova.pool, settings)))


def _voice(settings: Settings, agent: Agent) -> CartesiaVoice | ElevenLabsVoice:
    name = agent.voice or settings.voice
    if settings.tts == "cartesia":
        key = settings.cartesia_api_key.get_secret_value()
        cartesia = CartesiaConfig(settings.cartesia_base_url, key, name)
        return CartesiaVoice(replace(cartesia, pool=_sized(cartesia.pool, settings)))
    key = settings.elevenlabs_api_key.get_secret_value()
    elevenlabs = ElevenLabsConfig(settings.elevenlabs_base_url, key, name)
    return ElevenLabsVoice(replace(elevenlabs, pool=_sized(elevenlabs.pool, settings)))


def _sized(pool: PoolSettings, settings: Settings) -> PoolSettings:
    """A pool with room for all the worker's calls, kept warm for a few more than there are."""
    calls, warm = settings.max_calls, settings.warm_calls
    room = max(pool.max_open, math.ceil((calls + warm) / pool.slots))
    return replace(
        pool,
        spare=warm if pool.slots == 1 else max(pool.spare, warm),
        max_open=room,
        dials_per_s=settings.dials_per_s,
        call_dials_per_s=settings.call_dials_per_s,
    )
