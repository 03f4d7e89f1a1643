"""The providers of one worker: opened by its settings, warmed at its start, shared by its calls."""

import asyncio
import json
import logging
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from repartee.agent.agent import Agent, worker_side
from repartee.agent.brain import PROVIDER as OWN_REPLY
from repartee.agent.checks import unused
from repartee.agent.experience import Experience
from repartee.app.keeping import Lessons
from repartee.app.readiness import Readiness
from repartee.app.settings import Settings
from repartee.errors import ConfigurationError
from repartee.latency.hedging import HedgePolicy, HedgeSettings
from repartee.pool.faults import PoolFault
from repartee.pool.figures import PoolFigures
from repartee.providers.hedged_brain import HedgedBrain
from repartee.providers.openai_realtime import OpenAIRealtime, RealtimeVoice
from repartee.providers.own import own_llm, own_stages, own_stt, own_tts
from repartee.providers.pooled import Use, sized
from repartee.providers.vendor import Provider, Vendor, VendorKind
from repartee.relay.settings import is_speech_to_speech
from repartee.session.cascade_resources import CascadeResources
from repartee.session.hearing_policy import HearingPolicy
from repartee.session.phrases import Phrases, as_written
from repartee.session.provider_line import LinePolicy
from repartee.session.relay import RelayResources
from repartee.turn.chunking import ChunkPolicy
from repartee.turn.item_list import HistoryLimits
from repartee.turn.languages import language_of
from repartee.turn.policy import TurnPolicy
from repartee.turn.session_watch import WatchPolicy
from repartee.turn.spoken_form import spoken_form
from repartee.turn.spoken_numbers import prepare

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OpenedVendor:
    """A row of the table of vendors, and what it was opened to."""

    row: Vendor
    provider: Provider


class Services:
    """The STT, the LLM and the TTS, or the speech-to-speech model, that all calls share."""

    def __init__(self, settings: Settings, agent: Agent, lessons: Lessons | None = None) -> None:
        relayed = is_speech_to_speech(agent.model)
        check_keys(settings, relayed=relayed, own=own_stages(agent))
        agent.check()
        needed = needed_vendors(settings, relayed=relayed, own=own_stages(agent))
        self.vendors = tuple(OpenedVendor(row, _open(row, settings, agent)) for row in needed)
        """What was opened, with its row of the table of vendors."""

        self.names = {opened.row.kind.value: opened.row.traced for opened in self.vendors}
        """Who serves each stage, as traces and metrics name them."""

        serving: dict[str, Any] = {opened.row.kind.value: opened.provider for opened in self.vendors}
        if not relayed:
            own = {"stt": own_stt(agent), "llm": own_llm(agent), "tts": own_tts(agent)}
            brought = {stage: one for stage, one in own.items() if one}
            serving |= brought
            self.names |= {stage: one.name for stage, one in brought.items()}
            if worker_side(agent).reply_function is not None:
                self.names["llm"] = OWN_REPLY
        self._all: tuple[Provider, ...] = tuple(serving.values())
        self._readiness = Readiness({kind: (provider,) for kind, provider in serving.items()})
        self.hedging = HedgePolicy(HedgeSettings(enabled=settings.hedge))
        self._agent = agent
        self._lessons = lessons or Lessons(Experience())
        self._was_warm = False
        self._recording: asyncio.Task[None] | None = None
        self._recording_openers: asyncio.Task[None] | None = None
        self.relay = self._relay_resources(settings, serving["model"]) if "model" in serving else None
        self.resources = None if relayed else self._cascade_resources(settings, serving)
        self._relays_on_request = settings.speech_to_speech == "on"
        self._records = settings.record_phrases

    def _cascade_resources(self, settings: Settings, serving: Mapping[str, Any]) -> CascadeResources:
        return CascadeResources(
            serving["stt"],
            HedgedBrain(serving["llm"], policy=self.hedging),
            serving["tts"],
            self.names,
            Phrases(serving["tts"], as_written if self._agent.voice_text == "raw" else spoken_form),
            self._lessons.experience,
            self._lessons.keep,
            _turn_policy(settings),
            HearingPolicy(watch=_watch_policy(settings)),
            context_tokens=settings.context_tokens,
            speculation_tokens=settings.speculation_tokens,
        )

    def _relay_resources(self, settings: Settings, realtime: OpenAIRealtime) -> RelayResources:
        replies = worker_side(self._agent).reply_function is not None
        if remarks := unused(self._agent, realtime.model, replies=replies):
            log.warning(
                "of the agent's settings, speech to speech has no use for these: %s.", "; ".join(remarks)
            )
        return RelayResources(
            realtime,
            # Phrases in the cascade's voice would not sound like the model's: it says them itself.
            Phrases(RealtimeVoice(realtime)),
            self._lessons.experience,
            self._lessons.keep,
            settings.realtime_transcriber,
            line=LinePolicy(watch=_watch_policy(settings)),
            policy=_turn_policy(settings),
        )

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
        for provider in self._all:
            provider.expect(calls)

    def relay_for(self, model: str) -> RelayResources | None:
        """What a call is relayed with, if it is one with a speech-to-speech model. ``model`` is what the client asks
        for; which it gets is the deployment's choice."""
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
        """New calls are this agent's: keep warm what it uses, and record what it says word for word."""
        for provider in self._all:
            provider.use([Use(agent.language, agent.voice)])
        self.record(agent)

    def record(self, agent: Agent) -> None:
        """Have what this agent says word for word recorded, in the background."""
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


