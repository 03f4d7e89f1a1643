"""What a call may spend on replies that were begun before their turn had ended, and thrown away. Pure."""

from repartee.turn.context_window import estimated_tokens
from repartee.turn.outcome import SpeculationOutcome

SPECULATION_TOKENS = 500_000
"""Of one call, estimated: about three hundred wrong guesses with a conversation of 1,500 tokens each."""


class SpeculationBudget:
    """What one call may speculate. Tokens are estimated: those of a request, and of what the model has written."""

    def __init__(self, tokens: int = SPECULATION_TOKENS) -> None:
        self._left = tokens
        self._pending: dict[int, int] = {}

    def __repr__(self) -> str:
        return f"<SpeculationBudget: {self._left} tokens left>"

    @property
    def spent(self) -> bool:
        """No further reply may be begun on a guess."""
        return self._left <= 0

    def begin(self, reply_id: int, tokens: int) -> None:
        """A reply is asked for on a guess, with a request of so many tokens."""
        self._pending[reply_id] = tokens

    def wrote(self, reply_id: int, text: str) -> None:
        """The model has written this of a reply."""
        if reply_id in self._pending:
            self._pending[reply_id] += estimated_tokens(text)

    def settle(self, reply_id: int, outcome: SpeculationOutcome) -> int:
        """The guess was right, or the reply is thrown away; how many tokens it took until then."""
        tokens = self._pending.pop(reply_id, 0)
        if outcome != "released":
            self._left -= tokens
        return tokens
