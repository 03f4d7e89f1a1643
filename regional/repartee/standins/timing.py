"""Waiting for a moment, to a tenth of a millisecond where the process has the time for it.

An event loop's timers come up to a millisecond late, and a turn waits for three of them one after another. What a
benchmark calls the floor is made of the delays asked for, so that much would be laid at the worker's door. The last
stretch of a wait is therefore spent looking at the clock, as long as that takes little of the process's time.
"""

import asyncio
import time

LAST_STRETCH_S = 0.0015
"""A loop's timer, set so much early, has gone off by the time that is meant."""

SHARE = 0.15
"""Of the process's time, at most this much goes into looking at the clock; beyond, its timers are as late as any."""

SAVED_S = 0.1
"""So much of that share can be saved up."""


class ClockAllowance:
    """What may still be spent on looking at the clock, seconds."""

    def __init__(self) -> None:
        self._left_s = SAVED_S
        self._at = time.monotonic()

    def take(self, now: float, wanted_s: float) -> bool:
        """Whether so much is allowed; it is spent then."""
        self._left_s = min(SAVED_S, self._left_s + (now - self._at) * SHARE)
        self._at = now
        if self._left_s < wanted_s:
            return False
        self._left_s -= wanted_s
        return True


_allowance = ClockAllowance()


async def wait_until(deadline_s: float) -> float:
    """Sleep until ``time.monotonic()`` reaches the deadline; how late it got, in ms (0 if it had passed already)."""
    now = time.monotonic()
    if deadline_s <= now:
        return 0.0
    if _allowance.take(now, LAST_STRETCH_S):
        await asyncio.sleep(max(0.0, deadline_s - now - LAST_STRETCH_S))
        while time.monotonic() < deadline_s:  # noqa: ASYNC110 - no event comes at a moment
            await asyncio.sleep(0)
    else:
        await asyncio.sleep(deadline_s - now)
    return (time.monotonic() - deadline_s) * 1000
