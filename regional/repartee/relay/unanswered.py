"""What the client has asked for and the provider has not answered: after a lost session, the next one is asked
again.

The provider takes events in order, so an answer to one also settles those before it. Settings and responses have
records of their own (relay/settings, relay/response_events).
"""

from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence

from repartee.relay.commands import ToProvider, TruncationNoted
from repartee.turn.commands import Command
from repartee.wire import client_events as w
from repartee.wire import relay_events as wire

MOST = 256
"""So many are known, the latest."""

Asking = w.RetrieveItem | w.DeleteItem | w.TruncateItem | w.CreateItem | w.CommitAudio | w.ClearAudio
ABOUT_ITEMS: Mapping[str, type] = {
    "conversation.item.retrieved": w.RetrieveItem,
    "conversation.item.deleted": w.DeleteItem,
    "conversation.item.truncated": w.TruncateItem,
}
ABOUT_AUDIO: Mapping[str, type] = {
    "input_audio_buffer.committed": w.CommitAudio,
    "input_audio_buffer.cleared": w.ClearAudio,
}


class Unanswered:
    """A call's wishes that the provider has not answered, the oldest first."""

    def __init__(self) -> None:
        self._wishes: deque[tuple[Asking, str]] = deque(maxlen=MOST)

    def __len__(self) -> int:
        return len(self._wishes)

    def sent(self, wish: w.ClientEvent, source: str) -> None:
        """The provider is asked this; ``source`` is the client's event as it came."""
        if isinstance(wish, Asking):
            self._wishes.append((wish, source))

    def hear(self, said: wire.ProviderEvent) -> None:
        """The provider has said something: an answer, perhaps."""
        for place, (wish, _) in enumerate(self._wishes):
            if _answers(said, wish):
                for _ in range(place + 1):
                    self._wishes.popleft()
                return

    def ask_again(self, waiting: Iterable[str]) -> list[Command]:
        """What another session is asked in place of the one that was lost; what is ``waiting`` for a session goes out
        by itself. A truncated item is replayed as far as it was heard, so its cut needs no asking."""
        left, again = Counter(waiting), list[Command]()
        for wish, source in reversed(self._wishes):
            if left[source]:
                left[source] -= 1
            elif isinstance(wish, w.TruncateItem):
                again.append(TruncationNoted(wish.item_id, wish.content_index, wish.audio_end_ms))
            else:
                again.append(ToProvider(source))
        self._forget_truncations(again)
        return again[::-1]

    def _forget_truncations(self, done: Sequence[Command]) -> None:
        told = {command.item_id for command in done if isinstance(command, TruncationNoted)}
        kept = [
            entry
            for entry in self._wishes
            if not (isinstance(entry[0], w.TruncateItem) and entry[0].item_id in told)
        ]
        self._wishes = deque(kept, maxlen=MOST)


def _answers(said: wire.ProviderEvent, wish: Asking) -> bool:
    """Whether this is what the provider says to such a wish."""
    if said.error is not None:
        return said.error.event_id == wish.event_id and said.error.code != "session_expired"
    if isinstance(wish, w.RetrieveItem | w.DeleteItem | w.TruncateItem):
        item_id = said.item.id if said.item else said.item_id
        return ABOUT_ITEMS.get(said.type) is type(wish) and item_id == wish.item_id
    if isinstance(wish, w.CreateItem):
        return said.type == "conversation.item.added" and _is_new(said.item, wish.item)
    return ABOUT_AUDIO.get(said.type) is type(wish)


def _is_new(item: wire.ItemSeen | None, new: w.NewItem) -> bool:
    if item is None:
        return False
    return item.id == new.id if new.id else (item.type, item.role) == (new.type, new.role)
