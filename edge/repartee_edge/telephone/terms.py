"""On what terms a call was placed: by which region, and for which agent. Signed into its webhook's address.

The region signs, the edge reads. Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import jwt

from repartee_edge.tickets import (
    ALGORITHM,
    TicketForged,
    TicketKeys,
    TicketMalformed,
    key_id,
    verified_claims,
)

AUDIENCE: Final = "repartee-edge:outbound"
LIFETIME_S: Final = 900
"""A telephone rings for a minute or two; then the carrier asks."""

MAX_CHARS: Final = 3000
FIELD: Final = "terms"


@dataclass(frozen=True, slots=True)
class CallTerms:
    """Which region has placed a call, which agent is to talk, and what else is to be known of it."""

    region: str
    agent: str
    metadata: Mapping[str, str]


def sign_terms(
    keys: TicketKeys,
    *,
    region: str,
    agent: str,
    metadata: Mapping[str, str],
    now: float,
    audience: str = AUDIENCE,
) -> str:
    """What a call's webhook carries."""
    claims: dict[str, Any] = {"aud": audience, "region": region, "agent": agent, "exp": int(now) + LIFETIME_S}
    claims["metadata"] = dict(metadata)
    return jwt.encode(claims, keys.current, algorithm=ALGORITHM, headers={"kid": key_id(keys.current)})


def verify_terms(keys: TicketKeys, token: str, now: float, audience: str = AUDIENCE) -> CallTerms:
    """What a webhook carries. Raises TicketMalformed and TicketForged."""
    claims: Mapping[str, Any] = verified_claims(keys, token, max_chars=MAX_CHARS, noun="call's terms")
    if claims.get("aud") != audience:
        raise TicketForged("these are no call's terms")
    region, agent, expires, metadata = (claims.get(name) for name in ("region", "agent", "exp", "metadata"))
    if not (isinstance(region, str) and isinstance(agent, str) and isinstance(expires, int)):
        raise TicketMalformed("these are no call's terms")
    if now >= expires:
        raise TicketForged("these terms are too old")
    said = metadata if isinstance(metadata, dict) else {}
    return CallTerms(region, agent, {str(name): str(value) for name, value in said.items()})
