"""A caller who says nothing for long: when the agent asks whether they are there, and when it hangs up.

One rule for both kinds of call. Times are seconds.
"""

from enum import Enum

from repartee.turn.policy import TurnPolicy

IDLE = "idle"
"""The deadline by which such a caller is asked."""

SILENT = "The caller has been silent for too long."


class Silence(Enum):
    """What to do about it."""

    ASK = "ask"
    HANG_UP = "hang up"


class SilentCaller:
    """Watches for the silence of one caller.

    ``policy`` may be another each time: it has ``idle_s``, ``idle_times`` and ``hang_up_s``."""

    def __init__(self) -> None:
        self._asked = 0

    def spoke(self) -> None:
        """The caller has said something."""
        self._asked = 0

    def wait_s(self, policy: TurnPolicy) -> float | None:
        """How long the caller may be silent from now on; None: for ever."""
        if policy.idle_s is None:
            return None
        asks = policy.idle_reported or self._asked < policy.idle_times
        return policy.idle_s if asks else policy.hang_up_s

    def look(self, policy: TurnPolicy) -> Silence:
        """They have been silent for so long. Asking is taken to be done."""
        if self._asked >= policy.idle_times and not policy.idle_reported:
            return Silence.HANG_UP
        self._asked += 1
        return Silence.ASK
