"""Tells the agent's own words, which come back from a loudspeaker, from the caller's.

It goes by text and time: an echo begins while the agent is audible, and says what the agent is saying. A caller who
repeats the agent's words waits until they are over. Pure.
"""

from collections.abc import Sequence
from difflib import SequenceMatcher

from repartee.turn.backchannel import words_of

AHEAD_S = 0.3
"""What the caller hears is reckoned, and may be so far ahead."""

BEFORE_S = 0.7
"""Recognition notices an echo so long after its first word, at most: none holds words that were heard before that. A
caller who says what the agent said a moment ago says it for themselves."""

MIN_LIKENESS = 0.75
"""A longer echo may be misheard by so much."""

FUZZY_WORDS = 4
"""A shorter one must be heard word for word."""


def is_echo(text: str, said: str) -> bool:
    """Whether these words are those that the agent was saying meanwhile."""
    heard, spoken = words_of(text), words_of(said)
    if not heard or len(heard) > len(spoken):
        return False
    windows = [spoken[at : at + len(heard)] for at in range(len(spoken) - len(heard) + 1)]
    if heard in windows:
        return True
    if len(heard) < FUZZY_WORDS:
        return False
    return any(_likeness(heard, window) >= MIN_LIKENESS for window in windows)


def _likeness(one: Sequence[str], other: Sequence[str]) -> float:
    return SequenceMatcher(None, one, other, autojunk=False).ratio()
