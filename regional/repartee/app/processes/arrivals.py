"""How connections reach one of a region's processes: its parent accepts them and hands them over.

Owns both ends of the hand-over, on a UNIX socket between the two. Must not know which process is chosen, or why.
"""

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Any

import uvicorn

from repartee.app.processes.membership import Membership
from repartee_edge.selfhosted.uvicorn_insides import Inside, connection_factory, has

log = logging.getLogger(__name__)

SETTLE_S = 1.0
"""A connection that asks for nothing in this time is not counted as a coming call any longer."""

AT_ONCE = 32
ARRIVAL = "arrival"
"""Where an application finds its connection's Arrival: in the scope's state."""


def can_hand_over() -> bool:
    """Whether a server can serve a connection that its parent accepted; if not, it accepts connections itself."""
    return has(Inside.HAND_OVER)


def hand_over(channel: socket.socket, connection: socket.socket) -> bool:
    """Hand a connection over; False if the process at the other end does not take it now."""
    try:
        socket.send_fds(channel, [b"+"], [connection.fileno()])
    except OSError:
        return False
    return True


class Arrival:
    """A connection that may become a call in a moment."""

    def __init__(self, settled: Callable[[], None]) -> None:
        self._settled: Callable[[], None] | None = settled

    def settle(self) -> None:
        """It is known what it is."""
        settled, self._settled = self._settled, None
        if settled:
            settled()


class Arrivals:
    """Takes connections over and has a server serve them."""

    def __init__(self, channel: socket.socket, membership: Membership) -> None:
        channel.setblocking(False)
        self._channel = channel
        self._membership = membership
        self._tasks: set[asyncio.Task[None]] = set()

    def open(self, server: uvicorn.Server) -> None:
        """Take connections over from now on."""
        if can_hand_over():
            asyncio.get_running_loop().add_reader(self._channel.fileno(), self._receive, server)
        self._membership.takes_connections(True)

    def close(self) -> None:
        """Take no more. Idempotent."""
        self._membership.takes_connections(False)
        asyncio.get_running_loop().remove_reader(self._channel.fileno())

    def _receive(self, server: uvicorn.Server) -> None:
        for _ in range(AT_ONCE):
            try:
                said, descriptors, _, _ = socket.recv_fds(self._channel, 1, 1)
            except BlockingIOError:
                return
            if not said:
                asyncio.get_running_loop().remove_reader(self._channel.fileno())
                return
            self._membership.received()
            arrival = Arrival(self._membership.settled)
            asyncio.get_running_loop().call_later(SETTLE_S, arrival.settle)
            for descriptor in descriptors:
                made = connection_factory(server, {ARRIVAL: arrival})
                task = asyncio.create_task(_serve(made, socket.socket(fileno=descriptor)))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)


async def _serve(made: Callable[[], asyncio.Protocol], connection: socket.socket) -> None:
    """What a server does with a connection that it accepts itself."""
    try:
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().connect_accepted_socket(made, connection)
    except OSError as error:
        log.debug("a connection was gone before it was served: %s", error)
        connection.close()


class Settling:
    """ASGI middleware: a connection is settled as soon as it asks for something."""

    def __init__(self, app: Callable[..., Any]) -> None:
        self._app = app

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """One request or session."""
        arrival = scope.get("state", {}).get(ARRIVAL)
        if arrival is not None:
            arrival.settle()
        await self._app(scope, receive, send)
