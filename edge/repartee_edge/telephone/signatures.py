"""Whether a webhook or a stream's handshake comes from the carrier: each carrier's own signature. Pure.

Addresses are the public ones that this deployment is configured with, never what a request says of itself: a proxy
may have changed that, and whoever forges a request can. Comparing takes the same time whatever is compared.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qs, parse_qsl, urlsplit

import jwt

from repartee_edge import bounded_json
from repartee_edge.telephone import ed25519

CARRIERS: Final = ("twilio", "telnyx", "signalwire", "plivo", "vonage", "exotel")

OLDEST_S: Final = 300
"""A webhook that carries its time is refused when it is older than this, or dated so far in the future."""

MAX_FIELDS: Final = 200
"""Fields of a webhook; carriers send a few dozen."""

MAX_BODY_BYTES: Final = 16 * 1024

Fields = Mapping[str, str]


class BadSignature(Exception):
    """This was not sent by the carrier; the message says why, and gives nothing away."""


@dataclass(frozen=True, slots=True, repr=False)
class CarrierKeys:
    """What carriers' signatures are checked with; empty for a carrier that is not used.

    ``telnyx_public_key`` is base64; ``exotel_credentials`` are ``user:password``.
    """

    twilio_auth_token: str = ""
    telnyx_public_key: str = ""
    signalwire_signing_key: str = ""
    plivo_auth_token: str = ""
    vonage_signature_secret: str = ""
    exotel_credentials: str = ""

    def __repr__(self) -> str:
        return f"CarrierKeys({', '.join(self.carriers)})"

    @property
    def carriers(self) -> list[str]:
        """The carriers whose calls can be taken."""
        return [carrier for carrier in CARRIERS if self.secret(carrier)]

    def secret(self, carrier: str) -> str:
        """The carrier's key; empty if there is none."""
        return {
            "twilio": self.twilio_auth_token,
            "telnyx": self.telnyx_public_key,
            "signalwire": self.signalwire_signing_key,
            "plivo": self.plivo_auth_token,
            "vonage": self.vonage_signature_secret,
            "exotel": self.exotel_credentials,
        }.get(carrier, "")


@dataclass(frozen=True, slots=True)
class Webhook:
    """A webhook as it came: ``url`` is the public one, header names are lower-case. ``now``: seconds since 1970."""

    url: str
    headers: Mapping[str, str]
    body: bytes
    now: float


def webhook_fields(carrier: str, keys: CarrierKeys, webhook: Webhook) -> dict[str, str]:
    """What a webhook says, once it is certain that the carrier says it. Raises BadSignature."""
    secret = keys.secret(carrier)
    if not secret:
        raise BadSignature(f"there is no key for {carrier} here")
    if len(webhook.body) > MAX_BODY_BYTES:
        raise BadSignature("the body is too long to be a carrier's")
    _WEBHOOKS[carrier](secret, webhook)
    return _fields(webhook)


def check_handshake(carrier: str, keys: CarrierKeys, url: str, headers: Mapping[str, str]) -> None:
    """Whether the carrier opens the stream that ``url`` (``wss://…``) names. Raises BadSignature.

    Telnyx and Plivo sign no handshakes: there the ticket in the path, which is good for one use, has to do.
    """
    secret = keys.secret(carrier)
    if not secret:
        raise BadSignature(f"there is no key for {carrier} here")
    match carrier:
        case "twilio":
            _twilio(secret, Webhook(url, headers, b"", 0.0))
        case "signalwire" | "vonage":
            _same(headers.get("authorization", ""), f"Bearer {stream_token(secret, url)}")
        case "exotel":
            _same(headers.get("authorization", ""), _basic(secret))


