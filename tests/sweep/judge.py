"""What must be so of a call, whichever of its awaits has gone wrong."""

import logging

from tests.sweep.await_points import ERRORS
from tests.sweep.playing import Played

MOST_SILENT_S = 8.0
"""A caller who has asked hears something by then, or the call is over."""

LAST_TRY_S = 2.1
"""... unless not even an apology can be heard: that is given up after two seconds more, and the call ends."""

MOST_TO_END_S = 30.0
"""A call that ends for what went wrong has said its goodbye, and is over, so long after."""

ENDS = {"failed", "providers_gone", "cancelled"}
"""How a call may end before its time."""


def faults(played: Played) -> list[str]:
    """What was wrong."""
    found = [f"unhandled: {context}" for context in played.unhandled]
    found += [f"left behind: {name}" for name in played.left]
    if played.taken or played.leased:
        found.append(f"not given back: slots {played.taken}, connections {played.leased}")
    if played.ended_at is None:
        return [*found, "the call hangs"]
    if len(played.outcomes) != 1:
        found.append(f"told of {len(played.outcomes)} ends: {played.outcomes}")
    return [*found, *_silences(played), *_reasons(played)]


def _silences(played: Played) -> list[str]:
    """Questions after which the caller heard nothing, though the call went on."""
    asked = played.scene.asked_at
    over = min(at for at in (played.ended_at, played.scene.hung_up_at or None) if at is not None)
    unanswered = []
    for place, at in enumerate(asked):
        until = at + MOST_SILENT_S
        if until + LAST_TRY_S > over or any(at < later < until for later in asked[place + 1 :]):
            continue
        if not any(at < heard <= until for heard in played.scene.client.heard_at):
            unanswered.append(f"nothing heard for {MOST_SILENT_S:g} s from {at:.1f} on")
    return unanswered


def _reasons(played: Played) -> list[str]:
    """A call that ended before its time must say why; so must one that has lost something and goes on."""
    struck_at, strike = played.points.struck_at, played.points.strike
    if strike is None:
        return [] if not _troubles(played, 0) else ["troubles without a strike"]
    if struck_at is None:
        return ["never struck"]
    found = []
    early = not played.scene.hung_up_at and played.outcomes != ["agent_hung_up"]
    if early and not set(played.outcomes) <= ENDS:
        found.append(f"ended with {played.outcomes}")
    if early and played.ended_at is not None and played.ended_at - struck_at > MOST_TO_END_S:
        found.append(f"took {played.ended_at - struck_at:.0f} s to end")
    if played.outcomes == ["failed"] and not _troubles(played, logging.ERROR):
        found.append("failed without a word in the log")
    make = ERRORS[strike.error]
    if played.raised is not None and (make is None or type(played.raised) is not type(make())):
        found.append(f"raised {type(played.raised).__name__}")
    return found


def _troubles(played: Played, level: int) -> list[str]:
    return [record.getMessage() for record in played.logged if record.levelno >= max(level, logging.ERROR)]
