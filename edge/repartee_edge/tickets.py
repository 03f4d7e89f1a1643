"""Session tickets and browser tokens: signing, verifying, and using each ticket once.

A ticket lets one session into one region and ages out in a minute; a client secret lets a browser ask the edge for
one. Both are JSON Web Tokens (HS256). Keys rotate: what the previous key signed is accepted beside the current one.
Pure but for tickets' ids (``identifiers``): time is an argument, in seconds since the epoch. No error here holds a
token or a key.
"""

import base64
import hashlib
import heapq
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jwt

from repartee_edge import bounded_json, identifiers

ISSUER = "repartee-edge"
CLIENT_AUDIENCE = "repartee-edge:client"
TICKET_TTL_S = 60
CLOCK_SKEW_S = 5
CLIENT_SECRET_PREFIX = "ek_"
CLIENT_SECRET_TTL_S = 600
MIN_KEY_BYTES = 32
MAX_TOKEN_CHARS = 7680  # with a header's name still one line of 8 KiB
MAX_TOKEN_HEADER_CHARS = 256
MAX_SEEN_TICKETS = 100_000
ALGORITHM = "HS256"


class TicketError(Exception):
    """A ticket is refused; ``reason`` is a short word for metrics, the message a sentence for the client."""

    reason = "refused"


class TicketMalformed(TicketError):
    reason = "malformed"


class TicketTooLong(TicketError):
    reason = "too_long"


class TicketForged(TicketError):
    reason = "forged"


class TicketExpired(TicketError):
    reason = "expired"


class TicketWrongRegion(TicketError):
    reason = "wrong_region"


class TicketReplayed(TicketError):
    reason = "replayed"


@dataclass(frozen=True, slots=True, repr=False)
class TicketKeys:
    """The key that signs, and the one before it, which still verifies. Each is 32 bytes of UTF-8 or more."""

    current: str
    previous: str | None = None

    def __post_init__(self) -> None:
        for key in (self.current, self.previous):
            if key is not None and len(key.encode()) < MIN_KEY_BYTES:
                raise ValueError(f"a ticket key must be at least {MIN_KEY_BYTES} bytes long")

    def __repr__(self) -> str:
        return f"TicketKeys({key_id(self.current)}{', +1 previous' if self.previous else ''})"

    def by_id(self, kid: object) -> str | None:
        keys = (self.current, self.previous)
        return next((key for key in keys if key is not None and key_id(key) == kid), None)


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a verified ticket says. Times are seconds since the epoch.

    ``subject`` is whose calls are counted together, an API key's id or a browser token's; ``limit`` is how many of
    them may be under way at once, None for any number.
    ``origin`` is the web origin a browser token was bound to; ``metadata`` and ``session`` are what the caller gave
    when it asked for the token: words about the call, and the initial ``session.update`` of its client secret.
    """

    region: str
    subject: str
    jti: str
    issued_at: int
    expires_at: int
    origin: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    session: Mapping[str, Any] | None = None
    limit: int | None = None


def key_id(key: str) -> str:
    """A name for a key that gives nothing of it away: tokens carry it so that rotation needs no guessing."""
    return hashlib.sha256(b"repartee ticket key id:" + key.encode()).hexdigest()[:12]


def for_operators(region: str) -> str:
    """Whom a ticket is for that opens a region's figures and kept calls, and no session; as no session's ticket is
    for it, callers cannot get at them."""
    return f"{region}/operators"


def sign(
    keys: TicketKeys,
    *,
    region: str,
    subject: str,
    now: float,
    ttl_s: int = TICKET_TTL_S,
    origin: str | None = None,
    metadata: Mapping[str, str] | None = None,
    session: Mapping[str, Any] | None = None,
    limit: int | None = None,
    jti: str | None = None,
) -> str:
    """A ticket for one session in one region, valid for ``ttl_s`` seconds from ``now``.

    ``limit`` is how many calls of ``subject`` may be under way at once; ``jti`` is what tells the ticket from others,
    where it is not to be a random one. Raises TicketTooLong.
    """
    claims: dict[str, Any] = {
        "iss": ISSUER,
        "aud": region,
        "sub": subject,
        "jti": jti or identifiers.ticket_id(),
        "iat": int(now),
        "exp": int(now) + ttl_s,
    }
    optional = {"org": origin, "meta": dict(metadata) if metadata else None, "ses": session, "lim": limit}
    claims.update({key: value for key, value in optional.items() if value is not None})
    token = jwt.encode(claims, keys.current, algorithm=ALGORITHM, headers={"kid": key_id(keys.current)})
    if len(token) > MAX_TOKEN_CHARS:
        raise TicketTooLong("origin, metadata and session together are too long for a token: shorten them")
    return token


def verify(keys: TicketKeys, token: str, *, region: str, now: float) -> Ticket:
    """The ticket in ``token``. Raises TicketMalformed, TicketForged, TicketWrongRegion or TicketExpired."""
    claims = verified_claims(keys, token)
    audience = claims.get("aud")
    if audience != region:
        raise TicketWrongRegion("this ticket is for another region: ask the edge for a new one")
    ticket = _ticket(claims, region)
    if now >= ticket.expires_at:
        raise TicketExpired("this ticket has expired: ask the edge for a new one")
    if ticket.issued_at > now + CLOCK_SKEW_S:
        raise TicketForged("this ticket is dated in the future: check the clocks of the edge and the region")
    return ticket


def sign_client_secret(
    keys: TicketKeys,
    *,
    subject: str,
    now: float,
    ttl_s: int = CLIENT_SECRET_TTL_S,
    origin: str | None = None,
    metadata: Mapping[str, str] | None = None,
    session: Mapping[str, Any] | None = None,
) -> str:
    """A short-lived token for a browser: lets it in at the edge, from ``origin`` only if one is given."""
    return CLIENT_SECRET_PREFIX + sign(
        keys,
        region=CLIENT_AUDIENCE,
        subject=subject,
        now=now,
        ttl_s=ttl_s,
        origin=origin,
        metadata=metadata,
        session=session,
    )


def verify_client_secret(keys: TicketKeys, token: str, *, origin: str | None, now: float) -> Ticket:
    """What a client secret says; ``origin`` is the request's own. Raises as ``verify`` does."""
    ticket = verify(keys, token.removeprefix(CLIENT_SECRET_PREFIX), region=CLIENT_AUDIENCE, now=now)
    if ticket.origin is not None and ticket.origin != origin:
        raise TicketForged("this client secret belongs to another web origin")
    return ticket


