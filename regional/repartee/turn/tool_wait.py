"""The wait for tools: which of them run, which an answer awaits, which results the caller has not heard of, and when
they hear a filler meanwhile.

Knows what was asked for and what came; making replies and having them heard is not its business.
"""

import math
from typing import Generic, Protocol, TypeVar

from repartee.turn import commands as c
from repartee.turn.events import ToolFinished
from repartee.turn.filler import FillerChoice

FILLER = "filler"


class Asker(Protocol):
    """A reply that asks for tools, of either kind of call."""

    @property
    def written(self) -> bool:
        """The model has finished it: no further call will come."""

    def ms_since_speech(self, at: float) -> float | None:
        """How long after the caller's last sample of speech this is; None if that is not known."""


AnyAsker = TypeVar("AnyAsker", bound=Asker)


class ToolWait(Generic[AnyAsker]):
    """One conversation's tools. ``len()`` is how many an answer awaits; others may run on, for their effects' sake.

    ``filler_ms`` is how long after the caller's speech this turn's filler was audible, ``prefetch`` whether its
    results had been prefetched (None: there was neither).
    """

    def __init__(self, fillers: FillerChoice) -> None:
        self.filler_ms: float | None = None
        self.prefetch: str | None = None
        self.calling: AnyAsker | None = None
        self._fillers = fillers
        self._filled: AnyAsker | None = None
        self._planned = False
        self._running: set[str] = set()
        self._awaited: set[str] = set()
        self._untold: set[str] = set()
        self._hushed: set[str] = set()

    def __len__(self) -> int:
        return len(self._awaited)

    @property
    def running(self) -> frozenset[str]:
        """The calls of the tools that run, awaited or not."""
        return frozenset(self._running)

    @property
    def untold(self) -> frozenset[str]:
        """The calls whose results no reply has told the caller of yet."""
        return frozenset(self._untold)

    def told(self, call_ids: frozenset[str]) -> None:
        """A reply that was made with these results has been heard, or is all that will be heard of them."""
        self._untold -= call_ids

    def hush(self) -> None:
        """Nothing is to be told of what has run, or runs, of its own accord."""
        self._untold.clear()
        self._hushed |= self._running

    def begin(self, asker: AnyAsker, call_id: str, tool: str, now: float, *, spoken: bool) -> None:
        """A reply has asked for a tool, which runs from now on. ``spoken``: fillers may be."""
        self._running.add(call_id)
        self._awaited.add(call_id)
        self.calling = asker
        if spoken:
            self._fillers.begin(call_id, tool, now)

    def end(self, event: ToolFinished) -> bool:
        """A result; whether it is of a tool that ran."""
        if event.call_id not in self._running:
            return False
        self._running.remove(event.call_id)
        if event.call_id in self._hushed:
            self._hushed.remove(event.call_id)
        else:
            self._untold.add(event.call_id)
        if event.call_id in self._awaited:
            self._awaited.remove(event.call_id)
            self._fillers.end(event.call_id)
            if event.prefetch:
                self.prefetch = "miss" if "miss" in (event.prefetch, self.prefetch) else event.prefetch
        return True

    def cancel(self) -> None:
        """No answer awaits anything any longer."""
        self._awaited.clear()
        self._fillers.cancel()
        self.calling = None

    def forget_turn(self) -> None:
        """What was noted belongs to a turn that is over, and so does its wait."""
        if not self._awaited:
            self._fillers.cancel()
        self.filler_ms = self.prefetch = None

    def release(self) -> AnyAsker | None:
        """The reply whose tools have all answered and whose model has finished: once, to be followed by another."""
        calling = self.calling
        if calling is None or self._awaited or not calling.written:
            return None
        self.calling = None
        return calling

    def plan(
        self, audible_until: float, now: float, *, by: float = math.inf, silent: bool = True
    ) -> list[c.Command]:
        """Have :meth:`take_filler` asked when a filler is due, ``by`` then at the latest; not while something else is
        being said."""
        due = self._fillers.due_at(audible_until, by) if self._awaited and silent else None
        planned, self._planned = self._planned, due is not None
        if due is not None:
            return [c.SetDeadline(FILLER, max(due, now))]
        return [c.ClearDeadline(FILLER)] if planned else []

    def take_filler(self, audible_until: float, now: float, *, by: float = math.inf) -> str | None:
        """The phrase to say now, if it is time."""
        self._planned = False
        phrase = self._fillers.take(now, audible_until, by)
        if phrase is not None:
            self._filled = self.calling
        return phrase

    def note_filler(self, audible_at: float) -> None:
        """The filler has become audible."""
        if self._filled:
            self.filler_ms = self._filled.ms_since_speech(audible_at)
            self._filled = None