def stream_token(secret: str, url: str) -> str:
    """What a carrier that does not sign handshakes, but can send a header, must send for this stream."""
    digest = hmac.new(secret.encode(), b"repartee stream " + url.encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def twilio_signature(token: str, url: str, fields: Iterable[tuple[str, str]], algorithm: str = "sha1") -> str:
    """Twilio's signature of these fields, sent to this address."""
    signed = url + "".join(name + value for name, value in sorted(set(fields)))
    return base64.b64encode(hmac.new(token.encode(), signed.encode(), algorithm).digest()).decode()


def _twilio(token: str, webhook: Webhook) -> None:
    settings = webhook.headers.get("x-twilio-webhooks-signature-settings", "").upper()
    algorithm = "sha256" if "HMAC_SHA256" in settings else "sha1"
    given = webhook.headers.get("x-twilio-signature", "")
    _one_of(
        given, [twilio_signature(token, url, _pairs(webhook), algorithm) for url in _spellings(webhook.url)]
    )


def _signalwire(key: str, webhook: Webhook) -> None:
    headers = webhook.headers
    given = headers.get("x-signalwire-signature") or headers.get("x-twilio-signature", "")
    _one_of(given, [twilio_signature(key, url, _pairs(webhook)) for url in _spellings(webhook.url)])


def _telnyx(public_key: str, webhook: Webhook) -> None:
    stamp = webhook.headers.get("telnyx-timestamp", "")
    _recent(stamp, webhook.now)
    try:
        signature = base64.b64decode(webhook.headers.get("telnyx-signature-ed25519", ""), validate=True)
        key = base64.b64decode(public_key, validate=True)
    except (binascii.Error, ValueError):
        raise BadSignature("the signature is no base64") from None
    if not ed25519.verify(key, f"{stamp}|".encode() + webhook.body, signature):
        raise BadSignature("the signature is not the carrier's")


def plivo_signature(token: str, url: str, fields: Iterable[tuple[str, str]], nonce: str) -> str:
    """Plivo's signature, version 3, of these fields POSTed to this address."""
    parts = urlsplit(url)
    query = parse_qs(parts.query, keep_blank_values=True)
    asked = "&".join(f"{name}={value}" for name in sorted(query) for value in sorted(query[name]))
    posted = "".join(name + value for name, value in sorted(fields))
    signed = f"{parts.scheme}://{parts.netloc}{parts.path}"
    if asked or posted:
        signed += f"?{asked}"
    if posted:
        signed += f".{posted}" if asked else posted
    digest = hmac.new(token.encode(), f"{signed}.{nonce}".encode(), hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


def _plivo(token: str, webhook: Webhook) -> None:
    nonce = webhook.headers.get("x-plivo-signature-v3-nonce", "")
    if not nonce:
        raise BadSignature("there is no nonce")
    expected = plivo_signature(token, webhook.url, _pairs(webhook), nonce)
    for given in webhook.headers.get("x-plivo-signature-v3", "").split(",")[:4]:
        if hmac.compare_digest(given.strip().encode(), expected.encode()):
            return
    raise BadSignature("the signature is not the carrier's")


def _vonage(secret: str, webhook: Webhook) -> None:
    scheme, _, token = webhook.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise BadSignature("there is no signature")
    try:
        payload = jwt.PyJWS().decode(token, secret, algorithms=["HS256"])
        claims = bounded_json.read(payload, max_bytes=MAX_BODY_BYTES)
    except (jwt.PyJWTError, bounded_json.BadJson, ValueError):
        raise BadSignature("the signature is not the carrier's") from None
    if not isinstance(claims, dict):
        raise BadSignature("the signature is not the carrier's")
    _recent(str(claims.get("iat", "")), webhook.now)
    _same(str(claims.get("payload_hash", "")), hashlib.sha256(webhook.body).hexdigest())


def _exotel(credentials: str, webhook: Webhook) -> None:
    _same(webhook.headers.get("authorization", ""), _basic(credentials))


def _basic(credentials: str) -> str:
    return f"Basic {base64.b64encode(credentials.encode()).decode()}"


_WEBHOOKS: Final[Mapping[str, Callable[[str, Webhook], None]]] = {
    "twilio": _twilio,
    "telnyx": _telnyx,
    "signalwire": _signalwire,
    "plivo": _plivo,
    "vonage": _vonage,
    "exotel": _exotel,
}


def _same(given: str, expected: str) -> None:
    _one_of(given, [expected])


def _one_of(given: str, expected: Sequence[str]) -> None:
    found = [hmac.compare_digest(given.encode(), one.encode()) for one in expected]
    if not any(found):
        raise BadSignature("the signature is not the carrier's" if given else "there is no signature")


def _recent(stamp: str, now: float) -> None:
    try:
        age_s = now - int(stamp)
    except ValueError:
        raise BadSignature("there is no time") from None
    if abs(age_s) > OLDEST_S:
        raise BadSignature("it is too old")


def _spellings(url: str) -> list[str]:
    """An address with and without the port that it has anyway."""
    parts = urlsplit(url)
    port = {"https": 443, "wss": 443, "http": 80, "ws": 80}.get(parts.scheme)
    if parts.port is not None and parts.port != port:
        return [url]
    host = parts.hostname or ""
    return [parts._replace(netloc=netloc).geturl() for netloc in (host, f"{host}:{port}")]


def _pairs(webhook: Webhook) -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            webhook.body.decode(), keep_blank_values=True, strict_parsing=False, max_num_fields=MAX_FIELDS
        )
    except ValueError:
        raise BadSignature("the body cannot be read") from None


def _fields(webhook: Webhook) -> dict[str, str]:
    """The body's fields, or those of the address: a form, or an object of texts."""
    if webhook.body.lstrip()[:1] == b"{":
        try:
            said: Any = bounded_json.read(webhook.body, max_bytes=MAX_BODY_BYTES)
        except bounded_json.BadJson:
            raise BadSignature("the body cannot be read") from None
        return {name: str(value) for name, value in said.items() if isinstance(value, str | int | float)}
    query = parse_qsl(urlsplit(webhook.url).query, keep_blank_values=True, max_num_fields=MAX_FIELDS)
    return {**dict(query), **dict(_pairs(webhook))}
