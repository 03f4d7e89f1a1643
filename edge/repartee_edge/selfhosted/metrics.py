"""The self-hosted edge's Prometheus figures: sessions, connect times, and what failed before a region answered."""

import contextlib
from collections.abc import Iterator, Sequence

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)

from repartee_edge.failover import RegionFault
from repartee_edge.telephone.signatures import CARRIERS

WEBHOOKS = ("incoming", "next", "status", "outcome")

CONNECT_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.8, 1.5, 3.0, 6.0)


class EdgeMetrics:
    """Figures of one edge, in a registry of their own."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._active = Gauge(
            "repartee_edge_sessions", "Sessions proxied now", ["region"], registry=self._registry
        )
        self._connect = Histogram(
            "repartee_edge_connect_seconds",
            "From the client's handshake to the region's acceptance, fail-over included",
            ["region"],
            buckets=CONNECT_BUCKETS_S,
            registry=self._registry,
        )
        self._faults = Counter(
            "repartee_edge_region_faults",
            "Attempts that a region did not take",
            ["region", "kind"],
            registry=self._registry,
        )
        self._refused = Counter(
            "repartee_edge_no_region", "Sessions that no region took", registry=self._registry
        )
        self._limited = Counter(
            "repartee_edge_rate_limited", "Requests over a rate limit", ["kind"], registry=self._registry
        )

        self._telephone = Counter(
            "repartee_edge_telephone_webhooks",
            "Carriers' webhooks, by carrier, kind and the status of the answer",
            ["carrier", "kind", "status"],
            registry=self._registry,
        )

    def exposition(self) -> bytes:
        return generate_latest(self._registry)

    @contextlib.contextmanager
    def session(self, region: str, faults: Sequence[RegionFault], connect_s: float) -> Iterator[None]:
        """Counts one session from its acceptance to its end."""
        self._count(faults)
        self._connect.labels(region).observe(connect_s)
        self._active.labels(region).inc()
        try:
            yield
        finally:
            self._active.labels(region).dec()

    def refused(self, faults: Sequence[RegionFault]) -> None:
        self._count(faults)
        self._refused.inc()

    def telephone(self, path: str, status: int) -> None:
        """A webhook at ``/v1/telephone/<carrier>/<kind>…`` has been answered."""
        carrier, _, rest = path.removeprefix("/v1/telephone/").partition("/")
        kind = rest.partition("/")[0]
        known = carrier in CARRIERS and kind in WEBHOOKS
        self._telephone.labels(*((carrier, kind) if known else ("other", "other")), str(status)).inc()

    def limited(self, kind: str) -> None:
        self._limited.labels(kind).inc()

    def _count(self, faults: Sequence[RegionFault]) -> None:
        for fault in faults:
            self._faults.labels(fault.region, str(fault.status or fault.kind)).inc()
