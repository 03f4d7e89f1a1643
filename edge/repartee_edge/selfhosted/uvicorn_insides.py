"""What regions and the self-hosted edge rely on of uvicorn beyond its documentation, checked once, behind this guard.

uvicorn makes a connection's protocol object itself and documents neither how nor what it is made of. Here its classes
are named, and what those that inherit from them use. A version that lacks something serves with uvicorn's own
protocols; one warning for each part says what is lost.
"""

import asyncio
import functools
import inspect
import logging
from collections.abc import Callable
from enum import Enum
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import uvicorn

log = logging.getLogger(__name__)

if TYPE_CHECKING:
    from uvicorn.protocols.http.h11_impl import H11Protocol
    from uvicorn.protocols.http.h11_impl import RequestResponseCycle as _Cycle
    from uvicorn.protocols.utils import ClientDisconnected
    from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
    from uvicorn.server import ServerState
else:
    try:
        from uvicorn.protocols.http.h11_impl import H11Protocol
        from uvicorn.protocols.http.h11_impl import RequestResponseCycle as _Cycle
    except ImportError:
        H11Protocol = _Cycle = asyncio.Protocol
    try:
        from uvicorn.protocols.utils import ClientDisconnected
        from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
    except ImportError:
        WebSocketsSansIOProtocol, ClientDisconnected = asyncio.Protocol, ConnectionError
    try:
        from uvicorn.server import ServerState
    except ImportError:
        ServerState = object

__all__ = ["ClientDisconnected", "H11Protocol", "Inside", "ServerState", "WebSocketsSansIOProtocol", "has"]


class Inside(Enum):
    """What is built on uvicorn's insides, and how the warning says what happens without."""

    FRONT_DOOR = (
        "connections are served by uvicorn's own HTTP: heads are bounded, their time and number are not"
    )
    CLIENT_SOCKET = "each message of a call wakes a task, and a client that floods is not disconnected"
    TUNNEL = "sessions are passed on message by message, which costs more"
    HAND_OVER = "processes accept connections themselves: the least busy one is not preferred"
    STOP = "a server is stopped by a signal, and its exit status says so"


MADE_WITH = {"config", "server_state", "app_state"}
"""What uvicorn gives the protocol of a connection that it makes."""

HTTP_CONNECTION = {
    "_unset_keepalive_if_required",
    "conn",
    "connection_lost",
    "connection_made",
    "connections",
    "cycle",
    "data_received",
    "flow",
    "handle_websocket_upgrade",
    "logger",
    "loop",
    "on_response_complete",
    "send_400_response",
    "shutdown",
    "transport",
}
HTTP_CYCLE = {"disconnected", "keep_alive", "message_event", "response_complete", "response_started"}
WEBSOCKET_CONNECTION = {
    "close_sent",
    "close_timer",
    "conn",
    "connection_lost",
    "curr_msg_data_type",
    "data_received",
    "disconnected",
    "frames",
    "handle_connect",
    "handle_cont",
    "handle_parser_exception",
    "handle_ping",
    "handshake_complete",
    "handshake_initiated",
    "initial_response",
    "loop",
    "queue",
    "read_paused",
    "receive",
    "response",
    "resume_writing",
    "scope",
    "send",
    "send_receive_event_to_app",
    "stop_keepalive",
    "transport",
    "writable",
}
SERVER = {"config", "server_state"}
STOPPING = {"force_exit", "should_exit", "started"}
SHARED = {"connections", "tasks"}
LOADED = {
    "asgi_version",
    "http_protocol_class",
    "load",
    "loaded",
    "loaded_app",
    "root_path",
    "ws_protocol_class",
}


def _parts_of(made: Any) -> set[str]:
    """The names of a class's methods, and of what its methods read or set on their objects."""
    methods = [each for each in vars(made).values() if inspect.isfunction(each)]
    return set(dir(made)).union(*(each.__code__.co_names for each in methods))


def _given_to(made: Any) -> set[str]:
    return set(inspect.signature(made).parameters)


def _lacking(part: Inside) -> set[str]:
    connection = MADE_WITH - _given_to(H11Protocol)
    shared = SHARED - _parts_of(ServerState)
    loaded = LOADED - _parts_of(uvicorn.Config)
    match part:
        case Inside.FRONT_DOOR:
            return connection | (HTTP_CONNECTION - _parts_of(H11Protocol)) | (HTTP_CYCLE - _parts_of(_Cycle))
        case Inside.CLIENT_SOCKET:
            given = MADE_WITH - _given_to(WebSocketsSansIOProtocol)
            return given | (WEBSOCKET_CONNECTION - _parts_of(WebSocketsSansIOProtocol))
        case Inside.TUNNEL:
            return connection | shared | loaded
        case Inside.HAND_OVER:
            return connection | loaded | (SERVER - _parts_of(uvicorn.Server))
        case Inside.STOP:
            return STOPPING - _parts_of(uvicorn.Server)


@functools.cache
def has(part: Inside) -> bool:
    """Whether the installed version has what this part relies on. If not, one warning is logged."""
    lacking = _lacking(part)
    if lacking:
        log.warning(
            "uvicorn %s has no %s; doing without: %s",
            version("uvicorn"),
            ", ".join(sorted(lacking)),
            part.value,
        )
    return not lacking


def loaded(config: uvicorn.Config) -> Any:
    """The application that a configuration serves, with what uvicorn puts around it."""
    if not config.loaded:
        config.load()
    return config.loaded_app


# --- servers -----------------------------------------------------------------------------------------------------


def connection_factory(
    server: uvicorn.Server, state: dict[str, Any]
) -> Callable[[], asyncio.Protocol]:  # pragma: no cover - covered in processes of their own
    """What makes the protocol of a connection that somebody else accepted; ``state`` is its scope's, beside the
    application's own. Only with ``has(Inside.HAND_OVER)``, and once the server has started."""

    def made() -> asyncio.Protocol:
        make: Any = server.config.http_protocol_class
        own = getattr(getattr(server, "lifespan", None), "state", {})
        connection: asyncio.Protocol = make(
            config=server.config, server_state=server.server_state, app_state={**own, **state}
        )
        return connection

    return made


def has_started(server: uvicorn.Server) -> bool:
    """Whether a server listens; taken for granted where that cannot be seen."""
    return not has(Inside.STOP) or server.started


def stop(server: uvicorn.Server, *, at_once: bool = False) -> bool:
    """Have a server end; False where this cannot be done but by a signal. ``at_once``: its connections are not waited
    for."""
    if not has(Inside.STOP):
        return False
    server.force_exit = server.force_exit or at_once
    server.should_exit = True
    return True
