"""Whether what recognition has made out is anything that these stt understand. Pure.

They know the front desk's sentences and make nonsense of everything else. Two words that no such sentence has beside
each other are a sign of that; who hears only nonsense cannot know whether its speaker has finished.
"""

import functools
import itertools
from collections.abc import Sequence

from repartee.standins.domain import sentences

LEAST_SHARE = 0.7
"""Of the pairs of neighbours, so many are some sentence's. One of 53 of the front desk's sentences in espeak-ng's
voice had fewer, and most of the pauses within the turns of 35 recorded people, who say other things."""

START, END = "", "."


def is_understood(words: Sequence[str]) -> bool:
    """Whether these words, as recognised, make sense here."""
    if not words:
        return True
    pairs = _pairs([START, *(word.lower().strip(".,?!") for word in words), END])
    return sum(pair in _known() for pair in pairs) >= LEAST_SHARE * len(pairs)


def _pairs(words: Sequence[str]) -> list[tuple[str, str]]:
    return list(itertools.pairwise(words))


@functools.cache
def _known() -> frozenset[tuple[str, str]]:
    return frozenset(pair for sentence in sentences() for pair in _pairs([START, *sentence.split(), END]))
