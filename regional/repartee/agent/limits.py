"""What one call of an agent may use."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """What one call may use."""

    call_s: float = 3600.0
    """A call is ended after this long."""

    tool_calls_per_turn: int = 8
    """Further tool calls in the same turn are refused, so that a model cannot go round in circles."""

    result_chars: int = 8_000
    """A longer tool result is cut off."""

    hook_s: float = 2.0
    """A hook that takes longer is given up: the caller is waiting."""
