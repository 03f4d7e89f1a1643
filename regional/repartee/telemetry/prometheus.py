"""The worker's Prometheus metrics: what its calls do, from the stream of call events, and how it is loaded.

What providers' pools report is read when metrics are (:class:`ServicesCollector`). No transcript and no key ever gets
here.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from repartee.latency.breaker import BreakerState
from repartee.latency.extra_requests import ExtraKind
from repartee.latency.hedging import HedgePolicy
from repartee.latency.kinds import AUDIBLE_KINDS
from repartee.pool.figures import PoolFigures
from repartee.telemetry import events as t
from repartee.telemetry.labels import capped, vendor_of
from repartee.turn.outcome import SpeculationOutcome, TurnOutcome

LATENCY_BUCKETS_S = (
    0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.7, 0.8, 1.0, 1.3, 1.7, 2.5, 5.0
)  # fmt: skip
"""Fine around the 500 ms that a turn may take."""

LAG_BUCKETS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0)

MOST_FUNCTIONS = 50
"""Of an author's, that faults are counted by; further ones count as ``other``."""

STAGE_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.5, 5.0)


@dataclass(frozen=True, slots=True)
class BreakerFigures:
    """One vendor's breaker at one moment."""

    stage: str
    vendor: str
    state: BreakerState


class ServiceFigures(Protocol):
    """What is counted elsewhere, and read when metrics are."""

    @property
    def hedging(self) -> Sequence[HedgePolicy]:
        """How often each language model was asked twice."""

    @property
    def admitting(self) -> bool:
        """A new call would have the providers that it needs."""

    def pools(self) -> Iterable[PoolFigures]:
        """Each pool's figures at this moment."""

    def breakers(self) -> Iterable[BreakerFigures]:
        """Each vendor's breaker at this moment, where a kind has several vendors."""


