"""Whether a telephone line carries audio both ways. Pure: ``now`` is seconds on any clock."""

from dataclasses import dataclass
from typing import Literal

LineTrouble = Literal["nothing_received", "nothing_played"]
"""No audio comes from the caller; or what was sent is not said to be played."""


@dataclass(frozen=True, slots=True)
class LineWatchPolicy:
    """When a line counts as dead."""

    silent_s: float = 2.0
    """A carrier sends frames whether anybody speaks or not: after so long without one, none will come."""


class LineWatch:
    """Watches one line. Reports each trouble once, until the line is well again."""

    def __init__(self, now: float, policy: LineWatchPolicy | None = None) -> None:
        self._policy = policy or LineWatchPolicy()
        self._heard_at = now
        self._told: set[LineTrouble] = set()

    def received(self, now: float) -> None:
        """A frame has come."""
        self._heard_at = now
        self._told.discard("nothing_received")

    def played(self) -> None:
        """A mark has come back."""
        self._told.discard("nothing_played")

    def look(self, now: float, *, late_mark: bool) -> list[LineTrouble]:
        """What is wrong and not reported yet. ``late_mark``: a mark is overdue."""
        found: list[LineTrouble] = []
        if now - self._heard_at >= self._policy.silent_s:
            found.append("nothing_received")
        if late_mark:
            found.append("nothing_played")
        new = [trouble for trouble in found if trouble not in self._told]
        self._told.update(new)
        return new
