"""What a relayed conversation has consisted of, so that it can be told to another session if this one is lost.

Keeps words, never audio: what the caller said as it was transcribed, and of the agent's answers what was heard.
"""

from dataclasses import dataclass, field
from typing import Any

MAX_ITEMS = 300
"""Older items are forgotten: no model would be given them."""


@dataclass(slots=True)
class _Item:
    item_id: str
    fields: dict[str, Any]
    text: str | None = None
    audio_ms: float = 0.0
    heard_ms: float | None = None

    def heard_text(self) -> str:
        """The words as far as they were heard, reckoned by their share of the audio."""
        text = self.text or ""
        if self.heard_ms is None or self.heard_ms >= self.audio_ms:
            return text
        cut = text[: int(len(text) * self.heard_ms / self.audio_ms)]
        return cut.rpartition(" ")[0]


@dataclass(slots=True)
class RelayedItems:
    """The items in their order."""

    _items: list[_Item] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, item_id: str) -> bool:
        return self._find(item_id) is not None

    def add(
        self, item_id: str, fields: dict[str, Any], *, text: str | None = None, after: str | None = None
    ) -> None:
        """An item stands in the conversation, with what it consists of beside its text. One that is known is
        completed, and keeps its place."""
        known = self._find(item_id)
        if known is not None:
            known.fields = fields
            known.text = text if text else known.text
            return
        place = len(self._items)
        for number, item in enumerate(self._items):
            if item.item_id == after:
                place = number + 1
        self._items.insert(place, _Item(item_id, fields, text))
        del self._items[:-MAX_ITEMS]

    def says(self, item_id: str, text: str) -> None:
        """All words of a message, as they are known now."""
        if item := self._find(item_id):
            item.text = text

    def continues(self, item_id: str, text: str) -> None:
        """More words of an answer."""
        if item := self._find(item_id):
            item.text = (item.text or "") + text

    def sounds(self, item_id: str, length_ms: float) -> None:
        """More audio of an answer was sent."""
        if item := self._find(item_id):
            item.audio_ms += length_ms

    def cut(self, item_id: str, heard_ms: float) -> None:
        """No more of an answer than this was heard."""
        if item := self._find(item_id):
            item.heard_ms = heard_ms

    def remove(self, item_id: str) -> None:
        """The item was deleted."""
        self._items = [item for item in self._items if item.item_id != item_id]

    def drop_unheard(self) -> bool:
        """Forget what the caller said but nobody has transcribed; whether there was any of that."""
        kept = [item for item in self._items if item.fields.get("role") != "user" or item.text]
        dropped = len(kept) < len(self._items)
        self._items = kept
        return dropped

    def replay(self) -> list[dict[str, Any]]:
        """The items as they can be created anew, in order."""
        return [told for item in self._items if (told := _told(item))]

    def _find(self, item_id: str) -> _Item | None:
        return next((item for item in reversed(self._items) if item.item_id == item_id), None)


def _told(item: _Item) -> dict[str, Any] | None:
    base = {"id": item.item_id, **item.fields}
    if item.fields["type"] != "message":
        return base
    text = item.heard_text()
    if not text:
        return None
    kind = "output_text" if item.fields["role"] == "assistant" else "input_text"
    return base | {"content": [{"type": kind, "text": text}]}
