"""What recognisers over a socket of their own have in common: one call's audio in, what is heard out.

Owns the gathering of small frames, the events that wait to be read, and what the recogniser owes. The session
decides what becomes of one that falls silent. Knows no vendor's messages.
"""

import asyncio
import logging
import math
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable

import msgspec

from repartee.audio.gathering import Gatherer, GatherSettings
from repartee.audio.pcm import duration_ms
from repartee.errors import ProviderError
from repartee.pool.lease import Lease
from repartee.providers.connecting import OwnSocket
from repartee.providers.heard_format import USUAL_FORMAT, HeardEncoder
from repartee.providers.inbox import Inbox
from repartee.providers.interfaces import HEARING_HZ, Hearing
from repartee.providers.vendor_errors import VendorErrors
from repartee.turn.events import PartialTranscript
from repartee.wire.audio_format import WireFormat

log = logging.getLogger(__name__)

MAX_UNREAD_EVENTS = 256
"""A call that reads no events for so long (a minute of a turn's updates) has stopped."""

GRACE_S = 3.0
"""How much more audio a turn may take to end than its vendor says."""

TICK_S = 0.1
"""How often a call looks at its deadlines; only audio that has stopped coming makes this matter."""


class SocketTranscriber(ABC):
    """One call's: audio in, events out, and a clock for vendors with what must not wait for either.

    ``turn_ends_s``: so much audio in which nothing new is heard ends a turn at this vendor. If it goes on long
    after that without an end, it has lost its way, although it still sends messages.
    """

    turn_ends_s: float = math.inf

    def __init__(
        self,
        lease: Lease[OwnSocket],
        gather: GatherSettings,
        errors: VendorErrors,
        heard: WireFormat = USUAL_FORMAT,
    ) -> None:
        self._encoder = HeardEncoder(heard)
        self._lease = lease
        self._errors = errors
        self.socket = lease.connection.socket
        self._gatherer = Gatherer(HEARING_HZ, gather)
        self._inbox: Inbox[Hearing] = Inbox(MAX_UNREAD_EVENTS, lambda: errors.unread("what it says"))
        self.loop = asyncio.get_running_loop()
        self.last_fed_at = self.loop.time()
        self._unchanged_s = 0.0
        self._said = ""
        self._unanswered_s = 0.0
        self._unanswered_since = self.last_fed_at
        self._timer: asyncio.TimerHandle | None = None
        self.socket.on_close(self._on_close)
        self.socket.listen(self._on_message)

    def feed(self, pcm: bytes) -> None:
        self.last_fed_at = self.loop.time()
        in_turn = self.in_turn
        piece = self._gatherer.feed(pcm, in_turn=in_turn)
        if piece:
            self._push(piece)
        if in_turn:
            self._unchanged_s += duration_ms(len(pcm), HEARING_HZ) / 1000
            self._owes_an_answer(self.answerable_s(pcm))

    def answerable_s(self, pcm: bytes) -> float:
        """How much of this audio the recogniser should have something to say to, in mid-turn."""
        return duration_ms(len(pcm), HEARING_HZ) / 1000

    @property
    def has_room(self) -> bool:
        return self.socket.has_room

    @property
    def owing_since(self) -> float | None:
        """In mid-turn they speak every second of audio at least; a backlog fed at once takes its time."""
        if self._unchanged_s >= self.turn_ends_s + GRACE_S and self.in_turn:
            return self.loop.time() - self._unchanged_s
        if not self._unanswered_s:
            return None
        return max(self._unanswered_since, self.loop.time() - self._unanswered_s)

    def push_after_audio(self, message: str | bytes) -> None:
        """Send a message that is about all the audio so far."""
        if held := self._gatherer.flush():
            self._push(held)
        self.socket.push(message)

    def _push(self, pcm: bytes) -> None:
        if wire := self._encoder.feed(pcm):  # an empty message would end the stream
            self.socket.push(wire)

    @property
    @abstractmethod
    def in_turn(self) -> bool:
        """Whether the caller's turn has begun, and not ended."""

    async def events(self) -> AsyncGenerator[Hearing, None]:
        async for event in self._inbox:
            yield event

    async def aclose(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._inbox.end()
        self._lease.release(reusable=False)

    def emit(self, event: Hearing) -> None:
        """The call hears this."""
        said = event.text if isinstance(event, PartialTranscript) else None
        if said is None or said != self._said:
            self._unchanged_s, self._said = 0.0, said or ""
        if isinstance(event, PartialTranscript):
            self._inbox.replace_last(event, PartialTranscript)
        else:
            self._inbox.put(event)

    def _on_close(self) -> None:
        self._inbox.fail(self._lease.connection.why_lost)

    def _on_message(self, message: bytes) -> None:
        self._unanswered_s = 0.0
        try:
            self.on_text(message)
        except msgspec.ValidationError as error:
            log.debug("a message of an unknown shape from %s: %s", self._errors.label, error)
        except msgspec.MsgspecError as error:
            self.fail(self._errors.unreadable(error))

    @abstractmethod
    def on_text(self, message: bytes) -> None:
        """A message of the vendor's. Raises msgspec.MsgspecError if it cannot be read."""

    def _owes_an_answer(self, seconds: float) -> None:
        """Count it."""
        if not self._unanswered_s:
            self._unanswered_since = self.last_fed_at
        self._unanswered_s += seconds

    def look_at_clock(self, look: Callable[[float], None]) -> None:
        """From now on ``look`` is called with the loop's time, every TICK_S until the end: something may be due."""

        def tick() -> None:
            self._timer = self.loop.call_later(TICK_S, tick)
            look(self.loop.time())

        self._timer = self.loop.call_later(TICK_S, tick)

    def fail(self, error: ProviderError) -> None:
        """The stream is over."""
        self._inbox.fail(error)
        self.socket.close_soon()
