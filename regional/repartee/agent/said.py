"""A piece of a conversation, as an agent's author gets it."""

from dataclasses import dataclass
from typing import Literal

Speaker = Literal["caller", "agent"]


@dataclass(frozen=True, slots=True)
class Said:
    """What one side has said. ``text`` is as far as it was heard; ``interrupted``: the caller spoke over the rest.
    ``turn_id`` is the caller's turn that it belongs to (0: none, as with a greeting); ``at_s`` is seconds since
    1970."""

    item_id: str
    turn_id: int
    who: Speaker
    text: str
    at_s: float
    interrupted: bool = False
