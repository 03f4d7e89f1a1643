"""Writes down what is said and done in a call while it goes on, so that another worker can go on with it."""

from collections.abc import Callable, Sequence

from repartee.agent.said import Said
from repartee.agent.toolbox import Run
from repartee.turn.earlier import MOST_OUTPUT_CHARS, Earlier, SaidEarlier, ToolRanEarlier, packed

MOST_PIECES = 400


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
        self._pieces: dict[str, Earlier] = {f"earlier_{n}": piece for n, piece in enumerate(earlier)}
        self._tools = 0

    def __repr__(self) -> str:
        return f"<Checkpointing: {len(self._pieces)} pieces>"

    def said(self, said: Said) -> None:
        """One side has said something, or less of it was heard than was thought."""
        if said.text:
            self._put(said.item_id, SaidEarlier(said.who, said.text, said.at_s, said.interrupted))
        elif self._pieces.pop(said.item_id, None):
            self._write()

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
        self._write()

    def _write(self) -> None:
        if self._keep:
            self._keep(packed(self._pieces.values(), self._most_bytes))
