"""Requests to a model beyond a reply's first: a hedge, a retry, a mended conversation, another vendor.

One turn has a budget of them, and each of its replies gets what is left. Pure.
"""

from collections.abc import Callable
from typing import Literal

ExtraKind = Literal["speculation", "hedge", "retry", "mended", "vendor"]
"""``speculation``: before the turn had ended; ``hedge``: a second time, as the first is late; ``retry``: again, after
a failure; ``mended``: again, with a conversation that the server takes; ``vendor``: of another vendor."""


def nobody(kind: ExtraKind) -> None:
    """Counts nothing."""


class ExtraRequests:
    """The extra requests of one reply: ``left`` more may be made, and ``note`` counts each."""

    def __init__(self, left: int, note: Callable[[ExtraKind], None] = nobody) -> None:
        self.left = left
        self._note = note

    def __repr__(self) -> str:
        return f"<ExtraRequests: {self.left} left>"

    def take(self, kind: ExtraKind) -> bool:
        """Whether one more may be made; counts as made if so."""
        if self.left <= 0:
            return False
        self.left -= 1
        self._note(kind)
        return True
