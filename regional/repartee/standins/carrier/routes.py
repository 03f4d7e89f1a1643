"""Which requests are for the telephone network: its REST interfaces, its handsets, its page."""

from typing import Any

from repartee.standins.carrier.handsets import PREFIX, handset, telephone_http
from repartee.standins.carrier.network import TelephoneNetwork
from repartee.standins.carrier.rest import PREFIXES, rest
from repartee.standins.link import Scope


def is_telephone(path: str) -> bool:
    """Whether a path is the network's."""
    return path.startswith((PREFIX, *PREFIXES))


async def telephone(scope: Scope, receive: Any, send: Any, network: TelephoneNetwork) -> None:
    """The ASGI application of the network's paths."""
    path = scope["path"]
    if scope["type"] == "websocket" and path == f"{PREFIX}handset":
        await handset(scope, receive, send, network)
    elif scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.http.response.start", "status": 404, "headers": []})
        await send({"type": "websocket.http.response.body", "body": b"There is no such WebSocket here."})
    elif path.startswith(PREFIX):
        await telephone_http(scope, receive, send, network)
    else:
        await rest(scope, receive, send, network)
