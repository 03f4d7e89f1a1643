"""What the worker reports of itself: Prometheus metrics, and one JSON line for every turn.

No transcript and no key ever gets here.
"""

import logging
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Protocol, TextIO, get_args

import msgspec
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from repartee.agent.prefetch import PrefetchFigures
from repartee.app.turn_tally import TurnTally, TurnWatcher
from repartee.errors import ProviderError, VoiceError
from repartee.latency.hedging import HedgePolicy
from repartee.latency.timeline import TurnTrace
from repartee.pool.pool import PoolFigures
from repartee.session.observer import SpeculationOutcome
from repartee.turn.outcome import TurnOutcome

log = logging.getLogger(__name__)

LATENCY_BUCKETS_S = (
    0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.7, 0.8, 1.0, 1.3, 1.7, 2.5, 5.0
)  # fmt: skip
"""Fine around the 500 ms that a turn may take."""

STAGE_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.5, 5.0)


class ServiceFigures(Protocol):
    """What is counted elsewhere, and read when metrics are."""

    @property
    def hedging(self) -> HedgePolicy:
        """How often the language model was asked twice."""

    @property
    def admitting(self) -> bool:
        """A new call would have the providers that it needs."""

    def pools(self) -> Iterable[PoolFigures]:
        """Each pool's figures at this moment."""


class Telemetry:
    """The metrics of one worker; an Observer of its calls."""

    def __init__(self, region: str, providers: Mapping[str, str], latency_log: TextIO) -> None:
        self.registry = CollectorRegistry()
        self.services_figures: Collector = CollectorRegistry()
        self._region = region
        self._providers = dict(providers)
        self._log = latency_log
        self._turn_watchers: list[TurnWatcher] = []
        registry = self.registry
        self.calls_active = Gauge(
            "repartee_calls_active", "Calls in progress.", registry=registry, multiprocess_mode="livesum"
        )
        self.call_slots = Gauge(
            "repartee_call_slots",
            "Calls this worker takes at most.",
            registry=registry,
            multiprocess_mode="livemax",
        )
        self.draining = Gauge(
            "repartee_draining",
            "1 while the worker takes no new calls.",
            registry=registry,
            multiprocess_mode="livemax",
        )
        self.calls = Counter("repartee_calls", "Calls by outcome.", ["outcome"], registry=registry)
        self.tickets_refused = Counter(
            "repartee_tickets_refused",
            "Callers without a valid ticket, by reason.",
            ["reason"],
            registry=registry,
        )
        self._turns = Counter("repartee_turns", "Turns by outcome.", ["outcome"], registry=registry)
        self._voice_to_voice = Histogram(
            "repartee_voice_to_voice_seconds",
            "From the caller's last sample of speech to the answer's first audible one, at this worker's socket.",
            buckets=LATENCY_BUCKETS_S,
            registry=registry,
        )
        self._stages = Histogram(
            "repartee_stage_seconds",
            "A stage's share of the voice-to-voice latency.",
            ["stage"],
            buckets=STAGE_BUCKETS_S,
            registry=registry,
        )
        self._provider_errors = Counter(
            "repartee_provider_errors",
            "Failures of providers that cost a caller something.",
            ["provider", "stage"],
            registry=registry,
        )
        self._prefetches = Counter(
            "repartee_prefetch",
            "Tools run before they were asked for, by what became of it.",
            ["outcome"],
            registry=registry,
        )
        self._prefetch_saved = Counter(
            "repartee_prefetch_saved_seconds", "Time that callers did not wait for tools.", registry=registry
        )
        self._speculations = Counter(
            "repartee_speculations",
            "Replies begun before their turn was confirmed.",
            ["outcome"],
            registry=registry,
        )

        # A counter that is born at 1 shows no increase: an alarm would miss the first of its kind.
        for outcome in get_args(TurnOutcome):
            self._turns.labels(outcome)
        for outcome in get_args(SpeculationOutcome):
            self._speculations.labels(outcome)
        for stage, provider in self._providers.items():
            self._provider_errors.labels(provider, stage)

    def watch(self, services: ServiceFigures) -> None:
        """Report these figures whenever metrics are read."""
        self.services_figures = _ServicesCollector(services)
        self.registry.register(self.services_figures)

    def tally(self) -> TurnTally:
        """A new count of the turns from now on."""
        tally = TurnTally()
        self.watch_turns(tally)
        return tally

    def watch_turns(self, watcher: TurnWatcher) -> None:
        """Tell ``watcher`` of every turn from now on."""
        self._turn_watchers.append(watcher)

    def turn_finished(
        self, call_id: str, turn_id: int, outcome: TurnOutcome, trace: TurnTrace | None
    ) -> None:
        """Count the turn, and write its line."""
        self._turns.labels(outcome).inc()
        for watcher in self._turn_watchers:
            watcher.add(outcome, trace.voice_to_voice_ms if trace else None)
        line: dict[str, object] = {"call_id": call_id, "turn_id": turn_id, "region": self._region}
        line |= {"providers": self._providers, "outcome": outcome}
        if trace:
            self._voice_to_voice.observe(trace.voice_to_voice_ms / 1000)
            for stage, ms in trace.stages_ms.items():
                self._stages.labels(stage).observe(ms / 1000)
            line |= {
                "voice_to_voice_ms": trace.voice_to_voice_ms,
                "stages_ms": trace.stages_ms,
                "speculative": trace.speculative,
                "filler_ms": trace.filler_ms,
                "prefetch": trace.prefetch,
            }
        self._log.write(msgspec.json.encode(line).decode() + "\n")
        self._log.flush()

    def speculation_ended(self, outcome: SpeculationOutcome) -> None:
        """Count it."""
        self._speculations.labels(outcome).inc()

    def call_ended(self, prefetched: PrefetchFigures) -> None:
        """Count what prefetching did in the call."""
        for outcome in ("hits", "misses", "wasted"):
            self._prefetches.labels(outcome.removesuffix("s")).inc(getattr(prefetched, outcome))
        self._prefetch_saved.inc(prefetched.saved_ms / 1000)

    def provider_failed(self, stage: str, error: VoiceError | str) -> None:
        """Count it, and log why."""
        provider = (
            error.provider if isinstance(error, ProviderError) else self._providers.get(stage, "unknown")
        )
        self._provider_errors.labels(provider, stage).inc()
        log.warning("%s failed (%s): %s", stage, provider, error)


