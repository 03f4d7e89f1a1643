"""What waits for a moment in which nobody speaks: a client's request, words that it has written for the caller, texts
of the agent's own. Keeps them; :mod:`~repartee.turn.agent_turns` says when the moment has come."""

from collections import deque

from repartee.turn.events import ReplyRequested
from repartee.turn.history import Item, Message


class Agenda:
    """What one conversation has yet to do.

    ``request`` is what a client has asked for while the caller spoke; ``words``: it has added
    something in the caller's name to which no reply was begun."""

    def __init__(self) -> None:
        self.request: ReplyRequested | None = None
        self.words = False
        self._texts: deque[str] = deque()

    def __repr__(self) -> str:
        return f"<Agenda: {self.request}, {len(self._texts)} texts>"

    @property
    def has_texts(self) -> bool:
        """The agent wants to say something of its own."""
        return bool(self._texts)

    def note_item(self, item: Item) -> None:
        """The client has added this."""
        self.words = self.words or (isinstance(item, Message) and item.role == "user")

    def settle(self) -> None:
        """A reply is begun to all that the caller and the client want."""
        self.request, self.words = None, False

    def take_request(self) -> ReplyRequested | None:
        """What the client has asked for: once."""
        request, self.request = self.request, None
        return request

    def add_text(self, text: str, most: int) -> bool:
        """The agent's own words, to be said in order; False if as many as may wait do."""
        if len(self._texts) >= most:
            return False
        self._texts.append(text)
        return True

    def take_text(self) -> str:
        """The one that waits longest."""
        return self._texts.popleft()
