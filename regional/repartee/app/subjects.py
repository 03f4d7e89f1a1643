"""How many calls each caller has in progress, so that one token or key cannot take all of a region's slots.

A caller is a ticket's subject: a browser token or an API key. Pure.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from repartee.errors import TooManyCalls

RETRY_AFTER_S = 2


class SharedSubjects(Protocol):
    """Calls that several processes count together."""

    def take_call(self, subject: str, limit: int) -> bool:
        """Count one more call of this subject's, if it has fewer than ``limit`` in all of them."""

    def give_call_back(self, subject: str) -> None:
        """One of them is over."""


class Subjects:
    """The subjects with calls under way. Counting one more never waits."""

    def __init__(self, shared: SharedSubjects | None = None) -> None:
        self._shared = shared
        self._calls: Counter[str] = Counter()

    def __repr__(self) -> str:
        return f"<Subjects: {len(self._calls)} with {self._calls.total()} calls>"

    @contextmanager
    def one(self, subject: str, limit: int | None) -> Iterator[None]:
        """A call of this subject's, for as long as the context is open. None: any number. Raises TooManyCalls."""
        if limit is None:
            yield
            return
        if not self._take(subject, limit):
            raise TooManyCalls(
                f"This token or key has {limit} calls at once already: end one, or try again later.",
                retry_after_s=RETRY_AFTER_S,
            )
        try:
            yield
        finally:
            self._give_back(subject)

    def _take(self, subject: str, limit: int) -> bool:
        if self._shared:
            return self._shared.take_call(subject, limit)
        if self._calls[subject] >= limit:
            return False
        self._calls[subject] += 1
        return True

    def _give_back(self, subject: str) -> None:
        if self._shared:
            self._shared.give_call_back(subject)
            return
        self._calls[subject] -= 1
        if not self._calls[subject]:
            del self._calls[subject]
