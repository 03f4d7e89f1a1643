"""Signed reports from the regions' workers to the edge: load, draining, P90.

The worker posts ``{"token": sign_heartbeat(...)}``'s token as a bearer to ``/v1/regions/<name>/heartbeat``; the same
keys sign tickets, but the audiences differ, so that neither can stand for the other. Pure.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jwt

from repartee_edge.health import Report
from repartee_edge.tickets import (
    ALGORITHM,
    TicketForged,
    TicketKeys,
    TicketMalformed,
    key_id,
    verified_claims,
)

AUDIENCE = "repartee-edge:heartbeat"
LIFETIME_S = 30
INSTANCE_CHARS = 64
MAX_HEARTBEAT_CHARS = 2048
MAX_FAULTS = 4
MAX_FAULT_CHARS = 160


def sign_heartbeat(
    keys: TicketKeys,
    *,
    region: str,
    instance: str,
    active: int,
    capacity: int,
    draining: bool,
    now: float,
    p90_ms: float | None = None,
    admitting: bool = True,
    faults: Sequence[str] = (),
) -> str:
    """A report of one worker (``instance``: a name of its own) with calls ``active`` of ``capacity``.

    A worker that is not ``admitting`` refuses new calls although it has room, because of ``faults``: sentences, of
    which those are left out that make the heartbeat longer than MAX_HEARTBEAT_CHARS.
    """
    claims: dict[str, Any] = {
        "iss": region,
        "aud": AUDIENCE,
        "sub": instance[:INSTANCE_CHARS],
        "iat": int(now),
        "exp": int(now) + LIFETIME_S,
        "active": active,
        "capacity": capacity,
        "draining": draining,
        "p90_ms": p90_ms,
        "admitting": admitting,
    }
    told = [fault[:MAX_FAULT_CHARS] for fault in faults[:MAX_FAULTS]]
    while True:
        said = {**claims, "faults": told} if told else claims
        token = jwt.encode(said, keys.current, algorithm=ALGORITHM, headers={"kid": key_id(keys.current)})
        if len(token) <= MAX_HEARTBEAT_CHARS or not told:
            return token
        told.pop()


def verify_heartbeat(keys: TicketKeys, token: str, *, region: str, now: float) -> tuple[str, Report]:
    """The worker's name and its report. Raises TicketMalformed or TicketForged."""
    claims = verified_claims(keys, token, max_chars=MAX_HEARTBEAT_CHARS, noun="heartbeat")
    if claims.get("aud") != AUDIENCE or claims.get("iss") != region:
        raise TicketForged("this heartbeat was not signed with a known key for this region")
    try:
        if not claims["iat"] - LIFETIME_S <= now < claims["exp"]:
            raise TicketForged("this heartbeat is too old, or the clocks of region and edge disagree")
        return str(claims["sub"])[:INSTANCE_CHARS], _report(region, claims)
    except (TypeError, ValueError, KeyError, OverflowError):
        raise TicketMalformed("this is not a heartbeat") from None


def _report(region: str, claims: Mapping[str, Any]) -> Report:
    p90_ms = claims.get("p90_ms")
    return Report(
        region=region,
        at=float(claims["iat"]),
        draining=bool(claims.get("draining", False)),
        active=max(0, int(claims["active"])),
        capacity=max(0, int(claims["capacity"])),
        p90_ms=None if p90_ms is None else float(p90_ms),
        admitting=claims.get("admitting") is not False,
    )
