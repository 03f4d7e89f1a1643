"""What is to become of a telephone call when its stream has ended, as its region says: hang up, or transfer.

The region signs it, with the key that tickets are signed with. Pure.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import jwt

from repartee_edge.replies import EdgeReply
from repartee_edge.tickets import (
    ALGORITHM,
    TicketForged,
    TicketKeys,
    TicketMalformed,
    key_id,
    verified_claims,
)

AUDIENCE: Final = "repartee-edge:telephone"
LIFETIME_S: Final = 30
MAX_CHARS: Final = 1024


@dataclass(frozen=True, slots=True)
class LineOutcome:
    """What follows a call's stream. ``to`` is the number to transfer to."""

    next: Literal["hang_up", "transfer"]
    to: str = ""

    def as_words(self) -> dict[str, str]:
        """As it is kept."""
        return {"next": self.next, "to": self.to}


@dataclass(frozen=True, slots=True)
class KeepOutcome:
    """Keep what is to become of a call, under ``name``, for KEEP_S; and answer ``reply``."""

    name: str
    outcome: LineOutcome
    reply: EdgeReply


@dataclass(frozen=True, slots=True)
class AskOutcome:
    """Look up what is kept under ``name``, if anything is, and answer as ``answer`` says of it."""

    name: str
    answer: Callable[[LineOutcome | None], EdgeReply]


def outcome_from_words(words: object) -> LineOutcome | None:
    """What was kept; None if that is nothing."""
    if not isinstance(words, dict):
        return None
    match words.get("next"):
        case "hang_up":
            return LineOutcome("hang_up")
        case "transfer" if words.get("to"):
            return LineOutcome("transfer", str(words["to"]))
    return None


def sign_outcome(keys: TicketKeys, *, carrier: str, call_id: str, outcome: LineOutcome, now: float) -> str:
    """What a region posts to ``/v1/telephone/<carrier>/outcome``."""
    claims: dict[str, Any] = {"aud": AUDIENCE, "car": carrier, "sub": call_id, "exp": int(now) + LIFETIME_S}
    claims |= outcome.as_words()
    return jwt.encode(claims, keys.current, algorithm=ALGORITHM, headers={"kid": key_id(keys.current)})


def verify_outcome(keys: TicketKeys, token: str, *, carrier: str, now: float) -> tuple[str, LineOutcome]:
    """The carrier's call and its outcome. Raises TicketMalformed or TicketForged."""
    claims: Mapping[str, Any] = verified_claims(keys, token, max_chars=MAX_CHARS, noun="outcome")
    if claims.get("aud") != AUDIENCE or claims.get("car") != carrier:
        raise TicketForged("this outcome is of no call of this carrier's")
    expires, call_id, outcome = claims.get("exp"), claims.get("sub"), outcome_from_words(dict(claims))
    if not isinstance(expires, int) or not isinstance(call_id, str) or outcome is None:
        raise TicketMalformed("this is not an outcome")
    if now >= expires:
        raise TicketForged("this outcome is too old")
    return call_id, outcome
