"""The worker's process: uvicorn with settings for voice, and a stop that waits for calls to end."""

import asyncio
import gc
import signal
import socket
from types import FrameType

import uvicorn
from starlette.applications import Starlette

from repartee.app.client_socket import Budget, with_budget
from repartee.app.processes.arrivals import Arrivals
from repartee.app.settings import Settings
from repartee.app.worker import Worker
from repartee.wire.client_events import MAX_EVENT_BYTES
from repartee_edge.selfhosted.front_door import front_door
from repartee_edge.selfhosted.heads import DoorLimits

PING_INTERVAL_S = 20.0
"""Under a load balancer's idle time-out (300 s) and a proxy's (100 s)."""

MAX_FRAME_BYTES = 2 * MAX_EVENT_BYTES
"""Longer frames close the socket (1009); between this and MAX_EVENT_BYTES there is an error event and the call
goes on."""


class DrainingServer(uvicorn.Server):
    """SIGTERM drains: no new calls, calls end by themselves or at the limit, then the process ends. SIGINT, or a
    second SIGTERM, ends it at once."""

    def __init__(self, config: uvicorn.Config, app: Starlette, arrivals: Arrivals | None = None) -> None:
        super().__init__(config)
        self._app = app
        self._arrivals = arrivals
        self._loop: asyncio.AbstractEventLoop | None = None
        self._draining: asyncio.Task[None] | None = None
        self._told_to_drain = False

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until told to stop."""
        self._loop = asyncio.get_running_loop()
        await super().serve(sockets)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen, with everything that stays for good out of the garbage collector's sight.

        A full collection then takes 4 ms instead of the 100 that all calls would stand still for (measured with
        ``repartee bench endurance``), and comes often enough that memory does not grow meanwhile. Collecting once
        more after the freeze is what makes it so: the collector paces itself by what the last one found.
        """
        await super().startup(sockets)
        gc.collect()
        gc.freeze()
        gc.collect()
        if self._arrivals and self.started:
            self._arrivals.open(self)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more connections, and close those there are."""
        if self._arrivals:
            self._arrivals.close()
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Called by uvicorn on SIGINT and SIGTERM, between any two instructions."""
        if sig == signal.SIGTERM and self.started and self._loop and not self._told_to_drain:
            self._told_to_drain = True
            self._loop.call_soon_threadsafe(self._begin_drain)
        else:
            super().handle_exit(sig, frame)

    def _begin_drain(self) -> None:
        self._draining = asyncio.ensure_future(self._drain())

    async def _drain(self) -> None:
        worker: Worker = self._app.state.worker
        try:
            await worker.drain()
        finally:
            self.should_exit = True


def door_limits(settings: Settings) -> DoorLimits:
    """What a connection may do until it is a call."""
    return DoorLimits(
        head_bytes=settings.head_bytes,
        line_bytes=settings.header_line_bytes,
        header_lines=settings.headers,
        body_bytes=settings.body_bytes,
        request_s=settings.request_s,
        response_s=settings.response_s,
        connections=settings.connections,
    )


def make_server(app: Starlette, *, host: str, port: int, arrivals: Arrivals | None = None) -> DrainingServer:
    """A server for this application. ``arrivals``: where connections come from, if another process accepts them."""
    settings: Settings = app.state.settings
    budget = Budget(
        settings.loop_messages, settings.loop_ms, settings.messages_per_s, settings.messages_burst_s
    )
    return DrainingServer(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            loop="uvloop",
            http=front_door(door_limits(settings)),
            ws=with_budget(budget),
            ws_max_size=MAX_FRAME_BYTES,
            ws_per_message_deflate=False,
            ws_ping_interval=PING_INTERVAL_S,
            ws_ping_timeout=PING_INTERVAL_S,
            access_log=False,
            log_config=None,
            server_header=False,
            timeout_graceful_shutdown=2,
        ),
        app,
        arrivals,
    )
