"""The providers of one worker: opened by its settings, warmed at its start, shared by its calls."""

import asyncio
import logging
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

from repartee.agent.agent import Agent, worker_side
from repartee.agent.checks import unused, used_in_part
from repartee.agent.experience import Experience
from repartee.agent.own_reply import PROVIDER as OWN_REPLY
from repartee.app.keeping import Lessons
from repartee.app.readiness import Readiness
from repartee.app.settings import Settings
from repartee.app.vendors_in_use import OpenedVendor, check_keys, lineup, open_vendors
from repartee.latency.hedging import HedgePolicy, HedgeSettings
from repartee.pool.faults import PoolFault
from repartee.pool.figures import PoolFigures
from repartee.providers.fallback_llm import FallbackLLM
from repartee.providers.fallback_stt import FallbackSTT
from repartee.providers.fallback_tts import FallbackTTS
from repartee.providers.hedged_llm import HedgedLLM
from repartee.providers.lineup import FallbackPolicy, Lineup
from repartee.providers.openai_realtime import OpenAIRealtime, RealtimeTTS
from repartee.providers.own import own_llm, own_stages, own_stt, own_tts
from repartee.providers.pooled import Use
from repartee.providers.vendor import Provider
from repartee.relay.settings import is_speech_to_speech
from repartee.session.cascade_resources import CascadeResources
from repartee.session.hearing_policy import HearingPolicy
from repartee.session.phrases import Phrases, as_written
from repartee.session.provider_line import LinePolicy
from repartee.session.relay import RelayResources
from repartee.telemetry.prometheus import BreakerFigures
from repartee.turn.chunking import ChunkPolicy
from repartee.turn.item_list import HistoryLimits
from repartee.turn.languages import language_of
from repartee.turn.policy import TurnPolicy
from repartee.turn.session_watch import WatchPolicy
from repartee.turn.spoken_form import spoken_form
from repartee.turn.spoken_numbers import prepare
from repartee.wire.own_events import VendorLabel

log = logging.getLogger(__name__)


