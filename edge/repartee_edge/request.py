"""A request as the router sees it, and the headers that go on to a region. Pure."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from repartee_edge import bounded_json
from repartee_edge.credentials import SECRET_SUBPROTOCOL, subprotocols
from repartee_edge.placement import Caller

TICKET_HEADER = "x-repartee-ticket"
MAX_BODY_BYTES = 16 * 1024
MAX_OFFER_BYTES = 64 * 1024
"""The body of a POST that begins a WebRTC call."""

CALLS_PATH, WHIP_PATH = "/v1/realtime/calls", "/v1/realtime/whip"
ICE_SERVERS_PATH = "/v1/realtime/ice_servers"
FIGURES_PATH, FIGURES_STREAM_PATH = "/v1/figures", "/v1/figures/stream"
KEPT_CALLS_PATH = "/v1/calls"
MAX_METADATA_ENTRIES = 16
MAX_METADATA_CHARS = 512
MAX_SESSION_CHARS = 2048
# All that a region needs to know of a client's request. Credentials stay here, and so does what a client could use to
# pose as the edge.
FORWARDED_HEADERS = frozenset(
    (
        "accept-language",
        "openai-beta",
        "origin",
        "sec-websocket-extensions",
        "sec-websocket-key",
        "sec-websocket-version",
        "traceparent",
        "tracestate",
        "upgrade",
        "user-agent",
    )
)
MAX_HEADER_LINE_CHARS = 8192
"""A header's name and value: regions take no more."""

_CALL_NAME = re.compile(r"rtc_([a-z0-9-]{1,64})_[0-9a-f]{36}")
_CALL_PATH = re.compile(
    r"/v1/realtime/(?:calls/(?P<hung_up>rtc_[\w-]{1,120})/hangup|whip/(?P<whip>rtc_[\w-]{1,120}))", re.ASCII
)
_KEPT_CALL_PATH = re.compile(r"/v1/calls/[\w-]{1,120}(/recording)?", re.ASCII)
_DASHBOARD_PATH = re.compile(r"/dashboard(/[\w-][\w.-]*)?", re.ASCII)
_PAGE_PATH = re.compile(r"/page/(?:[\w-][\w.-]*/)*[\w-][\w.-]*", re.ASCII)


class BadBody(Exception):
    """A request's body can't be used; the message says what to send. ``param`` names the field."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


@dataclass(frozen=True, slots=True)
class EdgeRequest:
    """An HTTP request. Header names are lower-case; ``body`` is at most MAX_BODY_BYTES + 1 bytes of what was sent."""

    method: str
    path: str
    headers: Mapping[str, str]
    caller: Caller
    client_ip: str = ""
    body: bytes = b""
    query: str = ""

    @property
    def call_name(self) -> str | None:
        """The WebRTC call that the query names (``call_id``)."""
        return next(iter(parse_qs(self.query).get("call_id", ())), None)

    @property
    def upgrade(self) -> bool:
        return self.headers.get("upgrade", "").lower() == "websocket"

    @property
    def origin(self) -> str | None:
        return self.headers.get("origin")


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a caller asks for in the body of POST /v1/voice/session or /v1/realtime/client_secrets."""

    metadata: Mapping[str, str]
    session: Mapping[str, Any] | None
    ttl_s: int | None
    origin: str | None


def most_body_bytes(path: str) -> int:
    """How long a request's body may be."""
    return MAX_OFFER_BYTES if path in (CALLS_PATH, WHIP_PATH) else MAX_BODY_BYTES


def named_call(path: str) -> tuple[str, str] | None:
    """The methods and the WebRTC call of a path that belongs to one: its hang-up, or WHIP's own; None: no call's."""
    found = _CALL_PATH.fullmatch(path)
    if found is None:
        return None
    return ("POST", found["hung_up"]) if found["hung_up"] else ("DELETE, PATCH", found["whip"])


def region_in(call_name: str) -> str | None:
    """The region that a WebRTC call's name holds."""
    found = _CALL_NAME.fullmatch(call_name)
    return found[1] if found else None


