"""What became of a turn that wanted an answer: one rule for both kinds of call."""

from typing import Literal

TurnOutcome = Literal["answered", "interrupted", "superseded", "unanswered"]
"""``answered``: played to its end; ``interrupted``: stopped while it was audible; ``superseded``: the caller went on
before it was audible; ``unanswered``: it failed, was cancelled or the call ended before it was audible."""

SpeculationOutcome = Literal["released", "resumed", "reworded"]
"""A reply begun before its turn was confirmed was used, or thrown away: the caller went on (``resumed``), or the turn
ended with other words (``reworded``)."""


def when_cut(*, audible: bool, unheard: TurnOutcome) -> TurnOutcome:
    """The answer was stopped: ``unheard`` is the outcome if nothing of it had been audible."""
    return "interrupted" if audible else unheard


def when_left(*, answered: bool, otherwise: TurnOutcome) -> TurnOutcome:
    """Nothing more of an answer is to come, and nobody stopped it."""
    return "answered" if answered else otherwise
