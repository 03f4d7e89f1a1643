"""Who gets which connection, what to open, what to close and when: the pool's decisions, and nothing else.

Pure: time comes in as ``now`` (seconds, any monotonic clock), randomness as ``jitter`` (0 to 1), connections are
known by their keys. The I/O shell (pool.py) carries the decisions out and reports back what became of them.

The life of a connection::

    plan -> opened -> settled -> acquire <-> release -> (aged, lost or single use) closed
         |         -> lost young, or before it served -> backoff -> plan
         -> dial_failed -> backoff -> plan

A *slot* is room for one lease: a speech-recognition stream has one, a synthesis socket has several. A connection is
*settled* when it has lived for ``young_s``: some providers take a connection only to refuse it a moment later.
"""

import math
from dataclasses import InitVar, dataclass, field

from repartee.latency.backoff import backoff_s
from repartee.pool.ceiling import DialCeiling
from repartee.pool.settings import PoolSettings

AGEING_AT = 0.8
"""From this share of its life on, a connection is replaced as soon as it is free."""

YOUNG_AT_MOST = 2
"""A connection that no call has used and that ends within so many times ``young_s`` was refused, only late."""

OUTLIVES = 1.25
"""After one that was refused late, another is trusted when it has lived longer by this factor."""

LIFE_SPREAD = 0.15
"""Lives differ by up to this share, so that what was opened together at boot does not end together."""


