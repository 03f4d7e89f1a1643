"""Decides which predicted tool calls run before anyone asks for them, what to keep of them, and what that was
worth.

Keeps one call's prefetched results; callers never share them. Pure: times are seconds on any monotonic clock and
come in as ``now``. Runs nothing; only read-only tools may come here.
"""

from collections import Counter
from dataclasses import dataclass
from enum import Enum
from typing import Generic, Literal, TypeVar

R = TypeVar("R")

Source = Literal["state", "learnt", "words", "model"]
"""Why a call is expected: the agent's map, past calls, what the caller is saying, or a speculative reply."""

Key = tuple[str, str]
"""A tool's name and its canonical arguments."""


@dataclass(frozen=True, slots=True)
class PrefetchPolicy:
    """How much is run on a guess."""

    limit_s: float = 2.0
    """A prediction's run is given up after this long, unless the call it predicted has come by then."""

    keep_s: float = 30.0
    """How long a result may be used."""

    per_call: int = 20
    """Runs in one call; 0 switches prefetching off."""

    at_once: int = 3
    """Runs at the same time in one call."""

    give_up_after: int = 4
    """A tool whose predictions were wrong so often in a row is not predicted again in this call."""

    min_probability: float = 0.3
    """From past calls only what followed at least this share of times is predicted."""

    min_weight: float = 3.0
    """And only where at least so many (decayed) calls were seen."""


@dataclass(frozen=True, slots=True)
class Prefetch:
    """A predicted call to run now."""

    key: Key
    source: Source


@dataclass(slots=True)
class PrefetchFigures:
    """What prefetching did. ``wasted`` are runs whose result nobody asked for; the rest is plain."""

    started: int = 0
    hits: int = 0
    misses: int = 0
    wasted: int = 0
    failed: int = 0
    saved_ms: float = 0.0

    def add(self, other: "PrefetchFigures") -> None:
        """Sum up, e.g. over calls."""
        self.started += other.started
        self.hits += other.hits
        self.misses += other.misses
        self.wasted += other.wasted
        self.failed += other.failed
        self.saved_ms += other.saved_ms


class _Stage(Enum):
    RUNNING = "running"
    READY = "ready"
    FAILED = "failed"


@dataclass(slots=True)
class _Entry(Generic[R]):
    stage: _Stage
    since: float
    started_at: float
    result: R | None = None
    used: bool = False


class PrefetchCache(Generic[R]):
    """One call's predictions. An entry runs, then is ready until ``keep_s`` later, or has failed for as long."""

    def __init__(self, policy: PrefetchPolicy) -> None:
        self.figures = PrefetchFigures()
        self._policy = policy
        self._entries: dict[Key, _Entry[R]] = {}
        self._wasted_in_a_row: Counter[str] = Counter()
        self._closed = False

    def __repr__(self) -> str:
        stages = Counter(entry.stage.value for entry in self._entries.values())
        inside = ", ".join(f"{count} {stage}" for stage, count in sorted(stages.items()))
        return f"<PrefetchCache: {inside or 'empty'}>"

    @property
    def running(self) -> tuple[Key, ...]:
        """What is being run on a guess."""
        return tuple(key for key, entry in self._entries.items() if entry.stage is _Stage.RUNNING)

    def reserve(self, key: Key, now: float) -> bool:
        """Whether to run this now; if so it counts as running until :meth:`finish` or :meth:`abandon`."""
        self._expire(now)
        policy = self._policy
        if (
            self._closed
            or key in self._entries
            or self.figures.started >= policy.per_call
            or len(self.running) >= policy.at_once
            or self._wasted_in_a_row[key[0]] >= policy.give_up_after
        ):
            return False
        self.figures.started += 1
        self._entries[key] = _Entry(_Stage.RUNNING, now, now)
        return True

    def finish(self, key: Key, result: R | None, now: float) -> None:
        """The run is over; None: it failed or was given up. Ignored if the entry is gone meanwhile."""
        entry = self._entries.get(key)
        if entry is None or entry.stage is not _Stage.RUNNING:
            return
        entry.since, entry.result = now, result
        entry.stage = _Stage.READY if result is not None else _Stage.FAILED
        if result is None:
            self.figures.failed += 1

    def abandon(self, key: Key) -> None:
        """The reserved run does not happen after all: the real call came first."""
        entry = self._entries.get(key)
        if entry is not None and entry.stage is _Stage.RUNNING:
            del self._entries[key]
            self.figures.started -= 1

    def ready(self, now: float) -> dict[Key, R]:
        """The results that could be used now, the oldest first. Asking counts as nothing."""
        self._expire(now)
        return {key: entry.result for key, entry in self._entries.items() if entry.result is not None}

    def take(self, key: Key, now: float) -> R | None:
        """The real call has come: a result that is ready for it, or None. Counts no miss."""
        self._expire(now)
        entry = self._entries.get(key)
        if entry is None or entry.stage is not _Stage.READY:
            return None
        self._hit(key, entry, entry.since - entry.started_at)
        return entry.result

    def join(self, key: Key, now: float) -> None:
        """The real call has come while its prediction is running, and waits for that."""
        entry = self._entries.get(key)
        if entry is not None and entry.stage is _Stage.RUNNING:
            self._hit(key, entry, now - entry.started_at)

    def miss(self) -> None:
        """The real call had to be run."""
        self.figures.misses += 1

    def invalidate(self) -> None:
        """Something has changed: results read before that must not be used."""
        for key in list(self._entries):
            self._drop(key)

    def close(self) -> PrefetchFigures:
        """The call is over. Returns the final figures."""
        self._closed = True
        self.invalidate()
        return self.figures

    def _hit(self, key: Key, entry: _Entry[R], saved_s: float) -> None:
        entry.used = True
        self.figures.hits += 1
        self.figures.saved_ms += saved_s * 1000
        self._wasted_in_a_row[key[0]] = 0

    def _expire(self, now: float) -> None:
        for key, entry in list(self._entries.items()):
            if entry.stage is not _Stage.RUNNING and now - entry.since >= self._policy.keep_s:
                self._drop(key)

    def _drop(self, key: Key) -> None:
        entry = self._entries.pop(key)
        if not entry.used and entry.stage is not _Stage.FAILED:
            self.figures.wasted += 1
            self._wasted_in_a_row[key[0]] += 1