class _ServicesCollector(Collector):
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
        usable = GaugeMetricFamily(
            "repartee_pool_usable",
            "1 while a new call can have a connection: one is ready, or dials do not fail.",
            labels=["provider"],
        )
        age = GaugeMetricFamily(
            "repartee_pool_age_seconds", "Mean age of open connections.", labels=["provider"]
        )
        for figures in self._source.pools():
            for state in ("idle", "leased", "dialling"):
                connections.add_metric([figures.name, state], getattr(figures, state))
            hits.add_metric([figures.name], figures.hits)
            misses.add_metric([figures.name], figures.misses)
            waited.add_metric([figures.name], figures.wait_ms / 1000)
            age.add_metric([figures.name], figures.age_s)
            dials.add_metric([figures.name, "failed"], figures.dial_failures)
            dials.add_metric([figures.name, "opened"], max(0, figures.dials - figures.dial_failures))
            usable.add_metric([figures.name], figures.usable)
        yield from (connections, hits, misses, waited, dials, usable, age)
        yield GaugeMetricFamily(
            "repartee_admitting",
            "1 while a new call would have the providers that it needs; 0: it is refused with 503.",
            value=self._source.admitting,
        )
        yield from self._hedging()

    def _hedging(self) -> Iterator[Metric]:
        policy = self._source.hedging
        counts = {"requests": policy.requests, "hedged": policy.hedged, "won": policy.won}
        told = {
            "requests": "Replies asked of the language model.",
            "hedged": "Replies that were late to begin and asked for a second time.",
            "won": "Second requests that were answered first.",
        }
        for name, count in counts.items():
            yield CounterMetricFamily(f"repartee_llm_{name}", told[name], value=count)


def open_latency_log(path: str) -> TextIO:
    """The file for turns' lines, appended to; standard output if no path is given. Raises OSError."""
    return Path(path).open("a", encoding="utf-8") if path else sys.stdout