def keeps(name: str) -> bool:
    """Whether a client's header (lower-case name) reaches a region."""
    return name in FORWARDED_HEADERS


def is_page(path: str) -> bool:
    """Whether this is the browser page or one of its files; never anything that leads out of their folder."""
    return path == "/" or _PAGE_PATH.fullmatch(path) is not None


def is_dashboard(path: str) -> bool:
    """Whether this is the dashboard's page or one of its files."""
    return _DASHBOARD_PATH.fullmatch(path) is not None


def is_operators(path: str) -> bool:
    """Whether this is for operators: figures of all regions, and the calls they keep."""
    known = (FIGURES_PATH, FIGURES_STREAM_PATH, KEPT_CALLS_PATH)
    return path in known or _KEPT_CALL_PATH.fullmatch(path) is not None


def too_long(headers: Mapping[str, str]) -> str | None:
    """The name of a header whose line is longer than regions take; None if there is none."""
    return next(
        (name for name, value in headers.items() if len(name) + len(value) + 4 > MAX_HEADER_LINE_CHARS), None
    )


def forwarded(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """The client's headers that go on to a region, its subprotocols without the secret among them."""
    pairs = [(name.lower(), value) for name, value in headers]
    kept = [(name, value) for name, value in pairs if keeps(name)]
    offered = [
        item
        for name, value in pairs
        if name == "sec-websocket-protocol"
        for item in subprotocols({name: value})
        if not item.startswith(SECRET_SUBPROTOCOL)
    ]
    return [*kept, ("sec-websocket-protocol", ", ".join(offered))] if offered else kept


def read_wishes(body: bytes) -> Wishes:
    """The wishes in a body, which may be empty. Raises BadBody."""
    try:
        data = bounded_json.read(body, max_bytes=MAX_BODY_BYTES) if body.strip() else {}
    except bounded_json.BadJson as fault:
        raise BadBody(f"the body can't be read: {fault}") from None
    if not isinstance(data, dict):
        raise BadBody("the body must be a JSON object")
    return Wishes(_metadata(data), _session(data), _ttl_s(data), _origin(data))


def _metadata(data: Mapping[str, Any]) -> dict[str, str]:
    metadata = data.get("metadata")
    if metadata is None:
        return {}
    if (
        not isinstance(metadata, dict)
        or len(metadata) > MAX_METADATA_ENTRIES
        or not all(isinstance(value, str) for value in metadata.values())
        or sum(len(key) + len(value) for key, value in metadata.items()) > MAX_METADATA_CHARS
    ):
        raise BadBody(
            f"metadata must map up to {MAX_METADATA_ENTRIES} words to strings, {MAX_METADATA_CHARS} characters long",
            "metadata",
        )
    return metadata


def _session(data: Mapping[str, Any]) -> dict[str, Any] | None:
    session = data.get("session")
    if session is None:
        return None
    if not isinstance(session, dict):
        raise BadBody("session must be an object, as in session.update", "session")
    if len(json.dumps(session, separators=(",", ":"))) > MAX_SESSION_CHARS:
        raise BadBody(
            f"session must be shorter than {MAX_SESSION_CHARS} characters: send the rest in session.update",
            "session",
        )
    return session


def _ttl_s(data: Mapping[str, Any]) -> int | None:
    expires = data.get("expires_after")
    if expires is None:
        return None
    seconds = expires.get("seconds") if isinstance(expires, dict) else None
    if not isinstance(seconds, int) or isinstance(seconds, bool) or not 10 <= seconds <= 7200:
        raise BadBody(
            'expires_after must be {"anchor": "created_at", "seconds": 10 to 7200}', "expires_after"
        )
    return seconds


def _origin(data: Mapping[str, Any]) -> str | None:
    origin = data.get("origin")
    if origin is None:
        return None
    if (
        not isinstance(origin, str)
        or not origin.startswith(("https://", "http://"))
        or origin.count("/") != 2
    ):
        raise BadBody("origin must be a web origin such as https://shop.example", "origin")
    return origin
