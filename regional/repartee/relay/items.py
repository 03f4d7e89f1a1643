"""The items of a relayed conversation, so that another session can learn them if this one is lost.

Keeps words, never audio: what the caller said as it was transcribed, and of the agent's answers what was heard.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from repartee.turn.history import FunctionCall, Item, Message, heard_part
from repartee.turn.item_list import Entry, HistoryLimits, ItemList, Kind, size_of
from repartee.wire.relay_events import ItemSeen


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
        if self.heard_ms is None:
            return text
        return heard_part(text, (), self.audio_ms, self.heard_ms)


class ItemLedger:
    """The items in their order; the oldest turns are forgotten beyond the limits."""

    def __init__(self, limits: HistoryLimits | None = None) -> None:
        self._items: ItemList[_Item] = ItemList(limits)
        self._hidden: set[str] = set()

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, item_id: str) -> bool:
        return self._items.find(item_id) is not None

    def add(
        self, item_id: str, fields: dict[str, Any], *, text: str | None = None, after: str | None = None
    ) -> None:
        """An item stands in the conversation, with what it consists of beside its text. One that is known is
        completed, and keeps its place."""
        known = self._items.find(item_id)
        if known is None:
            before = self._items.find(after) if after else None
            entry = _entry(_Item(item_id, fields, text))
            self._items.insert(entry, before or self._items.last)
        else:
            known.item.fields = fields
            known.item.text = text if text else known.item.text
            self._items.resize(known, _size(known.item))
        self._items.trim()

    def recall(self, items: Sequence[Item]) -> None:
        """What was said and done before the call came here."""
        for item in items:
            if isinstance(item, Message):
                self.add(item.item_id, {"type": "message", "role": item.role}, text=item.text)
            elif isinstance(item, FunctionCall):
                fields = {"call_id": item.call_id, "name": item.name, "arguments": item.object_arguments}
                self.add(item.item_id, {"type": "function_call", **fields})
            else:
                fields = {"call_id": item.call_id, "output": item.output}
                self.add(item.item_id, {"type": "function_call_output", **fields})

    def hide(self, item_id: str) -> None:
        """The client knows this item already: it does not see the provider's events about it."""
        self._hidden.add(item_id)

    def note(self, item: ItemSeen, after: str | None, *, done: bool) -> bool:
        """Record an item of the provider's; whether the client is to see the event."""
        if item.id in self._hidden:
            if done:
                self._hidden.discard(item.id)
            return False
        fields: dict[str, Any] = {"type": item.type}
        for key in ("role", "call_id", "name", "arguments", "output"):
            if (value := getattr(item, key)) is not None:
                fields[key] = value
        texts = [part.text if part.text is not None else part.transcript for part in item.content]
        # A call's arguments are not complete before it is done.
        if item.type in ("message", "function_call_output") or (item.type == "function_call" and done):
            text = " ".join(text for text in texts if text)
            self.add(item.id, fields, text=text or None, after=after)
        return True

    def says(self, item_id: str, text: str) -> None:
        """All words of a message, as they are known now."""
        if entry := self._items.find(item_id):
            entry.item.text = text
            self._items.resize(entry, _size(entry.item))

    def continues(self, item_id: str, text: str) -> None:
        """More words of an answer."""
        if entry := self._items.find(item_id):
            entry.item.text = (entry.item.text or "") + text
            self._items.resize(entry, entry.size + size_of(text))

    def sounds(self, item_id: str, length_ms: float) -> None:
        """More audio of an answer was sent."""
        if entry := self._items.find(item_id):
            entry.item.audio_ms += length_ms

    def cut(self, item_id: str, heard_ms: float) -> None:
        """No more of an answer than this was heard."""
        if entry := self._items.find(item_id):
            entry.item.heard_ms = heard_ms

    def heard(self, item_id: str, played_ms: float) -> None:
        """So much of an answer was heard so far."""
        if entry := self._items.find(item_id):
            entry.item.heard_ms = max(entry.item.heard_ms or 0.0, played_ms)

    def audio_ms(self, item_id: str) -> float:
        """How much audio of an answer was sent."""
        entry = self._items.find(item_id)
        return entry.item.audio_ms if entry else 0.0

    def remove(self, item_id: str) -> None:
        """The item was deleted."""
        if entry := self._items.find(item_id):
            self._items.remove(entry)

    def drop_unheard(self) -> bool:
        """Forget what the caller said but nobody has transcribed; whether there was any of that."""
        unheard = [entry for entry in self._items if entry.kind == "turn" and not entry.item.text]
        for entry in unheard:
            self._items.remove(entry)
        return bool(unheard)

    def replay(self) -> list[dict[str, Any]]:
        """The items as they can be created anew, in order. An output without its call would be refused."""
        kept = [
            entry.item
            for entry in self._items
            if entry.kind != "output" or self._items.holds_call(entry.call_id)
        ]
        return [created for item in kept if (created := _created(item))]


def _entry(item: _Item) -> Entry[_Item]:
    kinds: dict[str, Kind] = {"function_call": "call", "function_call_output": "output"}
    kind = kinds.get(item.fields["type"], "turn" if item.fields.get("role") == "user" else "other")
    return Entry(item.item_id, item, kind, item.fields.get("call_id", ""), _size(item))


def _size(item: _Item) -> int:
    texts = (item.text, item.fields.get("arguments"), item.fields.get("output"))
    return size_of(*(text for text in texts if text))


def _created(item: _Item) -> dict[str, Any] | None:
    base = {"id": item.item_id, **item.fields}
    if item.fields["type"] != "message":
        return base
    text = item.heard_text()
    if not text:
        return None
    kind = "output_text" if item.fields["role"] == "assistant" else "input_text"
    return base | {"content": [{"type": kind, "text": text}]}
