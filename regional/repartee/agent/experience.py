"""What past calls have taught: which tool tends to follow which, and how long each takes.

:class:`Experience` is the counting, pure, with wall-clock seconds as ``now``; :class:`ExperienceStore` keeps the
counts in SQLite. Only tools' names are kept: no arguments, no words, nothing of a caller.
"""

import logging
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path

from repartee.errors import ConfigurationError

GREETING = "greeting"
"""The state of a call before its first tool."""

END = ""
"""What follows the last tool of a call."""

HALF_LIFE_S = 14 * 24 * 3600.0
"""A call counts half after this long."""

Transition = tuple[str, str]
"""A state (``greeting`` or the last tool's name) and the tool that followed (or END)."""

_RECENT = 0.3
"""Weight of the newest run in a tool's expected time."""

_log = logging.getLogger(__name__)

_SCHEMA = """CREATE TABLE IF NOT EXISTS transitions (
    agent TEXT, state TEXT, tool TEXT, weight REAL NOT NULL, at REAL NOT NULL, PRIMARY KEY (agent, state, tool)
) WITHOUT ROWID"""


class Experience:
    """One agent's, shared by all calls of a process. ``counts`` are weights and when each was last brought up."""

    def __init__(
        self,
        counts: Mapping[Transition, tuple[float, float]] | None = None,
        *,
        half_life_s: float = HALF_LIFE_S,
    ) -> None:
        self._half_life_s = half_life_s
        self._counts: dict[str, dict[str, tuple[float, float]]] = {}
        self._expected_ms: dict[str, float] = {}
        for (state, tool), count in (counts or {}).items():
            self._counts.setdefault(state, {})[tool] = count

    def note(self, transitions: Iterable[Transition], now: float) -> None:
        """Count what followed what in one call."""
        for state, tool in transitions:
            known = self._counts.setdefault(state, {})
            known[tool] = (self._weight(known.get(tool, (0.0, now)), now) + 1.0, now)

    def likely(self, state: str, now: float, *, min_probability: float, min_weight: float) -> list[str]:
        """Tools that tend to follow, the likeliest first; none if too few calls were seen."""
        weights = {tool: self._weight(count, now) for tool, count in self._counts.get(state, {}).items()}
        total = sum(weights.values())
        if total < min_weight:
            return []
        chosen = [tool for tool in weights if tool != END and weights[tool] / total >= min_probability]
        return sorted(chosen, key=lambda tool: (-weights[tool], tool))

    def took(self, tool: str, ms: float) -> None:
        """A run of the tool has taken this long."""
        known = self._expected_ms.get(tool)
        self._expected_ms[tool] = ms if known is None else known + _RECENT * (ms - known)

    def expected_ms(self, tool: str) -> float | None:
        """How long the tool tends to take; None if it has never run."""
        return self._expected_ms.get(tool)

    def _weight(self, count: tuple[float, float], now: float) -> float:
        return decayed(count, now, self._half_life_s)


def decayed(count: tuple[float, float], now: float, half_life_s: float) -> float:
    """What a weight of an earlier time is worth now."""
    weight, at = count
    return weight * float(0.5 ** (max(now - at, 0.0) / half_life_s))


class ExperienceStore:
    """One agent's counts in a SQLite file that several processes may share. Methods block; run them in a thread."""

    def __init__(self, path: Path, agent: str, *, half_life_s: float = HALF_LIFE_S) -> None:
        self._path = path
        self._agent = agent
        self._half_life_s = half_life_s

    def load(self) -> Experience:
        """Raises ConfigurationError if the file cannot be used."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with closing(self._connect()) as db:
                rows = db.execute(
                    "SELECT state, tool, weight, at FROM transitions WHERE agent = ?", (self._agent,)
                )
                counts = {(state, tool): (weight, at) for state, tool, weight, at in rows}
        except (OSError, sqlite3.Error) as error:
            raise ConfigurationError(f"What calls teach cannot be kept in {self._path}: {error}.") from error
        return Experience(counts, half_life_s=self._half_life_s)

    def add(self, transitions: Iterable[Transition], now: float) -> None:
        """Count one call's transitions. A database that fails costs the lesson, not the call: it is logged."""
        try:
            with closing(self._connect()) as db, db:
                db.execute("BEGIN IMMEDIATE")
                for state, tool in transitions:
                    self._count(db, state, tool, now)
        except sqlite3.Error as error:
            _log.warning("What a call taught was not kept in %s: %s", self._path, error)

    def _count(self, db: sqlite3.Connection, state: str, tool: str, now: float) -> None:
        key = (self._agent, state, tool)
        row = db.execute(
            "SELECT weight, at FROM transitions WHERE agent = ? AND state = ? AND tool = ?", key
        ).fetchone()
        weight = decayed(row, now, self._half_life_s) + 1.0 if row else 1.0
        db.execute("INSERT OR REPLACE INTO transitions VALUES (?, ?, ?, ?, ?)", (*key, weight, now))

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(self._path, timeout=5.0, isolation_level=None)
        try:
            db.execute(_SCHEMA)
        except sqlite3.Error:
            db.close()
            raise
        return db
