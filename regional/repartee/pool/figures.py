"""What a pool looks like at one moment, for metrics and for whoever asks what is wrong. Pure."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from repartee.pool.faults import PoolFault


@dataclass(frozen=True, slots=True)
class PoolFigures:
    """A pool at one moment. Counters run since the start; ``wait_ms`` adds up the misses' waits."""

    name: str
    warm: bool
    idle: int
    leased: int
    dialling: int
    waiting: int
    hits: int
    misses: int
    dials: int
    dial_failures: int
    lost: int
    wait_ms: float
    wait_ms_max: float
    oldest_s: float
    """Age of the oldest open connection."""

    last_error: str | None
    ready: int = 0
    """Free slots on connections that have lasted long enough to be trusted."""
    usable: bool = True
    """A new call has a chance: something is ready, or dials do not fail."""
    failures: Mapping[str, int] = field(default_factory=dict)
    """Failed dials by reason, as :func:`~repartee.pool.faults.reason_of` names it."""

    fault: PoolFault | None = None
    """What is wrong now, and what to do about it."""


@dataclass(slots=True)
class PoolCounters:
    """What a pool counts, from its start on."""

    hits: int = 0
    misses: int = 0
    dials: int = 0
    dial_failures: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    lost: int = 0
    wait_ms: float = 0.0
    wait_ms_max: float = 0.0
