"""How much of the model a call's replies use: as its server counts it, or estimated if it does not say.

Discarded replies and repeated requests cost money as well. Pure.
"""

from collections.abc import Callable
from dataclasses import dataclass

from repartee.turn.context_window import estimated_tokens
from repartee.turn.usage import TokenUsage


@dataclass(slots=True)
class _Asked:
    """One reply's requests: what each was long, how many there were, and what was written."""

    tokens: int
    requests: int = 1
    written: str = ""
    counted: bool = False


class Consumption:
    """What one call uses. ``note`` takes what was used; the flag says whether that is an estimate."""

    def __init__(self, note: Callable[[TokenUsage, bool], None]) -> None:
        self._note = note
        self._asked: dict[int, _Asked] = {}

    def __repr__(self) -> str:
        return f"<Consumption: {len(self._asked)} replies under way>"

    def asked(self, reply_id: int, tokens: int) -> None:
        """The model is asked for a reply, with a request of so many tokens (estimated)."""
        self._asked[reply_id] = _Asked(tokens)

    def asked_again(self, reply_id: int) -> None:
        """The same request is made once more: a hedge, another try, another vendor."""
        if asked := self._asked.get(reply_id):
            asked.requests += 1

    def wrote(self, reply_id: int, text: str) -> None:
        """The model has written this."""
        if asked := self._asked.get(reply_id):
            asked.written += text

    def used(self, reply_id: int, usage: TokenUsage | None) -> None:
        """The server has counted what its reply has used (None: it will not say)."""
        asked = self._asked.get(reply_id)
        if asked is not None and usage is not None and not asked.counted:
            asked.counted = True
            self._note(usage, False)

    def over(self, reply_id: int) -> None:
        """Nothing more comes of the reply: what its servers have not counted is estimated."""
        asked = self._asked.pop(reply_id, None)
        if asked is None:
            return
        uncounted = asked.requests - asked.counted
        written = 0 if asked.counted else estimated_tokens(asked.written)
        if uncounted:
            self._note(TokenUsage(asked.tokens * uncounted, written), True)
