"""What the core asks of whoever chooses fillers: the agent's side does, and the core only says when it is time."""

from typing import Protocol


class FillerChoice(Protocol):
    """One call's fillers. ``now`` and ``audible_until`` are seconds; the latter is when the caller will have heard
    all that was sent so far."""

    def begin(self, call_id: str, tool: str, now: float) -> None:
        """A tool has begun to run."""

    def end(self, call_id: str) -> None:
        """Its result is there."""

    def cancel(self) -> None:
        """The wait is over: the answer begins, or the caller speaks."""

    def due_at(self, audible_until: float) -> float | None:
        """When to ask :meth:`take` (None: there is nothing to say)."""

    def take(self, now: float, audible_until: float) -> str | None:
        """What to say now; counts as said."""


class NoFillers:
    """Silence while tools run."""

    def begin(self, call_id: str, tool: str, now: float) -> None:
        """Nothing to do."""

    def end(self, call_id: str) -> None:
        """Nothing to do."""

    def cancel(self) -> None:
        """Nothing to do."""

    def due_at(self, audible_until: float) -> float | None:
        """Never."""
        return None

    def take(self, now: float, audible_until: float) -> str | None:
        """Nothing."""
        return None
