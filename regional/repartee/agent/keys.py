"""The keys that a caller presses, collected until they are a whole: by ``#``, by their number, or by a pause. Pure.

Times are seconds on any clock; nothing here waits.
"""

from dataclasses import dataclass

MOST_DIGITS = 64


@dataclass(frozen=True, slots=True)
class KeyPolicy:
    """When keys are a whole: at ``#`` (no part of it), when there are ``digits``, or ``pause_s`` after the last."""

    digits: int = 0
    """0: any number, up to 64."""

    pause_s: float = 2.0


def key_faults(keys: KeyPolicy) -> list[str]:
    """What is wrong with a policy."""
    faults = []
    if not isinstance(keys.digits, int) or not 0 <= keys.digits <= MOST_DIGITS:
        faults.append(
            f"@agent.on_dtmf: digits must be from 0 (any number) to {MOST_DIGITS}, not {keys.digits!r}."
        )
    if not isinstance(keys.pause_s, int | float) or not 0.1 <= keys.pause_s <= 60:
        faults.append(f"@agent.on_dtmf: pause_s must be from 0.1 to 60, not {keys.pause_s!r}.")
    return faults


class KeyCollector:
    """One caller's keys."""

    def __init__(self, policy: KeyPolicy) -> None:
        self._policy = policy
        self._digits = ""
        self.due_at: float | None = None

    def press(self, digit: str, now: float) -> str | None:
        """A key is pressed. The keys, if they are a whole now."""
        if digit == "#" and self._digits:
            return self._take()
        self._digits += digit
        self.due_at = now + self._policy.pause_s
        if len(self._digits) >= (self._policy.digits or MOST_DIGITS):
            return self._take()
        return None

    def paused(self, now: float) -> str | None:
        """Time has passed. The keys, if the pause has made them a whole."""
        return self._take() if self.due_at is not None and now >= self.due_at else None

    def _take(self) -> str:
        digits, self._digits, self.due_at = self._digits, "", None
        return digits
