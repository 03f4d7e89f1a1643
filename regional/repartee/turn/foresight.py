"""What was looked up before anyone asked: the agent's side knows, and the core takes it along to the model."""

from collections.abc import Sequence
from typing import Protocol

import msgspec


class Foreseen(msgspec.Struct, frozen=True):
    """A read-only tool's result that is there already. ``arguments`` and ``output`` are JSON text."""

    name: str
    arguments: str
    output: str


class Foresight(Protocol):
    """One call's."""

    def foreseen(self, turn_id: int, text: str) -> Sequence[Foreseen]:
        """The results that belong to these words of the caller's. Asking changes nothing."""

    def used(self, result: Foreseen) -> None:
        """The turn is confirmed, and its answer was made with this result."""


class NoForesight:
    """Nothing is looked up before it is asked for."""

    def foreseen(self, turn_id: int, text: str) -> Sequence[Foreseen]:
        """Nothing."""
        return ()

    def used(self, result: Foreseen) -> None:
        """Cannot happen."""
