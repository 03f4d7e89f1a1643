"""Signed reports from the regions' workers to the edge: load, draining, P90.

The worker posts ``{"token": sign_heartbeat(...)}``'s token as a bearer to ``/v1/regions/<name>/heartbeat``; the same
keys sign tickets, but the audiences differ, so that neither can stand for the other. Pure.
"""

from collections.abc import Mapping
from typing import Any

import jwt

from repartee_edge.health import Report
from repartee_edge.tickets import ALGORITHM, TicketError, TicketForged, TicketKeys, TicketMalformed, key_id

AUDIENCE = "repartee-edge:heartbeat"
LIFETIME_S = 30
INSTANCE_CHARS = 64


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
) -> str:
    """A report of one worker (``instance``: a name of its own) with calls ``active`` of ``capacity``."""
    claims = {
        "iss": region,
        "aud": AUDIENCE,
        "sub": instance[:INSTANCE_CHARS],
        "iat": int(now),
        "exp": int(now) + LIFETIME_S,
        "active": active,
        "capacity": capacity,
        "draining": draining,
        "p90_ms": p90_ms,
    }
    return jwt.encode(claims, keys.current, algorithm=ALGORITHM, headers={"kid": key_id(keys.current)})


def verify_heartbeat(keys: TicketKeys, token: str, *, region: str, now: float) -> tuple[str, Report]:
    """The worker's name and its report. Raises TicketMalformed or TicketForged."""
    try:
        key = keys.by_id(jwt.get_unverified_header(token).get("kid"))
        if key is None:
            raise TicketForged("this heartbeat was not signed by a key of ours")
        claims: Mapping[str, Any] = jwt.decode(
            token,
            key,
            algorithms=[ALGORITHM],
            audience=AUDIENCE,
            issuer=region,
            options={
                "require": ["iss", "aud", "sub", "iat", "exp"],
                "verify_exp": False,
                "verify_iat": False,
            },
        )
        if not claims["iat"] - LIFETIME_S <= now < claims["exp"]:
            raise TicketForged("this heartbeat is too old, or the clocks of region and edge disagree")
        return str(claims["sub"])[:INSTANCE_CHARS], _report(region, claims)
    except TicketError:
        raise
    except (jwt.InvalidSignatureError, jwt.InvalidAudienceError, jwt.InvalidIssuerError):
        raise TicketForged("this heartbeat was not signed by a key of ours for this region") from None
    except (jwt.PyJWTError, TypeError, ValueError, KeyError):
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
    )
