"""What comes with a POST that begins a call: an offer alone, or with the session's settings in another part. Pure."""

from dataclasses import dataclass
from email import message_from_bytes
from email.message import Message
from typing import Any

import msgspec

from repartee.wire import outside_json

MAX_PARTS = 8


class BadOfferBody(Exception):
    """The body cannot be used; says what to send."""


@dataclass(frozen=True, slots=True)
class OfferBody:
    """An offer, and the session's settings if they came along."""

    offer: str
    session: dict[str, Any] | None = None


def read_offer(content_type: str, body: bytes) -> OfferBody:
    """Raises BadOfferBody."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "application/sdp":
        return OfferBody(_text(body))
    if kind != "multipart/form-data":
        raise BadOfferBody(
            "Send the offer as application/sdp, or as multipart/form-data with the parts sdp and session."
        )
    parts = _parts(content_type, body)
    if "sdp" not in parts:
        raise BadOfferBody("The multipart body has no part named sdp.")
    return OfferBody(_text(parts["sdp"]), _session(parts.get("session")))


def _parts(content_type: str, body: bytes) -> dict[str, bytes]:
    message = message_from_bytes(b"Content-Type: " + content_type.encode("latin-1") + b"\r\n\r\n" + body)
    payload = message.get_payload()
    if not message.is_multipart() or not isinstance(payload, list) or len(payload) > MAX_PARTS:
        raise BadOfferBody("The multipart body cannot be read.")
    found: dict[str, bytes] = {}
    for part in payload:
        if not isinstance(part, Message):
            continue
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(content, bytes):
            found[name] = content
    return found


def _session(part: bytes | None) -> dict[str, Any] | None:
    if part is None:
        return None
    try:
        session = outside_json.decode(part)
    except msgspec.DecodeError:
        raise BadOfferBody("The part session must be JSON.") from None
    if not isinstance(session, dict):
        raise BadOfferBody("The part session must be an object, as in session.update.")
    return session


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise BadOfferBody("The offer is no text.") from None
