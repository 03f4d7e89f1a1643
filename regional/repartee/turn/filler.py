"""What the core asks of whoever chooses fillers: the agent's side does, and the core only says when it is time."""

import math
from typing import Protocol


class FillerChoice(Protocol):
    """One call's fillers. Times are seconds: ``audible_until`` is when the caller will have heard all that was sent
    so far, ``by`` when they must hear something more, if there is anything to say."""

    def begin(self, call_id: str, tool: str, now: float) -> None:
        """A tool has begun to run."""

    def end(self, call_id: str) -> None:
        """Its result is there."""

    def cancel(self) -> None:
        """The wait is over: the answer begins, or the caller speaks."""

    def due_at(self, audible_until: float, by: float = math.inf) -> float | None:
        """When to ask :meth:`take` (None: there is nothing to say)."""

    def take(self, now: float, audible_until: float, by: float = math.inf) -> str | None:
        """What to say now; counts as said."""


class NoFillers:
    """Silence while tools run."""

    def begin(self, call_id: str, tool: str, now: float) -> None:
        """Nothing to do."""

    def end(self, call_id: str) -> None:
        """Nothing to do."""

    def cancel(self) -> None:
        """Nothing to do."""

    def due_at(self, audible_until: float, by: float = math.inf) -> float | None:
        """Never."""
        return None

    def take(self, now: float, audible_until: float, by: float = math.inf) -> str | None:
        """Nothing."""
        return None
