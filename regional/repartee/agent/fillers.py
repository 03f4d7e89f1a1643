"""What the caller hears while a tool runs: which phrase, and when.

One call's decisions, pure: times are seconds on any monotonic clock and come in as ``now``. Says nothing itself.
A *wait* lasts from the first tool that runs to the answer, or to the caller's next words.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

FILLER_AFTER_MS = 150.0
"""How long a tool may run before its first filler."""


@dataclass(frozen=True, slots=True)
class FillerPolicy:
    """When something is said. A phrase also costs time: an answer that comes meanwhile waits until the phrase is
    over."""

    after_ms: float = FILLER_AFTER_MS
    """The first filler, if there is no result by then."""

    again_after_ms: float = 4_000.0
    """The second, counted from the beginning of the wait."""

    per_wait: int = 2
    """So many in one wait; 0: none at all."""

    slow_ms: float = 500.0
    """A tool that tends to take this long gets its first filler after ``slow_after_ms``: to wait for a result that
    will not come would only add silence."""

    slow_after_ms: float = 20.0
    """Time for a result that had been prefetched."""

    chain_ms: float = 3_000.0
    """Tools that follow each other by no more than this are one wait, and its silence is one."""

    company_after_ms: float = 5_000.0
    """Silence that no filler of a tool's own has broken ends with a word to the caller, as often as it takes."""


@dataclass(slots=True)
class _Running:
    tool: str
    since: float
    first_after_s: float


class Fillers:
    """Chooses the fillers of one call.

    ``phrases`` are those of each tool that has any; it takes them in turn, and never repeats the last one if there
    is another. ``expected_ms`` has how long each tool tends to take, where that is known, and may change meanwhile;
    ``company`` is what keeps a caller company where no tool has a phrase left ("": nothing). Holds data alone: a
    core asks it, and a core calls nobody.
    """

    def __init__(
        self,
        phrases: Mapping[str, Sequence[str]],
        policy: FillerPolicy | None = None,
        *,
        expected_ms: Mapping[str, float] | None = None,
        company: str = "",
    ) -> None:
        self._phrases = {tool: tuple(choice) for tool, choice in phrases.items() if choice}
        self._policy = policy or FillerPolicy()
        self._expected_ms = {} if expected_ms is None else expected_ms
        self.company = company
        self._waiting = False
        self._seen = 0.0
        self._running: dict[str, _Running] = {}
        self._next: dict[str, int] = {}
        self._said: list[str] = []
        self._began = 0.0
        self._last: str | None = None

    def __repr__(self) -> str:
        return f"<Fillers: {len(self._running)} tools awaited, {len(self._said)} said>"

    def begin(self, call_id: str, tool: str, now: float) -> None:
        """A tool has begun to run."""
        over = not self._running and now - self._seen > self._policy.chain_ms / 1000
        self._seen = now
        if over or not self._waiting:
            self._waiting = True
            self._began = now
            self._said.clear()
        policy = self._policy
        slow = self._expected_ms.get(tool, 0.0) >= policy.slow_ms
        after_ms = min(policy.slow_after_ms, policy.after_ms) if slow else policy.after_ms
        self._running[call_id] = _Running(tool, now, after_ms / 1000)

    def end(self, call_id: str) -> None:
        """Its result is there."""
        self._running.pop(call_id, None)

    def cancel(self) -> None:
        """The wait is over: the answer begins, or the caller speaks."""
        self._running.clear()
        self._waiting = False

    def due_at(self, audible_until: float = 0.0, by: float = math.inf) -> float | None:
        """When to ask :meth:`take` (None: there is nothing to say); ``by`` then at the latest.

        ``audible_until`` is when the caller will have heard everything sent so far, fillers too. What the agent
        says of its own accord is as good as a filler, so the wait begins when that is over.
        """
        dues = [self._own_due_at(audible_until), self._company_due_at(audible_until)]
        due = min((due for due in dues if due is not None), default=None)
        return None if due is None else min(due, by)

    def _company_due_at(self, audible_until: float) -> float | None:
        if not self._running or not self.company:
            return None
        return max(self._began, audible_until) + self._policy.company_after_ms / 1000

    def _own_due_at(self, audible_until: float) -> float | None:
        """When a phrase of a tool's own is due. Silence counts from the first tool of the wait: a chain of quick ones
        is as silent as a slow one."""
        policy = self._policy
        speaking = [run for run in self._running.values() if run.tool in self._phrases]
        if not speaking or len(self._said) >= policy.per_wait or self._choose() is None:
            return None
        if self._said:
            return max(self._began + policy.again_after_ms / 1000, audible_until + policy.after_ms / 1000)
        first = min(
            max(self._began + run.first_after_s, run.since + policy.slow_after_ms / 1000) for run in speaking
        )
        since = min(run.since for run in speaking)
        return first if audible_until <= since else max(first, audible_until + policy.after_ms / 1000)

    def take(self, now: float, audible_until: float = 0.0, by: float = math.inf) -> str | None:
        """What to say now; counts as said."""
        self._seen = now
        due = self._own_due_at(audible_until)
        chosen = self._choose() if due is not None and min(due, by) <= now else None
        if chosen is None:
            company = self._company_due_at(audible_until)
            return self.company if company is not None and min(company, by) <= now else None
        tool, index = chosen
        phrase = self._phrases[tool][index]
        self._next[tool] = index + 1
        self._said.append(phrase)
        self._last = phrase
        return phrase

    def _choose(self) -> tuple[str, int] | None:
        """The next phrase of the tool that has run longest; another if that was said last or in this wait."""
        candidates = [
            (tool, index % len(phrases))
            for run in self._running.values()
            if (phrases := self._phrases.get(tool := run.tool))
            for index in range(self._next.get(tool, 0), self._next.get(tool, 0) + len(phrases))
        ]
        fresh = [c for c in candidates if self._phrases[c[0]][c[1]] not in self._said]
        unlike_last = [c for c in fresh if self._phrases[c[0]][c[1]] != self._last]
        return next(iter(unlike_last or fresh), None)
