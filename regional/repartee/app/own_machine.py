"""Keeps a region to this machine: it takes no pages and requests from other sites.

Listening on loopback keeps other machines out, but not the pages of other sites in a browser on this one.
"""

from collections.abc import Awaitable, Callable, Collection
from typing import Any

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.websockets import WebSocket

from repartee.app.answers import error
from repartee_edge import origins

App = Callable[[Any, Any, Any], Awaitable[None]]


class OwnMachine:
    """ASGI middleware: 403 for pages of other origins, 421 for requests meant for other hosts.

    ``allowed`` holds further origins, whose hosts count too.
    """

    def __init__(self, app: App, allowed: Collection[str]) -> None:
        self._app = app
        self._allowed = allowed

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One request or session."""
        refused = self._refused(Headers(scope=scope)) if scope["type"] in ("http", "websocket") else None
        if refused is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await refused(scope, receive, send)
        else:
            await WebSocket(scope, receive, send).send_denial_response(refused)

    def _refused(self, headers: Headers) -> Response | None:
        for origin in headers.getlist("origin"):
            if why := origins.refusal(origin, None, self._allowed):
                return error(403, "origin_refused", why)
        if why := origins.refusal(None, headers.get("host"), self._allowed):
            return error(421, "host_refused", why)
        return None
