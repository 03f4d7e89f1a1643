"""Prometheus metrics of several processes as one region's, by files that prometheus_client keeps for each of them.

Owns the folder and the sums. The library uses the files when PROMETHEUS_MULTIPROC_DIR is set before it is imported,
so a parent sets it for its processes. Must not know what is measured.
"""

import os
from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

NOT_ADDED = ("_age_seconds", "_usable", "_admitting")
"""How the names of gauges end that have no sum over several processes."""

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


def whole_region() -> bytes:
    """All processes' metrics in one, as Prometheus reads them. Reads files: not for an event loop with calls."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry, os.environ[FOLDER_VARIABLE])  # type: ignore[no-untyped-call]
    return generate_latest(registry)


def process_gone(pid: int, folder: str) -> None:
    """Leave a process's gauges out of the sums from now on; what it counted stays counted."""
    mark_process_dead(pid, folder)  # type: ignore[no-untyped-call]


class Mirror:
    """Copies what a collector computes into files, as the library has none for collectors."""

    def __init__(self, source: Collector) -> None:
        self._source = source
        self._registry = CollectorRegistry()
        self._metrics: dict[str, Gauge | Counter] = {}
        self._counted: dict[tuple[str, tuple[str, ...]], float] = {}

    def update(self) -> None:
        """Copy the figures of this moment."""
        for family in self._source.collect():
            for sample in family.samples:
                self._copy(family, sample.labels, sample.value)

    def _copy(self, family: Metric, labels: Mapping[str, str], value: float) -> None:
        values = tuple(labels.values())
        metric = self._metric(family, tuple(labels))
        metric = metric.labels(*values) if values else metric
        if isinstance(metric, Gauge):
            metric.set(value)
            return
        metric.inc(max(0.0, value - self._counted.get((family.name, values), 0.0)))
        self._counted[family.name, values] = value

    def _metric(self, family: Metric, labels: tuple[str, ...]) -> Gauge | Counter:
        name, told = family.name, family.documentation
        if name not in self._metrics:
            if family.type == "counter":
                self._metrics[name] = Counter(name, told, labels, registry=self._registry)
            else:
                # An age has no sum, nor has what is true or not: the processes' highest says what it is read for.
                self._metrics[name] = Gauge(
                    name,
                    told,
                    labels,
                    registry=self._registry,
                    multiprocess_mode="livemax" if name.endswith(NOT_ADDED) else "livesum",
                )
        return self._metrics[name]
