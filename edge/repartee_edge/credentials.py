"""Who is asking: API keys and client secrets, as a header or as a WebSocket subprotocol.

Pure. Keys are compared in constant time, and neither a key nor a token appears in a message, a repr or an id.
"""

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from repartee_edge.tickets import CLIENT_SECRET_PREFIX, TicketError, TicketKeys, verify_client_secret

SECRET_SUBPROTOCOL = "openai-insecure-api-key."
MIN_KEY_CHARS = 3


class Unauthorised(Exception):
    """No credential, or none that is valid; the message says what to send."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who is asking. ``subject`` is the API key's id, also when a client secret made with that key is used;
    ``token`` is that client secret's own id."""

    subject: str
    token: str | None = None
    origin: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    session: Mapping[str, Any] | None = None

    @property
    def by_client_secret(self) -> bool:
        """A browser asks, with a token of its own."""
        return self.token is not None

    @property
    def caller(self) -> str:
        """Whose calls are counted together: a browser token's, or an API key's."""
        return self.subject if self.token is None else f"{self.subject}:{self.token}"


class ApiKeys:
    """The keys that the edge takes, each with an id that may be shown."""

    def __init__(self, keys: Iterable[tuple[str, str]]) -> None:
        self._digests = tuple((key_id, _digest(key)) for key_id, key in keys)

    def __repr__(self) -> str:
        return f"ApiKeys({', '.join(self.ids)})"

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(key_id for key_id, _ in self._digests)

    def id_of(self, key: str) -> str | None:
        """The id of a key, or None. Every key is looked at, however early one fits."""
        digest, found = _digest(key), None
        for key_id, known in self._digests:
            if hmac.compare_digest(digest, known):
                found = key_id
        return found


def parse_api_keys(text: str) -> tuple[list[tuple[str, str]], list[str]]:
    """(id, key) pairs and faults out of ``key`` or ``id:key``, separated by commas."""
    pairs: list[tuple[str, str]] = []
    faults: list[str] = []
    for number, item in enumerate((part.strip() for part in text.split(",")), start=1):
        if not item:
            continue
        name, colon, key = item.partition(":")
        if not colon:
            name, key = "", item
        if len(key) < MIN_KEY_CHARS or not key.isascii() or not key.isprintable() or " " in key:
            faults.append(
                f"key number {number} must be {MIN_KEY_CHARS} or more printable characters without spaces"
            )
            continue
        pairs.append((name or f"key-{_digest(key).hex()[:8]}", key))
    ids = [key_id for key_id, _ in pairs]
    faults += [
        f'the id "{key_id}" is used for more than one key'
        for key_id in sorted(set(ids))
        if ids.count(key_id) > 1
    ]
    return pairs, faults


def subprotocols(headers: Mapping[str, str]) -> list[str]:
    """What the client offers in Sec-WebSocket-Protocol."""
    return [item.strip() for item in headers.get("sec-websocket-protocol", "").split(",") if item.strip()]


def presented(headers: Mapping[str, str]) -> str | None:
    """The credential a request carries; header names are lower-case."""
    scheme, _, value = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and value.strip():
        return value.strip()
    offered = subprotocols(headers)
    secret = next((item for item in offered if item.startswith(SECRET_SUBPROTOCOL)), None)
    return secret.removeprefix(SECRET_SUBPROTOCOL) if secret else None


def identify(headers: Mapping[str, str], api_keys: ApiKeys, ticket_keys: TicketKeys, now: float) -> Identity:
    """Who sent a request with these headers. Raises Unauthorised."""
    credential = presented(headers)
    if credential is None:
        raise Unauthorised(
            "no API key: send Authorization: Bearer <key>, or from a browser the subprotocol "
            f"{SECRET_SUBPROTOCOL}<client secret>"
        )
    if credential.startswith(CLIENT_SECRET_PREFIX):
        try:
            secret = verify_client_secret(ticket_keys, credential, origin=headers.get("origin"), now=now)
        except TicketError as refused:
            words = (
                str(refused).replace("this ticket", "this client secret").replace("the edge", "your server")
            )
            raise Unauthorised(words) from None
        return Identity(secret.subject, secret.jti, secret.origin, secret.metadata, secret.session)
    subject = api_keys.id_of(credential)
    if subject is None:
        raise Unauthorised("this API key is not known here")
    return Identity(subject, origin=headers.get("origin"))


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