def needed_vendors(
    settings: Settings, *, relayed: bool = False, own: Collection[str] = ()
) -> tuple[Vendor, ...]:
    """The vendors that calls need. ``relayed``: all calls are with a speech-to-speech model; ``own``: the stages for
    which the agent brings a provider of its own."""
    cascade = (VendorKind.STT, VendorKind.LLM, VendorKind.TTS)
    kinds = [] if relayed else [kind for kind in cascade if kind.value not in own]
    if relayed or settings.speech_to_speech == "on":
        kinds.append(VendorKind.SPEECH_TO_SPEECH)
    return tuple(settings.vendors(kind)[0] for kind in kinds)


def check_keys(settings: Settings, *, relayed: bool = False, own: Collection[str] = ()) -> None:
    """Raises ConfigurationError that names every vendor's key that is needed and missing; the arguments are those of
    :func:`needed_vendors`."""
    accounts = dict.fromkeys(row.account for row in needed_vendors(settings, relayed=relayed, own=own))
    missing = [one.key_variable for one in accounts if not settings.value_of(one.key_variable)]
    if missing:
        raise ConfigurationError(
            f"Not set: {', '.join(missing)}. Export the keys, or run the whole system with the providers' stand-ins: "
            "repartee up."
        )


def _options(row: Vendor, agent: Agent) -> dict[str, object]:
    """What the agent asks of a vendor of this kind."""
    if row.kind is VendorKind.TTS:
        return dict(agent.voice_options)
    if row.kind is not VendorKind.LLM:
        return {}
    extra = json.dumps(dict(agent.extra_body)) if agent.extra_body else ""
    asked = {
        "reasoning_effort": agent.reasoning_effort,
        "service_tier": agent.service_tier,
        "extra_body": extra,
    }
    return {name: value for name, value in asked.items() if value}


def _open(row: Vendor, settings: Settings, agent: Agent) -> Provider:
    speaks_itself = row.kind is VendorKind.SPEECH_TO_SPEECH
    model = agent.model if is_speech_to_speech(agent.model) is speaks_itself else None
    options = _options(row, agent)
    opening = settings.opening(row, model=model, voice=agent.voice, options=options)
    sizes = partial(
        sized,
        calls=settings.max_calls,
        warm=settings.warm_calls,
        dials_per_s=settings.dials_per_s,
        call_dials_per_s=settings.call_dials_per_s,
    )
    opened: Provider = row.open(replace(opening, uses=(Use(agent.language, agent.voice),), sized=sizes))
    return opened


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


def _watch_policy(settings: Settings) -> WatchPolicy:
    return WatchPolicy(
        silent_s=settings.silent_s,
        exchange_every_s=settings.exchange_every_s,
        exchanges=settings.exchanges,
        away_s=settings.away_s,
        tell_after_s=0.65 * settings.away_s,
    )
