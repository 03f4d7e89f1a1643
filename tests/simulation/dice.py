"""Chance, from one seed: what goes wrong in a conversation, and when. Counts what was drawn."""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TypeVar

Thing = TypeVar("Thing")


class Dice:
    """All chance of one conversation. The same seed draws the same."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.drawn: Counter[tuple[str, str]] = Counter()
        self.hostile = self.chance(0.5)
        """Half the conversations have something wrong with nearly everything, the others now and then."""

    def behaviour(self, actor: str, ways: Mapping[str, float], *, sane: str) -> str:
        """How an actor behaves this time: ``sane`` more often than not, else one of ``ways`` by its weight."""
        if not self.chance(0.6 if self.hostile else 0.15):
            return sane
        way = self._random.choices(list(ways), list(ways.values()))[0]
        self.drawn[actor, way] += 1
        return way

    def chance(self, share: float) -> bool:
        return self._random.random() < share

    def seconds(self, least: float, most: float) -> float:
        return self._random.uniform(least, most)

    def number(self, least: int, most: int) -> int:
        return self._random.randint(least, most)

    def one_of(self, things: Sequence[Thing]) -> Thing:
        return self._random.choice(things)
