"""The replies in the making, in the order in which they sound. Says which there are;
:mod:`~repartee.turn.answering` decides what becomes of them."""

from collections.abc import Callable, Iterator

from repartee.latency.timeline import Timeline
from repartee.turn.events import ReplyDone, ReplyRequested, ReplyUsed, VoiceUsed
from repartee.turn.history import Message
from repartee.turn.policy import TurnPolicy
from repartee.turn.reply import Reply


class Replies:
    """The replies of one conversation."""

    def __init__(self, new_item_id: Callable[[], str]) -> None:
        self._new_item_id = new_item_id
        self._count = 0
        self._making: list[Reply] = []

    def __len__(self) -> int:
        return len(self._making)

    def __iter__(self) -> Iterator[Reply]:
        return iter(self._making)

    def __repr__(self) -> str:
        return f"<Replies: {self._making}>"

    @property
    def confirmed(self) -> Reply | None:
        """The first that the client knows of."""
        return next((reply for reply in self._making if reply.confirmed), None)

    @property
    def latest_id(self) -> int:
        """The number of the one that the client waits for: the one that is made, or the last there was."""
        return self.confirmed.reply_id if self.confirmed else self._count

    @property
    def speculating(self) -> bool:
        """One is made to a turn that is not confirmed."""
        return any(reply.speculated and not reply.confirmed for reply in self._making)

    @property
    def newest(self) -> Reply | None:
        """The one that is being written: only one is at a time."""
        return self._making[-1] if self._making else None

    @property
    def chunk_due(self) -> float | None:
        """When the one that is being written has waited long enough for the end of its clause."""
        return self._making[-1].chunk_due if self._making else None

    def find(self, reply_id: int) -> Reply | None:
        """The one of this number, unless it is over."""
        for reply in self._making:  # one or two; asked at each token
            if reply.reply_id == reply_id:
                return reply
        return None

    def new(
        self,
        turn_id: int,
        policy: TurnPolicy,
        timeline: Timeline | None = None,
        request: ReplyRequested | None = None,
        *,
        speculated: bool = False,
        held: bool = False,
        first: bool = False,
    ) -> Reply:
        """One more, behind those that there are, or as the ``first``."""
        number, message = self._begin(policy, request)
        reply = Reply(number, turn_id, message, policy, timeline, request, speculated=speculated, held=held)
        self._making.insert(0 if first else len(self._making), reply)
        return reply

    def aside(self, policy: TurnPolicy, request: ReplyRequested) -> Reply:
        """One that is made beside these."""
        number, message = self._begin(policy, request)
        return Reply(number, 0, message, policy, None, request)

    def _begin(self, policy: TurnPolicy, request: ReplyRequested | None) -> tuple[int, Message]:
        self._count += 1
        wanted = request.spoken if request else None
        spoken = policy.spoken if wanted is None else wanted
        return self._count, Message(self._new_item_id(), "assistant", "", spoken=spoken)

    def await_usage(self, event: ReplyDone) -> None:
        """The model has finished; what it has used may come next."""
        if reply := self.find(event.reply_id):
            reply.usage_awaited = event.usage_follows

    def count(self, event: ReplyUsed | VoiceUsed) -> bool:
        """What a reply has used; whether it has waited for that."""
        reply = self.find(event.reply_id)
        if reply is None:
            return False
        if isinstance(event, VoiceUsed):
            reply.characters += event.characters
            return False
        awaited, reply.usage_awaited = reply.usage_awaited, False
        reply.tokens = event.tokens
        return awaited

    def remove(self, reply: Reply) -> None:
        """It is over."""
        self._making.remove(reply)

    def take_all(self) -> list[Reply]:
        """None is made any longer; those that were."""
        taken, self._making = self._making, []
        return taken
