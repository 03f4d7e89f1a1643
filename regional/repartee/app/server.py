"""The worker's process: uvicorn with settings for voice, and a stop that waits for calls to end."""

import asyncio
import gc
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import uvicorn
from starlette.applications import Starlette

from repartee.app.client_socket import Budget, with_budget
from repartee.app.processes.arrivals import Arrivals
from repartee.app.settings import Settings
from repartee.app.worker import Worker
from repartee.wire.client_events import MAX_EVENT_BYTES
from repartee_edge.selfhosted import uvicorn_insides
from repartee_edge.selfhosted.front_door import front_door
from repartee_edge.selfhosted.heads import DoorLimits

PING_INTERVAL_S = 20.0
"""Under a load balancer's idle time-out (300 s) and a proxy's (100 s)."""

MAX_FRAME_BYTES = 2 * MAX_EVENT_BYTES
"""Longer frames close the socket (1009); between this and MAX_EVENT_BYTES there is an error event and the call
goes on."""

HANDLED = (signal.SIGINT, signal.SIGTERM)
START_LOOK_S = 0.01
"""How often a server that starts is looked at."""


class DrainingServer:
    """SIGTERM drains: no new calls, calls end by themselves or at the limit, then the process ends. SIGINT, or a
    second SIGTERM, ends it at once."""

    def __init__(self, config: uvicorn.Config, app: Starlette, arrivals: Arrivals | None = None) -> None:
        self._server = uvicorn.Server(config)
        self._app = app
        self._arrivals = arrivals
        self._draining: asyncio.Task[None] | None = None
        self._received: list[int] = []
        self.started = False

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until told to stop. A signal that ended it at once is raised again when everything has ended."""
        with _handlers_kept():
            serving = asyncio.create_task(self._server.serve(sockets), name="uvicorn")
            await asyncio.sleep(0)  # uvicorn sets its own handlers of signals
            self._handle_signals()
            try:
                while not (  # noqa: ASYNC110 - uvicorn has nothing to wait for
                    serving.done() or uvicorn_insides.has_started(self._server)
                ):
                    await asyncio.sleep(START_LOOK_S)
                if not serving.done():
                    self._begin()
                await serving
            finally:
                if self._arrivals:
                    self._arrivals.close()
        for number in reversed(self._received):
            signal.raise_signal(number)

    def stop(self, *, at_once: bool = False) -> None:
        """Take no more connections, and close those there are; ``at_once``: without waiting for their answers."""
        if self._arrivals:
            self._arrivals.close()
        if not uvicorn_insides.stop(self._server, at_once=at_once):
            signal.signal(signal.SIGINT, self._uvicorns_handler)
            signal.raise_signal(signal.SIGINT)

    def _begin(self) -> None:
        """It listens: keep everything that stays for good out of the garbage collector's sight.

        A full collection then takes 4 ms instead of the 100 that all calls would stand still for (measured with
        ``repartee bench endurance``), and comes often enough that memory does not grow meanwhile. Collecting once
        more after the freeze is what makes it so: the collector paces itself by what the last one found.
        """
        gc.collect()
        gc.freeze()
        gc.collect()
        if self._arrivals:
            self._arrivals.open(self._server)
        self.started = True

    def _handle_signals(self) -> None:
        self._uvicorns_handler = signal.getsignal(signal.SIGINT)
        if threading.current_thread() is not threading.main_thread():
            return
        loop = asyncio.get_running_loop()

        def handle(number: int, frame: FrameType | None) -> None:
            """Called between any two instructions."""
            loop.call_soon_threadsafe(self._told_to_stop, number)

        for number in HANDLED:
            signal.signal(number, handle)

    def _told_to_stop(self, number: int) -> None:
        if number == signal.SIGTERM and self.started and self._draining is None and not self._received:
            self._draining = asyncio.create_task(self._drain(), name="drain")
            return
        again = number == signal.SIGINT and bool(self._received)
        self._received.append(number)
        self.stop(at_once=again)

    async def _drain(self) -> None:
        worker: Worker = self._app.state.worker
        try:
            await worker.drain()
        finally:
            self.stop()


@contextmanager
def _handlers_kept() -> Iterator[None]:
    """Leave the handlers of signals as they were, whoever sets others meanwhile."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in HANDLED}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


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
            h11_max_incomplete_event_size=settings.head_bytes,
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
