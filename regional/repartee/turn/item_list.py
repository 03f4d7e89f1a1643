"""A conversation's items in order: each is found, added and removed in constant time, and their number and size are
bounded. Pure; knows of an item only what its entry says.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

ItemT = TypeVar("ItemT")
Kind = Literal["turn", "call", "output", "other"]
"""``turn``: the caller's words, with which a turn begins; ``call``, ``output``: a function's."""

SHORT_TURN_ITEMS = 64
"""A turn of more items than this is not forgotten as a whole, but as far as it must be."""


@dataclass(frozen=True, slots=True)
class HistoryLimits:
    """How much of a conversation is kept. Beyond it the oldest turns are forgotten."""

    items: int = 2_000
    size: int = 2 * 2**20
    """In bytes of UTF-8."""


@dataclass(eq=False, slots=True)
class Entry(Generic[ItemT]):
    """An item in its place. ``size`` is in bytes of UTF-8; ``call_id`` links a function's call and its output."""

    item_id: str
    item: ItemT
    kind: Kind = "other"
    call_id: str = ""
    size: int = 0
    before: "Entry[ItemT] | None" = None
    after: "Entry[ItemT] | None" = None


class ItemList(Generic[ItemT]):
    """The entries, linked."""

    def __init__(self, limits: HistoryLimits | None = None) -> None:
        self._limits = limits or HistoryLimits()
        self._by_id: dict[str, Entry[ItemT]] = {}
        self._calls: dict[str, list[Entry[ItemT]]] = defaultdict(list)
        self._outputs: dict[str, list[Entry[ItemT]]] = defaultdict(list)
        self._first: Entry[ItemT] | None = None
        self._last: Entry[ItemT] | None = None
        self._count = 0
        self.size = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Entry[ItemT]]:
        entry = self._first
        while entry is not None:
            yield entry
            entry = entry.after

    def __repr__(self) -> str:
        return f"<ItemList: {self._count} items, {self.size} bytes>"

    @property
    def last(self) -> Entry[ItemT] | None:
        """The newest item."""
        return self._last

    def find(self, item_id: str) -> Entry[ItemT] | None:
        """The item with this id; if there are several, the first that was added."""
        return self._by_id.get(item_id)

    def holds_call(self, call_id: str) -> bool:
        """Whether a function's call with this id is there."""
        return call_id in self._calls

    def call(self, call_id: str) -> Entry[ItemT] | None:
        """The function's call with this id; if there are several, the first."""
        return self._calls[call_id][0] if call_id in self._calls else None

    def is_answered(self, call_id: str) -> bool:
        """Whether the call's output is there."""
        return call_id in self._outputs

    def insert(self, entry: Entry[ItemT], before: Entry[ItemT] | None) -> None:
        """Put an item behind ``before``; None: at the start."""
        entry.before = before
        entry.after = self._first if before is None else before.after
        self._link(entry)
        self._by_id.setdefault(entry.item_id, entry)
        if entry.kind == "call":
            self._calls[entry.call_id].append(entry)
        elif entry.kind == "output":
            self._outputs[entry.call_id].append(entry)
        self._count += 1
        self.size += entry.size

    def resize(self, entry: Entry[ItemT], size: int) -> None:
        """The item has this size now."""
        self.size += size - entry.size
        entry.size = size

    def remove(self, entry: Entry[ItemT]) -> None:
        """Take an item out."""
        if entry.before is None:
            self._first = entry.after
        else:
            entry.before.after = entry.after
        if entry.after is None:
            self._last = entry.before
        else:
            entry.after.before = entry.before
        if self._by_id.get(entry.item_id) is entry:
            del self._by_id[entry.item_id]
        self._forget_link(entry)
        self._count -= 1
        self.size -= entry.size

    def trim(self) -> list[str]:
        """Forget the oldest turns until the rest is within the limits; the ids of what was forgotten.

        The newest item stays, whatever its size; but a function's output goes with its call.
        """
        forgotten: list[str] = []
        while self._over:
            forgotten += self._forget_oldest_turn()
        return forgotten

    @property
    def _over(self) -> bool:
        over = self._count > self._limits.items or self.size > self._limits.size
        return over and self._count > 1

    def _forget_oldest_turn(self) -> list[str]:
        forgotten: list[str] = []
        while (oldest := self._first) is not None and self._count > 1:
            begins = oldest.kind == "turn" or len(forgotten) >= SHORT_TURN_ITEMS
            if forgotten and begins and (oldest.kind == "turn" or not self._over):
                break
            self._forget(oldest, forgotten)
        return forgotten

    def _forget(self, entry: Entry[ItemT], forgotten: list[str]) -> None:
        outputs = list(self._outputs.get(entry.call_id, ())) if entry.kind == "call" else []
        self.remove(entry)
        forgotten.append(entry.item_id)
        if entry.kind == "call" and not self.holds_call(entry.call_id):
            for output in outputs:
                self.remove(output)
                forgotten.append(output.item_id)

    def _link(self, entry: Entry[ItemT]) -> None:
        if entry.before is None:
            self._first = entry
        else:
            entry.before.after = entry
        if entry.after is None:
            self._last = entry
        else:
            entry.after.before = entry

    def _forget_link(self, entry: Entry[ItemT]) -> None:
        if entry.kind == "call":
            self._calls[entry.call_id].remove(entry)
            if not self._calls[entry.call_id]:
                del self._calls[entry.call_id]
        elif entry.kind == "output":
            self._outputs[entry.call_id].remove(entry)
            if not self._outputs[entry.call_id]:
                del self._outputs[entry.call_id]


def size_of(*texts: str) -> int:
    """The size of texts, in bytes of UTF-8."""
    return sum(len(text) if text.isascii() else len(text.encode(errors="surrogatepass")) for text in texts)
