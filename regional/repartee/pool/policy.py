"""Who gets which connection, what to open, what to close and when: the pool's decisions, and nothing else.

Pure: time comes in as ``now`` (seconds, any monotonic clock), randomness as ``jitter`` (0 to 1), connections are
known by their keys. The I/O shell (pool.py) carries the decisions out and reports back what became of them.

The life of a connection::

    plan / start_dial -> opened -> acquire <-> release -> (aged, lost or single use) closed
                      -> dial_failed -> backoff -> plan

A *slot* is room for one lease: a speech-recognition stream has one, a synthesis socket has several.
"""

import math
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """How a pool behaves. Raises ValueError for values that cannot work.

    ``spare`` is the number of free slots kept ready; ``slots`` how many leases one connection carries at a time;
    ``single_use`` closes a connection with its first lease, for streams that hold state. A connection lives
    ``max_age_s`` at most and is replaced before that, while free. ``keepalive_s`` (None: never) is the longest a
    connection sits idle without a keepalive. Failed dials back off from ``backoff_first_s``, doubling, to
    ``backoff_max_s``; a caller who finds the pool empty dials at once all the same.
    """

    spare: int = 2
    slots: int = 1
    max_open: int = 256
    max_dialling: int = 8
    single_use: bool = False
    max_age_s: float = 300.0
    keepalive_s: float | None = 5.0
    backoff_first_s: float = 0.25
    backoff_max_s: float = 30.0
    acquire_timeout_s: float = 5.0

    def __post_init__(self) -> None:
        if self.spare < 0 or min(self.slots, self.max_open, self.max_dialling) < 1:
            raise ValueError("a pool needs spare >= 0 and slots, max_open and max_dialling >= 1")
        if self.max_age_s <= 0 or self.backoff_first_s <= 0 or self.acquire_timeout_s <= 0:
            raise ValueError("a pool's max_age_s, backoff_first_s and acquire_timeout_s must be above 0")


AGEING_AT = 0.8
"""From this share of its life on, a connection is replaced as soon as it is free."""

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


@dataclass(frozen=True, slots=True)
class Plan:
    """What the shell must do now, and when to ask again at the latest (None: nothing is due)."""

    dial: int = 0
    close: tuple[int, ...] = ()
    keepalive: tuple[int, ...] = ()
    wake_at: float | None = None


@dataclass(slots=True)
class PoolPolicy:
    """The state of one pool. Methods never block and raise KeyError for a key that is no longer in the pool."""

    settings: PoolSettings
    dialling: int = 0
    demand: int = 0
    """Slots that calls in progress may want at the same time: so many are open, leased or not."""
    failures: int = 0
    """Dials failed since the last that succeeded."""
    filled: bool = False
    """The spare slots were all there at least once."""
    _entries: dict[int, _Entry] = field(default_factory=dict)
    _next_key: int = 1
    _retry_at: float = -math.inf

    def __post_init__(self) -> None:
        self.filled = self.settings.spare == 0

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
    def warm(self) -> bool:
        """The pool has been full once, and a new call need not fail now."""
        return self.filled and (self.free_slots > 0 or not self.failures)

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
        best = min(free, key=lambda entry: (now >= entry.ageing_at, entry.leases, -entry.born))
        best.leases += 1
        return best.key

    def borrow(self, key: int) -> bool:
        """Lease a slot of this very connection, for its keepalive; False if it is gone or has no free slot."""
        entry = self._entries.get(key)
        if entry is None or entry.leases >= self.settings.slots:
            return False
        entry.leases += 1
        return True

    def release(self, key: int, now: float, *, reusable: bool = True, used: bool = True) -> bool:
        """Take a lease back; True if the connection has left the pool and must be closed.

        ``used`` is False for a keepalive's loan, which does not use up a connection meant for one use.
        """
        entry = self._entries[key]
        entry.leases -= 1
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

    def start_dial(self) -> bool:
        """A caller waits and will not wait for a backoff; False if no more connections may be opened."""
        if self.open + self.dialling >= self.settings.max_open:
            return False
        self.dialling += 1
        return True

    def opened(self, now: float, jitter: float) -> int:
        """A dial has succeeded; the new connection's key."""
        self.dialling -= 1
        self.failures = 0
        key, self._next_key = self._next_key, self._next_key + 1
        life = self.settings.max_age_s * (1 - LIFE_SPREAD * jitter)
        keepalive = self.settings.keepalive_s
        self._entries[key] = _Entry(
            key=key,
            born=now,
            ageing_at=now + life * AGEING_AT,
            ends_at=now + life,
            keepalive_at=math.inf if keepalive is None else now + keepalive,
        )
        self.filled = self.filled or self.free_slots >= self.settings.spare
        return key

    def dial_failed(self, now: float, jitter: float, *, hopeless: bool = False) -> None:
        """A dial has failed; ``hopeless`` (a refused key, say) goes to the longest backoff at once."""
        self.dialling -= 1
        self.failures += 1
        settings = self.settings
        wait = settings.backoff_max_s
        if not hopeless:
            wait = min(wait, settings.backoff_first_s * 2 ** min(self.failures - 1, 20))
        self._retry_at = now + wait * (0.5 + 0.5 * jitter)

    def dial_abandoned(self) -> None:
        """A dial was cancelled before it came to anything."""
        self.dialling -= 1

    def lost(self, key: int) -> bool:
        """A connection has ended by itself; False if it had left the pool before."""
        return self._entries.pop(key, None) is not None

    def plan(self, now: float, *, waiting: int = 0) -> Plan:
        """What is due now; the dials of the plan count as started, its keepalives as sent, its closed as gone.

        ``waiting`` callers need a slot each before any is spare.
        """
        dial = self._dials_due(now, waiting)
        self.dialling += dial
        close = self._closes_due(now)
        keepalive = self._keepalives_due(now)
        return Plan(dial=dial, close=close, keepalive=keepalive, wake_at=self._wake_at(now))

    def _fresh_slots(self, now: float) -> int:
        slots = self.settings.slots
        return sum(slots - entry.leases for entry in self._entries.values() if now < entry.ageing_at)

    def _dials_wanted(self, now: float, waiting: int) -> int:
        settings = self.settings
        there = self._fresh_slots(now) + self.dialling * settings.slots
        free = max(settings.spare + waiting, self.demand - self.leased)
        wanted = math.ceil((free - there) / settings.slots)
        room = min(settings.max_dialling, settings.max_open - self.open) - self.dialling
        return max(0, min(wanted, room))

    def _dials_due(self, now: float, waiting: int) -> int:
        return self._dials_wanted(now, waiting) if now >= self._retry_at else 0

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

    def _wake_at(self, now: float) -> float | None:
        times = []
        for entry in self._entries.values():
            if not entry.leases:
                times += [entry.keepalive_at, entry.ends_at]
            if now < entry.ageing_at:
                times.append(entry.ageing_at)
        if now < self._retry_at and self._dials_wanted(now, 0):
            times.append(self._retry_at)
        soonest = min(times, default=math.inf)
        return None if math.isinf(soonest) else max(soonest, now)
