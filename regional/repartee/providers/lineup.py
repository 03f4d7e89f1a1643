"""Several vendors of one kind, in order: their names, how each is doing, and who hears about changes.

Knows no kind: fallback_stt, fallback_llm and fallback_tts serve a call with whoever is next.
"""

import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Generic, Protocol, TypeVar

from repartee.errors import PoolTimeout, ProviderError
from repartee.latency.breaker import VendorBreaker, ranked

log = logging.getLogger(__name__)

ServiceT = TypeVar("ServiceT")

VendorFault = ProviderError | PoolTimeout
"""What sends a call to the next vendor."""


@dataclass(frozen=True, slots=True)
class FallbackPolicy:
    """When to turn to the next vendor. Durations are seconds."""

    first_token_s: float = 0.7
    """A language model that has not begun by then is overtaken by the next."""

    open_s: float = 0.4
    """How long a recogniser's or a voice's connection is waited for while there is another vendor."""


class ServiceNotes(Protocol):
    """Learns which vendor serves a call. ``stage`` is ``stt``, ``llm`` or ``tts``, ``vendor`` its traced name."""

    def served(self, stage: str, vendor: str) -> None:
        """This vendor serves the call from now on."""

    def left(self, stage: str, vendor: str, error: VendorFault) -> None:
        """This vendor failed the call, which turns to another."""


class NamingNotes(ServiceNotes, Protocol):
    """Learns who serves a call, and knows who does."""

    @property
    def names(self) -> Mapping[str, str]:
        """The vendors that serve it now, by stage."""


class Unnoted:
    """Tells nobody."""

    def served(self, stage: str, vendor: str) -> None:
        """Nobody learns of it."""

    def left(self, stage: str, vendor: str, error: VendorFault) -> None:
        """Nobody learns of it."""


def _speaks_all(language: str) -> bool:
    return True


@dataclass(frozen=True, slots=True, eq=False)
class Standing(Generic[ServiceT]):
    """One vendor of several. ``vendor`` is its name as traces have it."""

    vendor: str
    service: ServiceT
    breaker: VendorBreaker = field(default_factory=VendorBreaker)
    speaks: Callable[[str], bool] = _speaks_all
    """Whether it has a language, by its tag."""

    def asked(self) -> None:
        """It is asked for something."""
        self.breaker.asked(time.monotonic())

    def failed(self, error: VendorFault) -> None:
        """Count a failure, unless the request was at fault."""
        if isinstance(error, ProviderError):
            if error.status == HTTPStatus.BAD_REQUEST:
                return
            asked_s = error.retry_after_s or 0.0
            self.breaker.failed(time.monotonic(), lasting=not error.retryable, retry_after_s=asked_s)
        else:
            self.breaker.failed(time.monotonic())


class Lineup(Generic[ServiceT]):
    """The vendors of one ``stage``, the first to be asked first."""

    def __init__(self, stage: str, standings: Iterable[Standing[ServiceT]]) -> None:
        self.stage = stage
        self.standings = tuple(standings)

    def __repr__(self) -> str:
        named = ", ".join(f"{one.vendor}: {one.breaker!r}" for one in self.standings)
        return f"<Lineup {self.stage}: {named}>"

    def ranked(
        self, *, language: str | None = None, avoided: Collection[str] = ()
    ) -> list[Standing[ServiceT]]:
        """Whom to ask, in order: those that work, then those that are left alone, last those that this call avoids.
        Those without the language are asked only where nobody has it."""
        order = ranked([one.breaker for one in self.standings], time.monotonic())
        standings = [self.standings[place] for place in order]
        if language is not None:
            standings = [one for one in standings if one.speaks(language)] or standings
        return sorted(standings, key=lambda one: one.vendor in avoided)


def worst(errors: Iterable[VendorFault]) -> VendorFault:
    """The error when all vendors have failed: the first one's fault. It may be tried again if any may, and after
    the shortest time that one asks for."""
    told, *others = errors
    every = [error for error in (told, *others) if isinstance(error, ProviderError)]
    if isinstance(told, ProviderError):
        told.retryable = any(error.retryable for error in every)
        asked_s = [error.retry_after_s for error in every if error.retryable]
        told.retry_after_s = min((wait_s or 0.0 for wait_s in asked_s), default=None) or None
    return told
