"""What a client does to the conversation's items: none of it changes whose turn it is."""

from collections.abc import Callable, Mapping
from typing import Any

from repartee.turn import commands as c
from repartee.turn import events as e
from repartee.turn.history import History, Item

Handlers = Mapping[type[e.Event], Callable[[Any, float], list[c.Command]]]


class ClientItems:
    """A client's access to one conversation's history. Each raises ClientProtocolError for what cannot be done.
    ``note`` gets each item that the client adds."""

    def __init__(
        self, history: History, new_item_id: Callable[[], str], note: Callable[[Item], None]
    ) -> None:
        self._history = history
        self._new_item_id = new_item_id
        self._note = note

    @property
    def handlers(self) -> Handlers:
        """What is done about each event."""
        return {
            e.ItemCreated: self._create,
            e.ItemRetrieved: self._retrieve,
            e.ItemDeleted: self._delete,
            e.Truncated: self._truncate,
        }

    def _create(self, event: e.ItemCreated, now: float) -> list[c.Command]:
        item = event.item
        item.item_id = item.item_id or self._new_item_id()
        added = c.ItemAdded(item, self._history.add(item, after=event.after))
        self._note(item)
        return [added]

    def _retrieve(self, event: e.ItemRetrieved, now: float) -> list[c.Command]:
        return [c.ItemShown(self._history.get(event.item_id))]

    def _delete(self, event: e.ItemDeleted, now: float) -> list[c.Command]:
        self._history.remove(event.item_id)
        return [c.ItemRemoved(event.item_id)]

    def _truncate(self, event: e.Truncated, now: float) -> list[c.Command]:
        message = self._history.truncate(event.item_id, event.audio_end_ms)
        return [c.AnswerCut(message.item_id, event.audio_end_ms, message.heard_text)]