class SeenTickets:
    """The tickets already used at a region, each remembered until it expires."""

    def __init__(self, limit: int = MAX_SEEN_TICKETS) -> None:
        self._limit = limit
        self._seen: set[str] = set()
        self._expiries: list[tuple[int, str]] = []

    def __len__(self) -> int:
        return len(self._seen)

    def use(self, ticket: Ticket, now: float) -> None:
        """Mark a verified ticket as used. Raises TicketReplayed if it was, or if no more can be remembered."""
        while self._expiries and self._expiries[0][0] <= now:
            self._seen.discard(heapq.heappop(self._expiries)[1])
        if ticket.jti in self._seen:
            raise TicketReplayed("this ticket has been used: ask the edge for a new one")
        if len(self._seen) >= self._limit:
            raise TicketReplayed(
                "too many tickets in one minute to tell a new one from a used one: try again"
            )
        self._seen.add(ticket.jti)
        heapq.heappush(self._expiries, (ticket.expires_at, ticket.jti))


def verified_claims(
    keys: TicketKeys, token: str, *, max_chars: int = MAX_TOKEN_CHARS, noun: str = "ticket"
) -> dict[str, Any]:
    """The claims of a token signed with one of the keys; which ones, and what they say, is the caller's to check.

    Raises TicketMalformed, without parsing what is too long or too deep, or TicketForged.
    """
    malformed = f"this is not a {noun}"
    if len(token) > max_chars:
        raise TicketMalformed(malformed)
    try:
        header = _header(token)
        key = keys.by_id(header.get("kid"))
        if key is None or header.get("alg") != ALGORITHM:
            raise TicketForged(f"this {noun} was not signed with a known key")
        payload = jwt.PyJWS().decode(token, key, algorithms=[ALGORITHM])
        claims = bounded_json.read(payload, max_bytes=max_chars)
    except jwt.InvalidSignatureError:
        raise TicketForged(f"this {noun} was not signed with a known key") from None
    except bounded_json.BadJson as fault:
        raise TicketMalformed(f"{malformed}: {fault}") from None
    except (jwt.PyJWTError, ValueError):
        raise TicketMalformed(malformed) from None
    if not isinstance(claims, dict):
        raise TicketMalformed(malformed)
    return claims


def _header(token: str) -> dict[str, Any]:
    """A token's header, before its signature is checked. PyJWT parses it again, after this has found it harmless.

    Raises ValueError.
    """
    encoded = token.partition(".")[0]
    if len(encoded) > MAX_TOKEN_HEADER_CHARS:
        raise ValueError("the header is too long")
    padded = encoded.rstrip("=") + "=" * (-len(encoded.rstrip("=")) % 4)
    header = bounded_json.read(base64.urlsafe_b64decode(padded), max_bytes=MAX_TOKEN_HEADER_CHARS)
    if not isinstance(header, dict):
        raise ValueError("the header is no object")
    return header


def _ticket(claims: Mapping[str, Any], region: str) -> Ticket:
    strings = (claims.get("sub"), claims.get("jti"))
    times = (claims.get("iat"), claims.get("exp"))
    limit = claims.get("lim")
    if (
        claims.get("iss") != ISSUER
        or not all(isinstance(value, str) for value in strings)
        or not all(isinstance(value, int) for value in times)
        or not (limit is None or isinstance(limit, int))
    ):
        raise TicketMalformed("this ticket lacks what every ticket has")
    return Ticket(
        region=region,
        subject=claims["sub"],
        jti=claims["jti"],
        issued_at=claims["iat"],
        expires_at=claims["exp"],
        origin=claims.get("org"),
        metadata=claims.get("meta") or {},
        session=claims.get("ses"),
        limit=limit,
    )
