"""Answers connections while none of a region's processes can: they are starting, all at once.

Owns those connections: a request's head, the answer, the end. Whoever asks whether the region is ready gets 503 at
once instead of nothing. It refuses calls with 503, so that the edge takes the next region.
"""

import asyncio
import json
import logging
import socket
from contextlib import suppress

import h11

log = logging.getLogger(__name__)

MOST_CONNECTIONS = 256
"""So many are answered at once; others wait in the system's queue."""

REQUEST_S = 5.0
"""How long a request's head may take to come, and its answer to go."""

HEAD_BYTES = 64 * 1024
PIECE_BYTES = 16 * 1024
STARTING = "the region's processes are starting"


class Lobby:
    """The connections that are answered here."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def is_full(self) -> bool:
        return len(self._tasks) >= MOST_CONNECTIONS

    def take(self, connection: socket.socket, *, draining: bool) -> None:
        """Answer a connection, which is the lobby's from now on."""
        task = asyncio.create_task(_answer(connection, draining), name="answer for processes that start")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def aclose(self) -> None:
        """End what is under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _answer(connection: socket.socket, draining: bool) -> None:
    connection.setblocking(False)
    loop = asyncio.get_running_loop()
    with connection, suppress(OSError, TimeoutError, h11.RemoteProtocolError):
        async with asyncio.timeout(REQUEST_S):
            protocol = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_BYTES)
            while (event := protocol.next_event()) is h11.NEED_DATA:
                protocol.receive_data(await loop.sock_recv(connection, PIECE_BYTES))
            if isinstance(event, h11.Request):
                await loop.sock_sendall(connection, _response(protocol, event, draining))
                connection.shutdown(socket.SHUT_WR)
                while await loop.sock_recv(connection, PIECE_BYTES):
                    pass  # a socket that is closed with something unread in it takes its answer along


def _response(protocol: h11.Connection, request: h11.Request, draining: bool) -> bytes:
    path = request.target.partition(b"?")[0]
    if path == b"/healthz":
        status, kind, body = 200, b"text/plain; charset=utf-8", b"alive\n"
    else:
        status, kind, body = 503, b"application/json", json.dumps(_refusal(path, draining)).encode()
    headers = [
        (b"content-type", kind),
        (b"content-length", b"%d" % len(body)),
        (b"retry-after", b"1"),
        (b"connection", b"close"),
    ]
    parts = [h11.Response(status_code=status, headers=headers), h11.Data(data=body), h11.EndOfMessage()]
    if request.method == b"HEAD":
        del parts[1]
    return b"".join(protocol.send(part) or b"" for part in parts)


def _refusal(path: bytes, draining: bool) -> dict[str, object]:
    why = "draining" if draining else STARTING
    if path == b"/readyz":
        return {"ready": False, "admitting": False, "draining": draining, "faults": [], "why": why}
    code = "draining" if draining else "starting"
    return {"error": {"type": "server_error", "code": code, "message": f"No calls are taken: {why}."}}
