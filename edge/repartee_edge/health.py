"""What is known of the regions' health: probes and heartbeats as reported, and a breaker of the edge's own.

Owns when a report is too old to count, and how long a region that failed is left alone. Pure: time is an argument, in
seconds (one clock throughout). Must not know how reports travel or are stored.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from repartee_edge import bounded_json

MAX_PROBE_BYTES = 16 * 1024
REPORT_LIFETIME_S = 90.0
BREAKER_FIRST_S = 2.0
BREAKER_LONGEST_S = 60.0
BREAKER_FACTOR = 2.0
FULL_PAUSE_LONGEST_S = 5.0


@dataclass(frozen=True, slots=True)
class RegionStatus:
    """One region as seen now. ``load`` is calls over capacity (1 is full), None when nobody said.

    ``up`` is False when a probe failed or the breaker is open; True also when nothing is known. A region that is not
    ``admitting`` is up, for the calls in it, but refuses new ones: a provider that they need fails.
    """

    up: bool = True
    draining: bool = False
    admitting: bool = True
    load: float | None = None
    p90_ms: float | None = None
    reported_at: float | None = None

    @property
    def full(self) -> bool:
        return self.load is not None and self.load >= 1.0


UNKNOWN = RegionStatus()


@dataclass(frozen=True, slots=True)
class Report:
    """One probe's or one worker's word on a region. ``active`` and ``capacity`` are in calls; ``at`` in seconds."""

    region: str
    at: float
    up: bool = True
    draining: bool = False
    active: int = 0
    capacity: int = 0
    p90_ms: float | None = None
    admitting: bool = True


def report_to_words(report: Report) -> dict[str, Any]:
    """A report as JSON that fits into the metadata of a key-value store."""
    return asdict(report)


def report_from_words(words: object) -> Report | None:
    """The report that ``report_to_words`` wrote; None if it is anything else."""
    if not isinstance(words, Mapping):
        return None
    try:
        p90_ms = words.get("p90_ms")
        return Report(
            region=str(words["region"]),
            at=float(words["at"]),
            up=bool(words["up"]),
            draining=bool(words["draining"]),
            active=int(words["active"]),
            capacity=int(words["capacity"]),
            p90_ms=None if p90_ms is None else float(p90_ms),
            admitting=words.get("admitting") is not False,
        )
    except (KeyError, TypeError, ValueError):
        return None


def report_of_probe(region: str, status: int, body: str, now: float) -> Report:
    """What a region's answer at /readyz says: alive with 200 or 503, and with 200 admitting unless it says not."""
    try:
        said = bounded_json.read(body, max_bytes=MAX_PROBE_BYTES)
    except bounded_json.BadJson:
        said = None
    admitting = not (isinstance(said, Mapping) and said.get("admitting") is False)
    return Report(region, now, up=status in (200, 503), admitting=status == 200 and admitting)


def summarise(reports: Iterable[Report], now: float) -> dict[str, RegionStatus]:
    """One status a region out of its workers' latest reports; a region nobody reports on is left out.

    A region drains when all of its workers do; its load counts only those that take calls; it is down when every
    fresh report says so. It admits when any worker that takes calls does, or, if none
    reports, when its probe says so.
    """
    fresh: dict[str, list[Report]] = {}
    for report in reports:
        if now - report.at <= REPORT_LIFETIME_S:
            fresh.setdefault(report.region, []).append(report)
    return {region: _summary(found) for region, found in fresh.items()}


def _summary(reports: list[Report]) -> RegionStatus:
    workers = [report for report in reports if report.capacity > 0]
    welcoming = [worker for worker in workers if worker.up and not worker.draining]
    taking = [worker for worker in welcoming if worker.admitting] or welcoming
    slots = sum(worker.capacity for worker in taking)
    p90s = [worker.p90_ms for worker in workers if worker.p90_ms is not None]
    return RegionStatus(
        up=any(report.up for report in reports),
        draining=bool(workers) and not taking,
        admitting=any(report.admitting for report in taking or reports),
        load=sum(worker.active for worker in taking) / slots if slots else None,
        p90_ms=max(p90s) if p90s else None,
        reported_at=max(report.at for report in reports),
    )


@dataclass(slots=True)
class _Record:
    failures: int = 0
    full: bool = False
    closed_until: float = 0.0
    probing_until: float = 0.0


class Breaker:
    """Remembers which regions just failed, so that the next caller does not pay for it again.

    A region that failed is left alone for a time that doubles with each failure; after it one attempt is let through,
    and the others keep away until that one has ended or its time is over.
    """

    def __init__(self) -> None:
        self._records: dict[str, _Record] = {}

    def __repr__(self) -> str:
        held = ", ".join(f"{name}: {r.failures} failed" for name, r in sorted(self._records.items()))
        return f"<Breaker {held or 'closed'}>"

    def allows(self, region: str, now: float) -> bool:
        """Whether an attempt at this region makes sense now."""
        record = self._records.get(region)
        return record is None or (now >= record.closed_until and now >= record.probing_until)

    def says_full(self, region: str) -> bool:
        """Whether the last failure of this region was a 503."""
        record = self._records.get(region)
        return record is not None and record.full

    def started(self, region: str, now: float, deadline_s: float) -> None:
        """An attempt begins; if the region failed before, it is the one probe until ``now + deadline_s``."""
        record = self._records.get(region)
        if record is not None:
            record.probing_until = now + deadline_s

    def abandoned(self, region: str) -> None:
        """An attempt was given up without an answer of the region's own: the next may probe it."""
        record = self._records.get(region)
        if record is not None:
            record.probing_until = 0.0

    def succeeded(self, region: str) -> None:
        self._records.pop(region, None)

    def failed(self, region: str, now: float) -> None:
        """A hang, a refusal, a redirect, a 401, or a server error where another region gave none."""
        record = self._records.setdefault(region, _Record())
        record.failures += 1
        record.full = False
        pause = min(BREAKER_LONGEST_S, BREAKER_FIRST_S * BREAKER_FACTOR ** min(record.failures - 1, 16))
        record.closed_until, record.probing_until = now + pause, 0.0

    def full(self, region: str, now: float, retry_after_s: float | None) -> None:
        """A 503 where another region gave none: left alone as long as it asked, a few seconds at most."""
        record = self._records.setdefault(region, _Record())
        record.full = True
        pause = min(FULL_PAUSE_LONGEST_S, max(0.0, retry_after_s if retry_after_s is not None else 1.0))
        record.closed_until, record.probing_until = now + pause, 0.0


def effective(
    regions: Iterable[str], statuses: Mapping[str, RegionStatus], breaker: Breaker, now: float
) -> dict[str, RegionStatus]:
    """The reported statuses with the breaker's own experience on top."""
    result = {}
    for name in regions:
        status = statuses.get(name, UNKNOWN)
        if not breaker.allows(name, now):
            full = breaker.says_full(name)
            status = replace(status, load=1.0) if full else replace(status, up=False)
        result[name] = status
    return result
