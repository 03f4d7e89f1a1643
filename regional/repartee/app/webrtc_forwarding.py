"""Passes requests about another worker's or process's call on to that one, and brings back its answer."""

import asyncio
import contextlib

import httpx
from starlette.requests import Request
from starlette.responses import Response
from starlette.websockets import WebSocket
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from repartee.app.answers import error
from repartee.wire.client_events import MAX_EVENT_BYTES

FORWARD_S = 5.0
"""How long the other worker may take."""

KEPT = ("authorization", "content-type", "x-repartee-ticket")
RETURNED = ("content-type", "location", "retry-after", "access-control-expose-headers")


async def forward_request(request: Request, holder: str, mark: str) -> Response:
    """Ask who holds the call (host:port)."""
    url = f"http://{holder}{request.url.path}"
    headers = {name: value for name in KEPT if (value := request.headers.get(name))} | {mark: "1"}
    try:
        # Reading the certificates to trust takes 50 ms: not where none are needed.
        async with httpx.AsyncClient(timeout=FORWARD_S, trust_env=False, verify=False) as client:
            answer = await client.request(
                request.method,
                url,
                params=request.query_params,
                headers=headers,
                content=await request.body(),
            )
    except httpx.HTTPError:
        return _gone()
    returned = {name: value for name in RETURNED if (value := answer.headers.get(name))}
    return Response(answer.content, status_code=answer.status_code, headers=returned)


async def forward_socket(websocket: WebSocket, holder: str, mark: str) -> None:
    """Join this WebSocket to one of the holder's (host:port)."""
    url = f"ws://{holder}{websocket.url.path}?{websocket.url.query}"
    headers = {name: value for name in KEPT if (value := websocket.headers.get(name))} | {mark: "1"}
    offered = websocket.scope["subprotocols"]
    try:
        other = await connect(
            url,
            additional_headers=headers,
            subprotocols=offered or None,
            open_timeout=FORWARD_S,
            max_size=MAX_EVENT_BYTES,
            compression=None,
            proxy=None,
        )
    except InvalidStatus as refused:
        body = refused.response.body or b""
        await websocket.send_denial_response(
            Response(body, refused.response.status_code, media_type="application/json")
        )
        return
    except (TimeoutError, OSError, WebSocketException):
        await websocket.send_denial_response(_gone())
        return
    await websocket.accept(other.subprotocol)
    await _join(websocket, other)


async def _join(websocket: WebSocket, other: ClientConnection) -> None:
    async def there() -> None:
        while (message := await websocket.receive())["type"] != "websocket.disconnect":
            await other.send(message.get("text") or "")

    async def back() -> None:
        async for message in other:
            await websocket.send_text(message if isinstance(message, str) else message.decode())
        with contextlib.suppress(RuntimeError):
            await websocket.close(other.close_code or 1000)

    tasks = [asyncio.ensure_future(there()), asyncio.ensure_future(back())]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        with contextlib.suppress(ConnectionClosed):
            await other.close()
        await asyncio.gather(*tasks, return_exceptions=True)


def _gone() -> Response:
    return error(404, "call_not_found", "The worker that held this call is gone.")
