"""Which of a region's processes gets the next connection, and when to start a dead one again.

Pure: decides from its arguments, with time as an argument; who accepts and who starts processes is in `processes`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from repartee.app.processes.shared_table import Row
from repartee.latency.backoff import backoff_s

MOST_WAITING = 64
"""Connections that a process may have been given and not picked up yet; one that is further behind gets no more."""

COLD_HANDICAP = 8
"""A process that is not warm counts as if it had so many more calls: others go first, unless they are much busier."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A process that may get a connection. ``sent``: how many it has been given. ``turn``: when it was given the
    last, on any scale; equals take turns."""

    index: int
    row: Row
    sent: int
    turn: int

    @property
    def waiting(self) -> int:
        """Connections that it has been given and not picked up."""
        return self.sent - self.row.received

    @property
    def load(self) -> int:
        """Its calls, and what may become calls in a moment."""
        cold = 0 if self.row.ready else COLD_HANDICAP
        return self.row.taken + self.row.unsettled + self.waiting + cold


def preferred(candidates: Sequence[Candidate]) -> list[int]:
    """Who gets the next connection: the processes that may, the best first. One that drains could only refuse."""
    able = [each for each in candidates if each.row.started and each.waiting < MOST_WAITING]
    able.sort(key=lambda each: (each.row.draining, each.load, each.turn))
    return [each.index for each in able]


@dataclass(frozen=True, slots=True)
class RestartSettings:
    """The pauses before a process is started again (they double), and what a process must live for to be well."""

    first_s: float = 0.5
    longest_s: float = 30.0
    well_after_s: float = 60.0


class RestartPolicy:
    """When a process that has ended is started again. Times are seconds of one clock."""

    def __init__(self, settings: RestartSettings | None = None) -> None:
        self._settings = settings or RestartSettings()
        self._failures = 0

    def pause_s(self, lived_s: float) -> float:
        """How long to wait with the next start, after a life of ``lived_s``."""
        settings = self._settings
        if lived_s >= settings.well_after_s:
            self._failures = 0
        pause = backoff_s(self._failures + 1, first_s=settings.first_s, most_s=settings.longest_s)
        self._failures += 1
        return pause
