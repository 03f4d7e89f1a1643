"""What a call has waited for connections that were not warm: noted by the pools, in the call's own context.

A call's tasks inherit the context that it began in, so that no pool need know whose call it serves.
"""

from collections import deque
from contextvars import ContextVar
from typing import NamedTuple

MOST_WAITS = 20


class ColdWait(NamedTuple):
    """``until_s`` is when it was over, in seconds since 1970."""

    pool: str
    until_s: float
    ms: float


ColdWaits = deque[ColdWait]
_waits: ContextVar[ColdWaits | None] = ContextVar("cold_waits", default=None)


def follow_waits() -> ColdWaits:
    """The waits of this task and of all that are started in it from now on."""
    waits: ColdWaits = deque(maxlen=MOST_WAITS)
    _waits.set(waits)
    return waits


def note_wait(pool: str, until_s: float, ms: float) -> None:
    """A connection was not ready, and has been waited for."""
    waits = _waits.get()
    if waits is not None:
        waits.append(ColdWait(pool, until_s, ms))
