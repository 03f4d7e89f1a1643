"""What the stand-ins rely on of uvicorn beyond its documentation, checked once, behind this guard.

It is a guard of their own, as the far end of the wire shares no code with what calls it. A version that lacks
something serves them through ASGI, in which a connection cannot be reset: faults that do so close it instead.
"""

import asyncio
import functools
import inspect
import logging
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

log = logging.getLogger(__name__)

if TYPE_CHECKING:
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
    from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
    from uvicorn.server import ServerState
else:
    try:
        from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
        from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
        from uvicorn.server import ServerState
    except ImportError:
        HttpToolsProtocol = WebSocketsSansIOProtocol = ServerState = asyncio.Protocol

__all__ = ["HttpToolsProtocol", "ServerState", "WebSocketsSansIOProtocol", "reaches_sockets"]

MADE_WITH = {"_loop", "app_state", "config", "server_state"}
WEBSOCKET = {
    "close_sent",
    "close_timeout",
    "close_timer",
    "conn",
    "curr_msg_data_type",
    "data_received",
    "frames",
    "handle_connect",
    "handle_ping",
    "loop",
    "queue",
    "scope",
    "send_receive_event_to_app",
    "shutdown",
    "transport",
}
HTTP = {"on_message_begin", "scope", "shutdown", "transport"}
SHARED = {"connections", "tasks"}


def _parts_of(made: Any) -> set[str]:
    """The names of a class's methods, and of what its methods read or set on their objects."""
    methods = [each for each in vars(made).values() if inspect.isfunction(each)]
    return set(dir(made)).union(*(each.__code__.co_names for each in methods))


@functools.cache
def reaches_sockets() -> bool:
    """Whether the installed version lets a stand-in have its connection; if not, one warning is logged."""
    lacking = (
        (WEBSOCKET - _parts_of(WebSocketsSansIOProtocol))
        | (HTTP - _parts_of(HttpToolsProtocol))
        | (SHARED - _parts_of(ServerState))
        | (MADE_WITH - set(inspect.signature(HttpToolsProtocol).parameters))
    )
    if lacking:
        log.warning(
            "uvicorn %s has no %s; serving the stand-ins through ASGI, where they close instead of resetting",
            version("uvicorn"),
            ", ".join(sorted(lacking)),
        )
    return not lacking
