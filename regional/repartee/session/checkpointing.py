"""Writes down what is said and done in a call while it goes on, so that another worker can go on with it."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from repartee.agent.said import Said
from repartee.agent.toolbox import Run
from repartee.turn.earlier import (
    MOST_OUTPUT_CHARS,
    Earlier,
    SaidEarlier,
    StateEarlier,
    ToolRanEarlier,
    keepable,
    noted_in,
    packed,
)

log = logging.getLogger(__name__)

MOST_PIECES = 400
STATE_SHARE = 0.5
"""So much of what may be kept may be the author's state; the rest is for what was said."""


class Checkpointing:
    """The writing down of one call. ``keep`` takes all of it anew, as text of so many bytes at most, whenever it has
    changed, and waits for nothing; None: nobody would go on with the call. ``earlier`` is what was said and done
    before this worker had it."""

    def __init__(
        self,
        keep: Callable[[str], None] | None = None,
        most_bytes: int = 0,
        earlier: Sequence[Earlier] = (),
    ) -> None:
        self._keep = keep
        self._most_bytes = most_bytes
        self.earlier = earlier
        said = [piece for piece in earlier if not isinstance(piece, StateEarlier)]
        self._pieces: dict[str, Earlier] = {f"earlier_{n}": piece for n, piece in enumerate(said)}
        self._tools = 0
        self._state: Callable[[], Mapping[str, Any]] = dict
        self._hide: Callable[[str], str] = str
        self._told_of_state = False

    def __repr__(self) -> str:
        return f"<Checkpointing: {len(self._pieces)} pieces>"

    def serve(
        self, state: dict[str, Any], look: Callable[[], Mapping[str, Any]], hide: Callable[[str], str]
    ) -> None:
        """The author's ``state`` begins as it was, and is kept from now on as ``look`` finds it; but nothing of it
        that ``hide`` would change, which is secret."""
        state.update(noted_in(self.earlier))
        self._state, self._hide = look, hide

    def said(self, said: Said) -> None:
        """One side has said something, or less of it was heard than was thought."""
        if said.text:
            self._put(said.item_id, SaidEarlier(said.who, said.text, said.at_s, said.interrupted))
        elif self._pieces.pop(said.item_id, None):
            self.write()

    def tool_ran(self, run: Run) -> None:
        """A tool of the agent's has answered, and its answer counts."""
        self._tools += 1
        ran = ToolRanEarlier(run.tool, run.arguments, run.output[:MOST_OUTPUT_CHARS])
        self._put(f"tool_{self._tools}", ran)

    def _put(self, name: str, piece: Earlier) -> None:
        if self._keep is None:
            return
        self._pieces[name] = piece
        while len(self._pieces) > MOST_PIECES:
            del self._pieces[next(iter(self._pieces))]
        self.write()

    def write(self) -> None:
        """Write all of it down as it is now."""
        if self._keep is None:
            return
        pieces = list(self._pieces.values())
        if noted := self._noted():
            pieces.append(StateEarlier(noted))
        self._keep(packed(pieces, self._most_bytes))

    def _noted(self) -> dict[str, msgspec.Raw]:
        """The author's state, as far as it can be kept."""
        state = self._state()
        kept = keepable(state, round(self._most_bytes * STATE_SHARE))
        if len(kept) < len(state) and not self._told_of_state:
            self._told_of_state = True
            log.warning(
                "%d values in ctx.state are no JSON, or too long; leaving them out of what is kept of the call",
                len(state) - len(kept),
            )
        return {
            name: value
            for name, value in kept.items()
            if not self._is_secret(f"{name} {bytes(value).decode()}")
        }

    def _is_secret(self, text: str) -> bool:
        return self._hide(text) != text
