"""The worker's process: uvicorn with settings for voice, and a stop that waits for calls to end."""

import asyncio
import signal
from types import FrameType

import uvicorn
from starlette.applications import Starlette

from repartee.app.worker import Worker
from repartee.wire.client_events import MAX_EVENT_BYTES

PING_INTERVAL_S = 20.0
"""Under a load balancer's idle time-out (300 s) and a proxy's (100 s)."""

MAX_FRAME_BYTES = 2 * MAX_EVENT_BYTES
"""Longer frames close the socket (1009); between this and MAX_EVENT_BYTES there is an error event and the call
goes on."""


class DrainingServer(uvicorn.Server):
    """SIGTERM drains: no new calls, calls end by themselves or at the limit, then the process ends. SIGINT, or a
    second SIGTERM, ends it at once."""

    _draining: asyncio.Task[None] | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Called by uvicorn on SIGINT and SIGTERM."""
        if sig == signal.SIGTERM and self._draining is None and self.started:
            self._draining = asyncio.get_running_loop().create_task(self._drain())
        else:
            super().handle_exit(sig, frame)

    async def _drain(self) -> None:
        worker: Worker = self.config.loaded_app.state.worker
        await worker.drain()
        self.should_exit = True


def make_server(app: Starlette, *, host: str, port: int) -> DrainingServer:
    """A server for this application."""
    return DrainingServer(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            loop="uvloop",
            http="httptools",
            ws="websockets-sansio",
            ws_max_size=MAX_FRAME_BYTES,
            ws_per_message_deflate=False,
            ws_ping_interval=PING_INTERVAL_S,
            ws_ping_timeout=PING_INTERVAL_S,
            access_log=False,
            log_config=None,
            server_header=False,
            timeout_graceful_shutdown=2,
        )
    )