class Metrics:
    """The metrics of one worker. ``providers`` are their names by stage. Implements
    :class:`~repartee.telemetry.stream.Counts`."""

    def __init__(self, providers: Mapping[str, str]) -> None:
        self.registry = CollectorRegistry()
        self.services_figures: Collector = CollectorRegistry()
        self._functions: set[str] = set()
        self._vendors: set[str] = set()
        state = partial(Gauge, registry=self.registry)
        self.calls_active = state("repartee_calls_active", "Calls in progress.", multiprocess_mode="livesum")
        self.call_slots = state(
            "repartee_call_slots", "Calls this worker takes at most.", multiprocess_mode="livemax"
        )
        self.draining = state(
            "repartee_draining", "1 while the worker takes no new calls.", multiprocess_mode="livemax"
        )
        self.calls = self._count("repartee_calls", "Calls by outcome.", "outcome")
        self.tickets_refused = self._count(
            "repartee_tickets_refused", "Callers without a valid ticket, by reason.", "reason"
        )
        self._line_troubles = self._count(
            "repartee_line_troubles", "Telephone lines that carried no audio one way, by which.", "trouble"
        )
        self._author_faults = self._count(
            "repartee_author_faults",
            "Functions of the agent's author that raised what they should not.",
            "function",
        )
        self._count_turns()
        self._count_guesses()
        self._count_providers()
        self._begin_at_zero(providers)

    def _count_turns(self) -> None:
        self._turns = self._count("repartee_turns", "Turns by outcome.", "outcome")
        timed = partial(Histogram, registry=self.registry)
        self._voice_to_voice = timed(
            "repartee_voice_to_voice_seconds",
            "From the caller's last sample of speech to the answer's first audible one, at this worker's socket.",
            ["kind"],
            buckets=LATENCY_BUCKETS_S,
        )
        self._stages = timed(
            "repartee_stage_seconds",
            "A stage's share of the voice-to-voice latency, by the vendor that served it.",
            ["stage", "kind", "provider"],
            buckets=STAGE_BUCKETS_S,
        )
        self.loop_lag = timed(
            "repartee_event_loop_lag_seconds",
            "How much later than it should a task of the worker wakes up.",
            buckets=LAG_BUCKETS_S,
        )
        self._interruptions = self._count(
            "repartee_interruptions", "Callers who spoke over the agent, which stopped."
        )

    def _count_guesses(self) -> None:
        self._prefetches = self._count(
            "repartee_prefetch", "Tools run before they were asked for, by what became of it.", "outcome"
        )
        self._prefetch_saved = self._count(
            "repartee_prefetch_saved_seconds", "Time that callers did not wait for tools."
        )
        self._speculations = self._count(
            "repartee_speculations", "Replies begun before their turn was confirmed.", "outcome"
        )
        self._speculation_tokens = self._count(
            "repartee_speculation_tokens",
            "Tokens of replies begun before their turn was confirmed, estimated.",
            "outcome",
        )

    def _count_providers(self) -> None:
        by = ("provider", "stage")
        self._provider_errors = self._count(
            "repartee_provider_errors", "Failures of providers that cost a caller something.", *by
        )
        self._served = self._count(
            "repartee_turns_served", "Turns that were answered, by who served them.", *by
        )
        self._vendors_left = self._count(
            "repartee_vendor_changes",
            "How often a call left a vendor for the next one of its kind, by the vendor that was left.",
            *by,
        )
        self._extra_requests = self._count(
            "repartee_extra_requests",
            "Requests to the language model beside the one that a reply is.",
            "kind",
        )

    def _count(self, name: str, what: str, *labels: str) -> Counter:
        return Counter(name, what, labels, registry=self.registry)

    def _begin_at_zero(self, providers: Mapping[str, str]) -> None:
        """A counter that is born at 1 shows no increase: an alarm would miss the first of its kind."""
        for outcome in get_args(TurnOutcome):
            self._turns.labels(outcome)
        for kind in AUDIBLE_KINDS:
            self._voice_to_voice.labels(kind)
        for outcome in get_args(SpeculationOutcome):
            self._speculations.labels(outcome)
            self._speculation_tokens.labels(outcome)
        for kind in get_args(ExtraKind):
            self._extra_requests.labels(kind)
        for trouble in ("nothing_received", "nothing_played"):
            self._line_troubles.labels(trouble)
        for stage, provider in providers.items():
            self._provider_errors.labels(provider, stage)

    def watch(self, services: ServiceFigures) -> None:
        """Report these figures whenever metrics are read."""
        self.services_figures = ServicesCollector(services)
        self.registry.register(self.services_figures)

    def export(self, event: t.CallEvent) -> None:
        """Count what has happened."""
        match event:
            case t.TurnOver():
                self._turn_over(event)
            case t.SpeculationSettled(outcome=outcome, tokens=tokens):
                self._speculations.labels(outcome).inc()
                self._speculation_tokens.labels(outcome).inc(tokens)
            case t.ExtraRequestMade(kind=kind):
                self._extra_requests.labels(kind).inc()
            case t.ProviderFailed(provider=provider, stage=stage):
                self._provider_errors.labels(self._vendor(provider), stage).inc()
            case t.VendorLeft(vendor=vendor, stage=stage):
                self._vendors_left.labels(self._vendor(vendor), stage).inc()
            case t.LineTroubled(trouble=trouble):
                self._line_troubles.labels(trouble).inc()
            case t.Interrupted():
                self._interruptions.inc()
            case t.AuthorFault(what=what):
                self._author_faults.labels(capped(what, self._functions, MOST_FUNCTIONS)).inc()
            case t.CallEnded():
                self._call_ended(event)

    def _turn_over(self, turn: t.TurnOver) -> None:
        self._turns.labels(turn.outcome).inc()
        if turn.trace:
            for stage, provider in turn.providers.items():
                self._served.labels(self._vendor(provider), stage).inc()
            self._voice_to_voice.labels(turn.trace.kind).observe(turn.trace.voice_to_voice_ms / 1000)
            for stage, ms in turn.trace.stages_ms.items():
                vendor = self._vendor(vendor_of(turn, stage))
                self._stages.labels(stage, turn.trace.kind, vendor).observe(ms / 1000)

    def _vendor(self, name: str) -> str:
        return capped(name, self._vendors)

    def _call_ended(self, call: t.CallEnded) -> None:
        self.calls.labels(call.outcome).inc()
        figures = call.prefetched
        for outcome, count in (("hit", figures.hits), ("miss", figures.misses), ("wasted", figures.wasted)):
            self._prefetches.labels(outcome).inc(count)
        self._prefetch_saved.inc(figures.saved_ms / 1000)


