"""What has been tried to answer a turn, and since when the caller has heard nothing. Plain data."""

from dataclasses import dataclass


@dataclass(slots=True)
class TurnEffort:
    """The effort that one turn has cost.

    ``requests`` counts how often the model was asked, ``calls`` the tools it called; ``asked_again``: it has been
    asked once more because nothing could be heard of its answer. ``quiet_since`` is when the caller's last word was,
    or the last request to answer (s); ``accompanied`` is when the silence began that was broken with a word to the
    caller, as no answer could come in time any more.
    """

    turn_id: int = -1
    requests: int = 0
    calls: int = 0
    asked_again: bool = False
    quiet_since: float = 0.0
    accompanied: float | None = None

    def may_call(self, limit: int) -> bool:
        """Whether the model may still call tools: ``limit`` is how many calls a turn may have."""
        return self.calls < limit and self.requests <= limit