class Services:
    """The STT, the LLM and the TTS, or the speech-to-speech model, that all calls share."""

    def __init__(self, settings: Settings, agent: Agent, lessons: Lessons | None = None) -> None:
        relayed = is_speech_to_speech(agent.model)
        check_keys(settings, language=agent.language, relayed=relayed, own=own_stages(agent))
        agent.check()
        self.vendors = open_vendors(settings, agent, relayed=relayed)
        """What was opened, with its row of the table of vendors: of each kind, the first serves."""

        by_stage = _by_stage(self.vendors)
        self.names = {stage: opened[0].row.traced for stage, opened in by_stage.items()}
        """Who serves each stage unless it fails, as traces and metrics name them."""

        self.labels = _labels(self.vendors, settings.stood_in_for())
        """What people call those vendors, by what their names in traces begin with."""

        providers: dict[str, list[Any]] = {
            stage: [one.provider for one in opened] for stage, opened in by_stage.items()
        }
        if not relayed:
            own = {"stt": own_stt(agent), "llm": own_llm(agent), "tts": own_tts(agent)}
            brought = {stage: one for stage, one in own.items() if one}
            providers |= {stage: [one] for stage, one in brought.items()}
            self.names |= {stage: one.name for stage, one in brought.items()}
            if worker_side(agent).reply_function is not None:
                self.names["llm"] = OWN_REPLY
        self._all: tuple[Provider, ...] = tuple(chain.from_iterable(providers.values()))
        self._readiness = Readiness(providers)
        hedge = HedgeSettings(enabled=settings.hedge)
        self.hedging = tuple(HedgePolicy(hedge) for _ in providers.get("llm", ()))
        self._first = tuple(ordered[0] for ordered in providers.values())
        self._agent = agent
        self._lessons = lessons or Lessons(Experience())
        self.store = self._lessons.store
        """What outlives calls; None: nothing does."""
        self._was_warm = False
        self._recording: asyncio.Task[None] | None = None
        self._recording_openers: asyncio.Task[None] | None = None
        self._lineups: tuple[Lineup[Any], ...] = ()
        self.relay = self._relay_resources(settings, providers["model"][0]) if "model" in providers else None
        if self.relay is not None:
            self.names |= self.relay.names
        self.resources = None if relayed else self._cascade_resources(settings, by_stage, providers)
        self._relays_on_request = settings.speech_to_speech == "on"
        self._records = settings.record_phrases

    def _cascade_resources(
        self,
        settings: Settings,
        opened: Mapping[str, Sequence[OpenedVendor]],
        providers: Mapping[str, Sequence[Any]],
    ) -> CascadeResources:
        models = [
            HedgedLLM(one, policy=each) for one, each in zip(providers["llm"], self.hedging, strict=True)
        ]
        policy = FallbackPolicy(first_token_s=settings.first_token_ms / 1000)
        several = {
            stage: lineup(stage, opened[stage], models if stage == "llm" else providers[stage])
            for stage in ("stt", "llm", "tts")
            if len(providers[stage]) > 1
        }
        self._lineups = tuple(several.values())
        voices = providers["tts"]
        return CascadeResources(
            FallbackSTT(several["stt"], policy) if "stt" in several else providers["stt"][0],
            FallbackLLM(several["llm"], policy) if "llm" in several else models[0],
            FallbackTTS(several["tts"], policy) if "tts" in several else voices[0],
            self.names,
            # What is kept for all calls is in the first vendor's voice.
            Phrases(voices[0], as_written if self._agent.voice_text == "raw" else spoken_form),
            self._lessons.experience,
            self._lessons.keep,
            _turn_policy(settings),
            HearingPolicy(watch=_watch_policy(settings, several="stt" in several)),
            context_tokens=settings.context_tokens,
            speculation_tokens=settings.speculation_tokens,
            narrow_hearing=settings.telephone_narrow_hearing,
        )

    def breakers(self) -> Iterable[BreakerFigures]:
        """Each vendor's breaker at this moment, where a kind has several vendors."""
        now = time.monotonic()
        for several in self._lineups:
            for one in several.standings:
                yield BreakerFigures(several.stage, one.vendor, one.breaker.state(now))

    def _relay_resources(self, settings: Settings, realtime: OpenAIRealtime) -> RelayResources:
        side, model = worker_side(self._agent), realtime.model
        has = {"replies": side.reply_function is not None, "sums_up": side.summary_function is not None}
        if lacks := unused(self._agent, model, **has) | used_in_part(self._agent, model):
            log.warning(
                "speech to speech has no use for some of the agent's settings: %s; leaving them out",
                ", ".join(f"{name}: {why}" for name, why in lacks.items()),
            )
        return RelayResources(
            realtime,
            # Phrases in the cascade's voice would not sound like the model's: it says them itself.
            Phrases(RealtimeTTS(realtime)),
            self._lessons.experience,
            self._lessons.keep,
            settings.realtime_transcriber,
            line=LinePolicy(watch=_watch_policy(settings)),
            policy=_turn_policy(settings),
            vendor=self.names["model"],
        )

    @property
    def warm(self) -> bool:
        """All pools have had what a call needs, and the fixed phrases are recorded.

        Once true it stays true: if a provider is down later, that is no reason to replace the worker and lose its
        calls.
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
        for provider in self._all:
            provider.expect(calls)

    def relay_for(self, model: str) -> RelayResources | None:
        """What relays a call, if it is one with a speech-to-speech model. ``model`` is what the client asks for;
        the deployment chooses which it gets."""
        wanted = self.resources is None or (self._relays_on_request and is_speech_to_speech(model))
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

    def serve(self, agent: Agent) -> None:
        """New calls are this agent's: keep warm what it uses, and record its fixed phrases."""
        for provider in self._all:
            provider.use([Use(agent.language, agent.voice if provider in self._first else None)])
        self.record(agent)

    def record(self, agent: Agent) -> None:
        """Have this agent's fixed phrases recorded, in the background."""
        if self._recording:
            self._recording.cancel()
        if self._recording_openers:
            self._recording_openers.cancel()
        prepare(language_of(agent.language).tag)
        self._recording = asyncio.create_task(self._record(agent))
        self._recording_openers = asyncio.create_task(self._record_openers(agent))

    async def aclose(self) -> None:
        """Close all connections; returns when none is left."""
        if recording := [task for task in (self._recording, self._recording_openers) if task]:
            for task in recording:
                task.cancel()
            await asyncio.wait(recording)
        await asyncio.gather(*(provider.aclose() for provider in self._all))

    async def _record(self, agent: Agent) -> None:
        if not self._records:
            return
        phrases = (*worker_side(agent).phrases, *agent.notices.phrases(agent.language))
        if self.resources:
            await self.resources.phrases.record(phrases, name=agent.voice, language=agent.language)
        if self.relay:
            voice = None if self.resources else agent.voice
            await self.relay.phrases.record(phrases, name=voice, language=agent.language)

    async def _record_openers(self, agent: Agent) -> None:
        """What replies like to begin with, once all that is said word for word is there: no call waits for it."""
        if self._recording is None or self.resources is None or not self._records:
            return
        await asyncio.wait([self._recording])
        openers = language_of(agent.language).openers
        await self.resources.phrases.record(openers, name=agent.voice, language=agent.language)


def _turn_policy(settings: Settings) -> TurnPolicy:
    chunks = ChunkPolicy(first_clause_chars=settings.first_clause_chars)
    return TurnPolicy(
        speculate=settings.speculate,
        chunks=chunks,
        history=_history_limits(settings),
        extra_requests_per_turn=settings.extra_requests,
    )


def _history_limits(settings: Settings) -> HistoryLimits:
    return HistoryLimits(settings.history_items, settings.history_bytes)


def _labels(vendors: Iterable[OpenedVendor], stood_in_for: Collection[str]) -> Mapping[str, VendorLabel]:
    accounts = [one.row.account for one in vendors]
    return {one.name: VendorLabel(one.label, one.name in stood_in_for) for one in accounts}


def _by_stage(vendors: Iterable[OpenedVendor]) -> dict[str, list[OpenedVendor]]:
    found: dict[str, list[OpenedVendor]] = {}
    for opened in vendors:
        found.setdefault(opened.row.kind.value, []).append(opened)
    return found


def _watch_policy(settings: Settings, *, several: bool = False) -> WatchPolicy:
    """``several``: there is another vendor to turn to, which is done sooner."""
    return WatchPolicy(
        silent_s=min(settings.silent_s, settings.stall_s) if several else settings.silent_s,
        exchange_every_s=settings.exchange_every_s,
        exchanges=settings.exchanges,
        away_s=settings.away_s,
        tell_after_s=0.65 * settings.away_s,
    )