class ServicesCollector(Collector):
    """The services' figures as Prometheus metrics."""

    def __init__(self, source: ServiceFigures) -> None:
        self._source = source

    def collect(self) -> Iterator[Metric]:
        connections = GaugeMetricFamily(
            "repartee_pool_connections", "Connections by state.", labels=["provider", "state"]
        )
        hits = CounterMetricFamily(
            "repartee_pool_hits", "Leases from a warm connection.", labels=["provider"]
        )
        misses = CounterMetricFamily("repartee_pool_misses", "Leases that had to dial.", labels=["provider"])
        waited = CounterMetricFamily(
            "repartee_pool_acquire_seconds", "Time spent waiting for a connection.", labels=["provider"]
        )
        dials = CounterMetricFamily(
            "repartee_pool_dials", "Connections dialled, by outcome.", labels=["provider", "outcome"]
        )
        failures = CounterMetricFamily(
            "repartee_pool_failures",
            "Connections that could not be made, or were lost at once, by reason: HTTP's status, the code of a "
            "WebSocket's close, timeout, unreachable.",
            labels=["provider", "reason"],
        )
        usable = GaugeMetricFamily(
            "repartee_pool_usable",
            "1 while a new call can have a connection: one is ready, or dials do not fail.",
            labels=["provider"],
        )
        age = GaugeMetricFamily(
            "repartee_pool_oldest_age_seconds", "Age of the oldest open connection.", labels=["provider"]
        )
        for figures in self._source.pools():
            for state in ("idle", "leased", "dialling"):
                connections.add_metric([figures.name, state], getattr(figures, state))
            hits.add_metric([figures.name], figures.hits)
            misses.add_metric([figures.name], figures.misses)
            waited.add_metric([figures.name], figures.wait_ms / 1000)
            age.add_metric([figures.name], figures.oldest_s)
            dials.add_metric([figures.name, "failed"], figures.dial_failures)
            dials.add_metric([figures.name, "opened"], max(0, figures.dials - figures.dial_failures))
            for reason, count in figures.failures.items():
                failures.add_metric([figures.name, reason], count)
            usable.add_metric([figures.name], figures.usable)
        yield from (connections, hits, misses, waited, dials, failures, usable, age)
        yield GaugeMetricFamily(
            "repartee_admitting",
            "1 while a new call would have the providers that it needs; 0: it is refused with 503.",
            value=self._source.admitting,
        )
        breakers = GaugeMetricFamily(
            "repartee_breaker_state",
            "Of several vendors of a kind: 0 is asked as usual, 1 is tried again by one request, 2 is left alone.",
            labels=["provider", "stage"],
        )
        for one in self._source.breakers():
            breakers.add_metric([one.vendor, one.stage], one.state.value)
        yield breakers
        yield from self._hedging()

    def _hedging(self) -> Iterator[Metric]:
        models = self._source.hedging
        counts = {
            "requests": sum(one.requests for one in models),
            "hedged": sum(one.hedged for one in models),
            "won": sum(one.won for one in models),
        }
        told = {
            "requests": "Replies asked of the language models.",
            "hedged": "Replies that were late to begin and asked for a second time.",
            "won": "Second requests that were answered first.",
        }
        for name, count in counts.items():
            yield CounterMetricFamily(f"repartee_llm_{name}", told[name], value=count)
