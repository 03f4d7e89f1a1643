"""A call that may be recorded, as the call itself sees it: what its caller must hear first, and whether they have."""

from collections.abc import Callable
from typing import Protocol

from repartee.agent.said import Said
from repartee.agent.secret_values import Secrets


class RecordedCall(Protocol):
    """Whoever records a call. Nothing here waits or raises."""

    def serve(self, say: Callable[[str], None], secrets: Secrets) -> None:
        """``say`` has the caller hear a text; ``secrets`` are the call's."""

    def announce(self, notice: str) -> str:
        """What the caller is to hear before anything else; empty for nothing."""

    def said(self, said: Said) -> None:
        """The caller or the agent has said something, or less of it was heard than was thought."""
