"""Items that the client knows and the provider does not: what was said from memory, or out of band."""

from repartee.errors import ClientProtocolError
from repartee.relay.commands import TruncationNoted
from repartee.turn import commands as c
from repartee.turn.history import Message
from repartee.wire import client_events as w

MAX_ITEMS = 100
"""Older ones are forgotten; the provider refuses what is asked about those."""


class OutsideItems:
    """The latest of them, by id."""

    def __init__(self) -> None:
        self._items: dict[str, Message] = {}

    def __contains__(self, item_id: str) -> bool:
        return item_id in self._items

    def get(self, item_id: str) -> Message | None:
        """The item, if it is one of these."""
        return self._items.get(item_id)

    def add(self, message: Message) -> None:
        """The client knows this item."""
        self._items[message.item_id] = message
        while len(self._items) > MAX_ITEMS:
            del self._items[next(iter(self._items))]

    def answer(self, wish: w.TruncateItem | w.RetrieveItem | w.DeleteItem) -> list[c.Command]:
        """The answer to a client's wish about such an item. Raises ClientProtocolError."""
        match wish:
            case w.TruncateItem(item_id=item_id, audio_end_ms=heard_ms, content_index=index):
                if not heard_ms >= 0:
                    raise ClientProtocolError("audio_end_ms must be 0 or more.", param="audio_end_ms")
                return [TruncationNoted(item_id, index, heard_ms)]
            case w.RetrieveItem(item_id=item_id):
                return [c.ItemShown(self._items[item_id])]
            case w.DeleteItem(item_id=item_id):
                del self._items[item_id]
                return [c.ItemRemoved(item_id)]
