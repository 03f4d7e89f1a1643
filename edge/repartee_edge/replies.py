"""What the edge answers itself: JSON bodies, errors in OpenAI's shape, CORS headers. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

CORS_METHODS = "GET, POST, DELETE, PATCH, OPTIONS"
CORS_HEADERS = "authorization, content-type"
CORS_MAX_AGE_S = 600


@dataclass(frozen=True, slots=True)
class EdgeReply:
    """A finished HTTP answer; ``body`` is JSON, or None for an empty one; ``text`` something else, in its place."""

    status: int
    body: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    text: str = ""

    def content(self) -> bytes:
        if self.text:
            return self.text.encode()
        return b"" if self.body is None else json.dumps(self.body, separators=(",", ":")).encode()

    def with_headers(self, extra: Mapping[str, str]) -> "EdgeReply":
        return replace(self, headers={**self.headers, **extra})

    def all_headers(self) -> dict[str, str]:
        base = {"cache-control": "no-store"}
        if self.body is not None:
            base["content-type"] = "application/json"
        return {**base, **self.headers}


def error(
    status: int, code: str, message: str, headers: Mapping[str, str] | None = None, **more: Any
) -> EdgeReply:
    """An error as the OpenAI SDKs read it; ``more`` stands beside the error in the body."""
    kind = "server_error" if status >= 500 else "invalid_request_error"
    body = {"error": {"message": message, "type": kind, "code": code, "param": None}, **more}
    return EdgeReply(status, body, dict(headers or {}))


def cors_headers(origin: str | None, allowed: frozenset[str]) -> dict[str, str]:
    """The headers that let a page of ``origin`` read an answer; empty if it may not."""
    if origin is None or not (origin in allowed or "*" in allowed):
        return {}
    return {
        "access-control-allow-origin": origin,
        "access-control-expose-headers": "location, retry-after, x-repartee-region",
        "vary": "origin",
    }


def preflight(origin: str | None, allowed: frozenset[str]) -> EdgeReply:
    """The answer to a browser's OPTIONS request."""
    headers = cors_headers(origin, allowed)
    if headers:
        headers |= {
            "access-control-allow-methods": CORS_METHODS,
            "access-control-allow-headers": CORS_HEADERS,
            "access-control-max-age": str(CORS_MAX_AGE_S),
        }
    return EdgeReply(204, None, headers)


def no_call() -> EdgeReply:
    """The answer where no region is known to hold a call."""
    return error(404, "call_not_found", "there is no such call: its region is not known, or away")


def not_for_browsers(does: str) -> EdgeReply:
    """The answer to a browser's token where only an API key will do; ``does`` is what the token does not."""
    return error(403, "not_for_browsers", f"a browser's token {does}: use an API key")


def not_allowed(allowed: str) -> EdgeReply:
    """The answer to another method than these."""
    return error(405, "method_not_allowed", f"use {allowed} here", {"allow": allowed})


def upgrade_required(path: str) -> EdgeReply:
    """The answer to a plain GET where a WebSocket is."""
    message = f"{path} is a WebSocket: connect with ws:// or wss://"
    return error(426, "upgrade_required", message, {"upgrade": "websocket", "connection": "upgrade"})


def too_many_requests(retry_after_s: int) -> EdgeReply:
    """The answer when the rate limit is used up."""
    message = f"too many requests: try again in {retry_after_s} s"
    return error(429, "rate_limit_exceeded", message, {"retry-after": str(retry_after_s)})