@dataclass(slots=True)
class _Entry:
    key: int
    born: float
    ageing_at: float
    ends_at: float
    keepalive_at: float
    leases: int = 0
    settled: bool = False
    served: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What the shell must do now, and when to ask again at the latest (None: nothing is due).

    ``urgent`` are the dials that a caller waits for, ``dial`` the others.
    """

    dial: int = 0
    urgent: int = 0
    close: tuple[int, ...] = ()
    keepalive: tuple[int, ...] = ()
    wake_at: float | None = None


@dataclass(slots=True)
class PoolPolicy:
    """The state of one pool. Methods never block and raise KeyError for a key that is no longer in the pool."""

    settings: PoolSettings
    shared: InitVar[DialCeiling | None] = None
    """The ceiling on the dials of all pools of one provider."""

    dialling: int = 0
    demand: int = 0
    """Slots that calls in progress may want at the same time: so many are open, leased or not."""
    calls: int = 0
    """Calls in progress: they raise the ceiling on dials."""
    failures: int = 0
    """Failed dials in a row, those of one backoff counted once."""
    failing: bool = False
    """The latest dial that came to anything was refused, or its connection lost at once."""
    troubled: bool = False
    """Failing, or connections were lost before they served; until one has settled."""
    filled: bool = False
    """The spare slots were all there at least once."""
    on_demand: bool = False
    """The provider keeps no connection open after its use, so that none can be ready."""
    _entries: dict[int, _Entry] = field(default_factory=dict)
    _next_key: int = 1
    _retry_at: float = -math.inf
    _not_before: float = -math.inf
    _outlive_s: float = 0.0
    _ceiling: DialCeiling = field(init=False)

    def __post_init__(self, shared: DialCeiling | None) -> None:
        settings = self.settings
        self.filled = settings.spare == 0
        self._ceiling = shared or DialCeiling(settings.dials_per_s, settings.call_dials_per_s)

    @property
    def leased(self) -> int:
        """Leases given out."""
        return sum(entry.leases for entry in self._entries.values())

    @property
    def idle(self) -> int:
        """Connections that are open and carry no lease."""
        return sum(1 for entry in self._entries.values() if not entry.leases)

    @property
    def open(self) -> int:
        return len(self._entries)

    @property
    def free_slots(self) -> int:
        return sum(self.settings.slots - entry.leases for entry in self._entries.values())

    @property
    def ready_slots(self) -> int:
        """Free slots on connections that have settled."""
        return sum(self.settings.slots - entry.leases for entry in self._entries.values() if entry.settled)

    @property
    def warm(self) -> bool:
        """The pool has been full once, and a new call need not fail now."""
        return self.filled and (self.ready_slots > 0 or not self.troubled)

    @property
    def usable(self) -> bool:
        """A new call has a chance: something is ready, or dials do not fail."""
        return self.ready_slots > 0 or not self.failing

    @property
    def trusted_s(self) -> float:
        """How long a connection must have lived to be settled."""
        return max(self.settings.young_s, self._outlive_s)

    @property
    def busy(self) -> bool:
        """A call is in progress, as far as the pool knows."""
        return self.calls > 0 or self.demand > 0 or self.leased > 0

    def has(self, key: int) -> bool:
        """Whether the connection is in the pool."""
        return key in self._entries

    def keys(self) -> tuple[int, ...]:
        return tuple(self._entries)

    def oldest_age_s(self, now: float) -> float:
        """Age of the oldest open connection; 0 without any."""
        return max((now - entry.born for entry in self._entries.values()), default=0.0)

    def acquire(self, now: float) -> int | None:
        """Lease a slot: on the least loaded connection, the youngest of equals. None if there is no free slot.

        The youngest, because the rest of its life and the peer's patience are longest; a connection past its age is
        still better than none.
        """
        free = [entry for entry in self._entries.values() if entry.leases < self.settings.slots]
        if not free:
            return None
        best = min(
            free, key=lambda entry: (now >= entry.ageing_at, not entry.settled, entry.leases, -entry.born)
        )
        best.leases += 1
        return best.key

    def borrow(self, key: int) -> bool:
        """Lease a slot of this very connection, for its keepalive; False if it is gone or has no free slot."""
        entry = self._entries.get(key)
        if entry is None or entry.leases >= self.settings.slots:
            return False
        entry.leases += 1
        return True

    def release(
        self, key: int, now: float, *, reusable: bool = True, used: bool = True, served: bool | None = None
    ) -> bool:
        """Take a lease back; True if the connection has left the pool and must be closed.

        ``used`` is False for a keepalive's loan, which does not use up a connection meant for one use. ``served``:
        its user got what it wanted (None: if it is reusable).
        """
        entry = self._entries[key]
        entry.leases -= 1
        if used and (reusable if served is None else served):
            entry.served = True
            self.failures = 0
            if self.on_demand:
                self.failing = self.troubled = False
        if self.settings.keepalive_s is not None:
            entry.keepalive_at = now + self.settings.keepalive_s
        if not reusable or (used and self.settings.single_use):
            entry.ends_at = now
        if entry.leases == 0 and now >= entry.ends_at:
            del self._entries[key]
            return True
        if not reusable:
            entry.ageing_at = now
        return False

    def left_alone_s(self, now: float) -> float:
        """How long the provider still wants no dial, in s."""
        return max(0.0, self._not_before - now)

    def take_dial(self, now: float) -> float:
        """A dial outside the pool's own: 0 if it may start now, which it then does; else how long to wait, in s."""
        wait_s = self._ceiling.free_at(now, busy=self.busy) - now
        if wait_s <= 0:
            self._ceiling.count(now)
        return max(0.0, wait_s)

    def opened(self, now: float, jitter: float, *, served: bool = False) -> int:
        """A dial has succeeded; the new connection's key. ``served``: the provider has answered on it already."""
        self.dialling -= 1
        key, self._next_key = self._next_key, self._next_key + 1
        life = self.settings.max_age_s * (1 - LIFE_SPREAD * jitter)
        keepalive = self.settings.keepalive_s
        self._entries[key] = _Entry(
            key=key,
            born=now,
            ageing_at=now + life * AGEING_AT,
            ends_at=now + life,
            keepalive_at=math.inf if keepalive is None else now + keepalive,
            served=served,
        )
        self._settle(now)
        return key

    def answered(self) -> None:
        """A dial was answered as it should be, by a provider that then ended the connection, as it said it would."""
        self.dialling -= 1
        self.failures = 0
        self.filled = True
        self.failing = self.troubled = False

    def dial_failed(
        self, now: float, jitter: float, *, hopeless: bool = False, retry_after_s: float | None = None
    ) -> None:
        """A dial has failed; ``hopeless`` (a refused key, say) goes to the longest backoff at once. The provider may
        ask for no other one within ``retry_after_s``."""
        self.dialling -= 1
        self.failing = True
        self._back_off(now, jitter, hopeless=hopeless)
        self.leave_alone(now, retry_after_s)

    def leave_alone(self, now: float, retry_after_s: float | None) -> None:
        """The provider asks for no dial within so many seconds."""
        if retry_after_s is not None:
            until = now + min(retry_after_s, self.settings.retry_after_max_s)
            self._not_before = max(self._not_before, until)
            self._retry_at = max(self._retry_at, until)

    def dial_abandoned(self) -> None:
        """A dial was cancelled before it came to anything."""
        self.dialling -= 1

    def forget(self, key: int) -> None:
        """The shell closes this connection itself."""
        self._entries.pop(key, None)

    def lost(self, key: int, now: float, jitter: float, *, agreed: bool = False) -> bool:
        """A connection has ended by itself; True if that counts as a failed dial. ``agreed``: it was announced."""
        entry = self._entries.pop(key)
        age_s = now - entry.born
        unused = not (entry.served or entry.leases)
        young = age_s < self.trusted_s or (unused and age_s < YOUNG_AT_MOST * self.settings.young_s)
        if agreed or not (young or unused):
            return False
        self.failing = self.failing or young
        if young and unused:
            # The next ones are not trusted before they have outlived this one.
            self._outlive_s = max(self._outlive_s, age_s * OUTLIVES)
        self._back_off(now, jitter)
        return True

    def plan(self, now: float, *, waiting: int = 0) -> Plan:
        """What is due now; the dials of the plan count as started, its keepalives as sent, its closed as gone.

        ``waiting`` callers need a slot each before any is spare.
        """
        self._settle(now)
        urgent = self._urgent_wanted(waiting)
        if urgent:
            urgent = min(urgent, self._dials_allowed(now)) if now >= self._not_before else 0
        self._start(urgent, now)
        wanted = self._dials_wanted(now, waiting)
        dial = min(wanted, self._dials_allowed(now)) if wanted and now >= self._retry_at else 0
        self._start(dial, now)
        close = self._closes_due(now)
        keepalive = self._keepalives_due(now)
        if dial or close:
            wanted = self._dials_wanted(now, waiting)
        return Plan(dial, urgent, close, keepalive, self._wake_at(now, waiting, wanted))

    def _back_off(self, now: float, jitter: float, *, hopeless: bool = False) -> None:
        self.troubled = True
        if now < self._retry_at:
            return  # of several dials at once, or several connections lost at once, the first has been counted
        self.failures += 1
        settings = self.settings
        wait = settings.backoff_max_s
        if not hopeless:
            wait = backoff_s(self.failures, first_s=settings.backoff_first_s, most_s=wait)
        self._retry_at = now + wait * (0.5 + 0.5 * jitter)

    def _settle(self, now: float) -> None:
        settings = self.settings
        for entry in self._entries.values():
            if not entry.settled and now - entry.born >= self.trusted_s:
                entry.settled = True
                self.failing = self.troubled = False
                self._outlive_s = 0.0
            # A provider that ends what it has not used, again and again, is dialled less and less.
            if self.failures and now - entry.born >= 2 * settings.backoff_max_s:
                self.failures = 0
        if not self.filled:
            settled = sum(settings.slots for entry in self._entries.values() if entry.settled)
            self.filled = settled >= settings.spare

    def _start(self, dials: int, now: float) -> None:
        if dials:
            self.dialling += dials
            self._ceiling.count(now, dials)

    def _dials_allowed(self, now: float) -> int:
        if not self.filled and not self.failures:
            return self.settings.max_open
        return self._ceiling.left(now, busy=self.busy)

    def _urgent_wanted(self, waiting: int) -> int:
        wanted = math.ceil(waiting / self.settings.slots) - self.dialling
        return max(0, min(wanted, self.settings.max_open - self.open - self.dialling))

    def _fresh_slots(self, now: float) -> int:
        # A loop: a pool is tended at each lease, and a generator is a function call an entry.
        slots, free = self.settings.slots, 0
        for entry in self._entries.values():
            if now < entry.ageing_at:
                free += slots - entry.leases
        return free

    def _dials_wanted(self, now: float, waiting: int) -> int:
        settings = self.settings
        there = self._fresh_slots(now) + self.dialling * settings.slots
        free = 0 if self.on_demand else max(settings.spare + waiting, self.demand - self.leased)
        wanted = math.ceil((free - there) / settings.slots)
        room = min(settings.max_dialling, settings.max_open - self.open) - self.dialling
        if self.troubled or self.failures:
            # One at a time, until it is seen whether it lasts; and one in any case, or nobody would ever know.
            unsettled = sum(1 for entry in self._entries.values() if not entry.settled)
            wanted = max(wanted, int(self.troubled))
            room = min(room, 1 - self.dialling - unsettled)
        return max(0, min(wanted, room))

    def _closes_due(self, now: float) -> tuple[int, ...]:
        """Free connections that have aged, once their replacements are there or their life is over."""
        replaced = self._fresh_slots(now) >= self.settings.spare
        due = [
            entry.key
            for entry in self._entries.values()
            if not entry.leases and (now >= entry.ends_at or (replaced and now >= entry.ageing_at))
        ]
        for key in due:
            del self._entries[key]
        return tuple(due)

    def _keepalives_due(self, now: float) -> tuple[int, ...]:
        interval = self.settings.keepalive_s
        if interval is None:
            return ()
        due = [entry for entry in self._entries.values() if not entry.leases and now >= entry.keepalive_at]
        for entry in due:
            entry.keepalive_at = now + interval
        return tuple(entry.key for entry in due)

    def _wake_at(self, now: float, waiting: int, dials_wanted: int) -> float | None:
        times = []
        for entry in self._entries.values():
            if not entry.leases:
                times += [entry.keepalive_at, entry.ends_at]
            if now < entry.ageing_at:
                times.append(entry.ageing_at)
            if not entry.settled:
                times.append(entry.born + self.trusted_s)
        urgent = self._urgent_wanted(waiting)
        if urgent or dials_wanted:
            allowed_at = self._ceiling.free_at(now, busy=self.busy)
            if urgent:
                times.append(max(allowed_at, self._not_before))
            if dials_wanted and max(self._retry_at, allowed_at) > now:
                times.append(max(self._retry_at, allowed_at))
        soonest = min(times, default=math.inf)
        return None if math.isinf(soonest) else max(soonest, now)
