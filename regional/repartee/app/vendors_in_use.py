"""Which vendors a worker needs for its agent, and how they are opened: the first of a kind, and its fall-backs."""

import json
import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from repartee.agent.agent import Agent
from repartee.app.settings import Settings
from repartee.errors import ConfigurationError
from repartee.latency.breaker import VendorBreaker
from repartee.providers.lineup import Lineup, Standing
from repartee.providers.own import own_stages
from repartee.providers.pooled import Use, sized
from repartee.providers.vendor import Opening, Provider, Vendor, VendorKind
from repartee.relay.settings import is_speech_to_speech

log = logging.getLogger(__name__)

CASCADE = (VendorKind.STT, VendorKind.LLM, VendorKind.TTS)


@dataclass(frozen=True, slots=True)
class OpenedVendor:
    """A row of the table of vendors, and what it was opened to."""

    row: Vendor
    provider: Provider


def needed_vendors(
    settings: Settings, *, language: str = "en", relayed: bool = False, own: Collection[str] = ()
) -> tuple[Vendor, ...]:
    """The vendors that calls need, those of a kind in their order. ``language`` is the agent's: vendors without it
    are left out. ``relayed``: all calls are with a speech-to-speech model; ``own``: the stages for which the agent
    brings a provider of its own."""
    kinds = [] if relayed else [kind for kind in CASCADE if kind.value not in own]
    needed = [row for kind in kinds for row in _speaking(settings.vendors(kind), language)]
    if relayed or settings.speech_to_speech == "on":
        needed.append(settings.vendors(VendorKind.SPEECH_TO_SPEECH)[0])
    return tuple(needed)


def skipped_vendors(settings: Settings, language: str) -> tuple[Vendor, ...]:
    """The listed vendors of the cascade that are left out because they lack the agent's language."""
    return tuple(
        row
        for kind in CASCADE
        for row in settings.vendors(kind)
        if row not in _speaking(settings.vendors(kind), language)
    )


def _speaking(rows: Sequence[Vendor], language: str) -> Sequence[Vendor]:
    """Those that have the language; all, if none has it: then it is for them to say."""
    return [row for row in rows if row.speaks(language)] or rows


def check_keys(
    settings: Settings, *, language: str = "en", relayed: bool = False, own: Collection[str] = ()
) -> None:
    """Raises ConfigurationError that names every vendor's key that is needed and missing; the arguments are those of
    :func:`needed_vendors`."""
    needed = needed_vendors(settings, language=language, relayed=relayed, own=own)
    accounts = dict.fromkeys(row.account for row in needed)
    missing = [one.key_variable for one in accounts if not settings.value_of(one.key_variable)]
    if missing:
        raise ConfigurationError(
            f"Not set: {', '.join(missing)}. Export the keys, or run the whole system with the providers' stand-ins: "
            "repartee up."
        )


def open_vendors(settings: Settings, agent: Agent, *, relayed: bool) -> tuple[OpenedVendor, ...]:
    """All that this agent needs. Raises ConfigurationError."""
    if not relayed:
        for row in skipped_vendors(settings, agent.language):
            log.warning(
                "%s=%s does not have %s, the agent's language; leaving that vendor out",
                row.kind.variable,
                row.name,
                agent.language,
            )
    needed = needed_vendors(settings, language=agent.language, relayed=relayed, own=own_stages(agent))
    several = {row.kind for row in needed if sum(other.kind is row.kind for other in needed) > 1}
    opened, kinds = [], set[VendorKind]()
    for row in needed:
        check_keyterms(row, agent)
        opening = replace(
            _opening(row, settings, agent, first=row.kind not in kinds),
            pool_name=_pool_name(row, needed),
            stall_s=settings.stall_s if row.kind in several else None,
        )
        kinds.add(row.kind)
        provider: Provider = row.open(opening)
        opened.append(OpenedVendor(row, provider))
    return tuple(opened)


def check_keyterms(row: Vendor, agent: Agent) -> None:
    """Raises ConfigurationError for more of them than the vendor takes."""
    fault = row.keyterms.fault(tuple(agent.keyterms)) if row.keyterms else None
    if fault:
        raise ConfigurationError(f"{row.account.label} {fault}: leave some out of Agent(keyterms=…).")


def _pool_name(row: Vendor, needed: Sequence[Vendor]) -> str:
    """What its pools are called: as its account is, or with its own name too where another has that."""
    account = row.account.name
    others = [other for other in needed if other.account is row.account]
    leader = next((other for other in others if other.name == account), others[0])
    return account if row.name == leader.name else f"{account}-{row.name}"


def lineup(stage: str, opened: Sequence[OpenedVendor], services: Sequence[Any]) -> Lineup[Any]:
    """Several vendors of one kind, in order; ``services`` is what each is asked through."""
    return Lineup(
        stage,
        [
            Standing(one.row.traced, service, VendorBreaker(), one.row.speaks)
            for one, service in zip(opened, services, strict=True)
        ],
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


def _opening(row: Vendor, settings: Settings, agent: Agent, *, first: bool) -> Opening:
    options = _options(row, agent)
    if first:
        speaks_itself = row.kind is VendorKind.SPEECH_TO_SPEECH
        model = agent.model if is_speech_to_speech(agent.model) is speaks_itself else None
        opening = settings.opening(row, model=model, voice=agent.voice, options=options)
    else:
        opening = settings.fallback_opening(row, options=options)
    sizes = partial(
        sized,
        calls=settings.max_calls,
        warm=settings.warm_calls,
        dials_per_s=settings.dials_per_s,
        call_dials_per_s=settings.call_dials_per_s,
    )
    uses = (Use(agent.language, agent.voice if first else None),)
    return replace(opening, uses=uses, sized=sizes, keyterms=tuple(agent.keyterms))
