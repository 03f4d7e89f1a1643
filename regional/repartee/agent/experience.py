"""What past calls have taught: which tool tends to follow which, and how long each takes.

Pure, with wall-clock seconds as ``now``; ``store/transitions`` keeps the counts. It keeps only tools' names: no
arguments, no words, nothing about a caller.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

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


class Experience:
    """One agent's, shared by all calls of a process. ``counts`` are weights, each with the time of its last
    change."""

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
            known[tool] = counted(known.get(tool), now, self._half_life_s)

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

    @property
    def expected(self) -> Mapping[str, float]:
        """How long each tool tends to take, as far as that is known (ms); follows what is learnt."""
        return MappingProxyType(self._expected_ms)

    def expected_ms(self, tool: str) -> float | None:
        """How long the tool tends to take; None if it has never run."""
        return self._expected_ms.get(tool)

    def _weight(self, count: tuple[float, float], now: float) -> float:
        return decayed(count, now, self._half_life_s)


def counted(
    count: tuple[float, float] | None, now: float, half_life_s: float = HALF_LIFE_S
) -> tuple[float, float]:
    """The count with one more call in it."""
    return (decayed(count, now, half_life_s) if count else 0.0) + 1.0, now


def decayed(count: tuple[float, float], now: float, half_life_s: float) -> float:
    """What a weight of an earlier time is worth now."""
    weight, at = count
    return weight * float(0.5 ** (max(now - at, 0.0) / half_life_s))
