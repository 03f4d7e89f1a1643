"""A queue on its way to a provider, sent in order and no faster than the provider's socket takes it.

Nothing waits while the other end keeps up. Audio that has piled up (there was no session, or a client sent a minute
of it at once) goes at a bounded pace, and nothing goes while the socket has no room: a socket drops its connection
when too much waits in it, and that must never lose a session.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from repartee.audio.pace import Pace, PaceSettings

ROOM_S = 0.02
"""How often a socket without room is asked again."""

ROOM_MS = 100.0
"""A socket that has room is asked again after so much audio: it takes more than a second to fill one."""

ItemT = TypeVar("ItemT")


@dataclass(frozen=True, slots=True)
class Waiting(Generic[ItemT]):
    """Something to send, of so many bytes and so much audio (0: none)."""

    item: ItemT
    size: int
    ms: float = 0.0


class PacedQueue(Generic[ItemT]):
    """One session's after another. Lives on the running loop; Beyond ``limit_bytes`` the oldest is dropped."""

    def __init__(self, pace: PaceSettings, limit_bytes: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._settings = pace
        self._pace = Pace(pace)
        self._limit_bytes = limit_bytes
        self._queue: deque[Waiting[ItemT]] = deque()
        self._bytes = 0
        self._send: Callable[[ItemT], None] | None = None
        self._has_room: Callable[[], bool] = lambda: True
        self._timer: asyncio.TimerHandle | None = None
        self._stuck_since: float | None = None
        self._room_ms = 0.0
        """So much more is sent without asking whether the socket has room."""
        self._drained_at = 0.0

    def __len__(self) -> int:
        return len(self._queue)

    def has_space(self, size: int) -> bool:
        """So much more can wait without anything older being dropped for it."""
        return not self._queue or self._bytes + size <= self._limit_bytes

    @property
    def is_empty(self) -> bool:
        """Nothing waits."""
        return not self._queue

    @property
    def stuck_since(self) -> float | None:
        """Since when the socket has had no room (s, the loop's time); None: it has."""
        return self._stuck_since

    @property
    def drained_at(self) -> float | None:
        """When the last of what waited was sent (s, the loop's time); None: something waits."""
        return None if self._queue else self._drained_at

    @property
    def waiting_ms(self) -> float:
        """How much audio waits."""
        return sum(waiting.ms for waiting in self._queue)

    def items(self) -> Iterator[ItemT]:
        """What waits, in order."""
        return (waiting.item for waiting in self._queue)

    def goes(self, ms: float, now: float) -> bool:
        """Whether so much audio may be sent at once, by the caller of this: nothing waits. Then it counts as sent."""
        if self._queue or self._send is None or self._pace.free_at > now:
            return False
        if ms > self._room_ms and not self._finds_room(now):
            return False
        self._room_ms -= ms
        self._pace.spend(ms, now)
        return True

    def put(self, waiting: Waiting[ItemT]) -> None:
        """Send this after all that waits; at once, if nothing does."""
        if self._send is not None and self.goes(waiting.ms, self._now()):
            self._send(waiting.item)
            return
        self._queue.append(waiting)
        self._bytes += waiting.size
        self._drop_oldest()
        self._pump_later()

    def begin(
        self,
        send: Callable[[ItemT], None],
        has_room: Callable[[], bool],
        first: Iterable[Waiting[ItemT]] = (),
    ) -> None:
        """There is a session: send ``first``, then what waits. ``has_room``: its socket can take more."""
        for waiting in reversed(tuple(first)):
            self._queue.appendleft(waiting)
            self._bytes += waiting.size
        self._send, self._has_room = send, has_room
        self._pace = Pace(self._settings)
        self._stuck_since = None
        self._room_ms = 0.0
        self._drained_at = self._now()
        self._pump()

    def stop(self) -> None:
        """There is no session: everything waits."""
        self._send = self._stuck_since = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def discard(self, unwanted: Callable[[ItemT], bool]) -> None:
        """Forget some of what waits."""
        self._queue = deque(waiting for waiting in self._queue if not unwanted(waiting.item))
        self._bytes = sum(waiting.size for waiting in self._queue)

    def _pump_later(self) -> None:
        if self._timer is None and self._send is not None:
            self._pump()

    def _pump(self) -> None:
        self._timer = None
        while self._queue and self._send is not None:
            now = self._now()
            if not self._may_go(now):
                wait_s = max(self._pace.free_at - now, 0.001 if self._has_room() else ROOM_S)
                self._timer = self._loop.call_later(wait_s, self._pump)
                return
            waiting = self._queue.popleft()
            self._bytes -= waiting.size
            self._pace.spend(waiting.ms, now)
            self._drained_at = now
            self._send(waiting.item)

    def _may_go(self, now: float) -> bool:
        return self._finds_room(now) and self._pace.free_at <= now

    def _finds_room(self, now: float) -> bool:
        if self._has_room():
            self._stuck_since = None
            self._room_ms = ROOM_MS
            return True
        if self._stuck_since is None:
            self._stuck_since = now
        return False

    def _drop_oldest(self) -> None:
        while self._bytes > self._limit_bytes and len(self._queue) > 1:
            self._bytes -= self._queue.popleft().size

    def _now(self) -> float:
        return self._loop.time()
