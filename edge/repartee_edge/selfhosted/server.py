"""Serves the self-hosted edge on uvicorn, with the WebSocket protocol that passes frames through."""

from pathlib import Path

import uvicorn

from repartee_edge.selfhosted.app import create_app
from repartee_edge.selfhosted.bridge import MAX_MESSAGE_BYTES
from repartee_edge.selfhosted.front_door import front_door
from repartee_edge.selfhosted.heads import DoorLimits
from repartee_edge.selfhosted.tunnel import TunnelProtocol
from repartee_edge.selfhosted.uvicorn_insides import Inside, has
from repartee_edge.settings import EdgeSettings

BACKLOG = 2048


def server_config(
    settings: EdgeSettings, *, host: str = "127.0.0.1", port: int = 8787, mmdb: Path | None = None
) -> uvicorn.Config:
    """What ``uvicorn.Server`` needs to serve an edge with these settings. Raises DatabaseError."""
    return uvicorn.Config(
        create_app(settings, mmdb),
        host=host,
        port=port,
        http=front_door(DoorLimits()),
        ws=TunnelProtocol if has(Inside.TUNNEL) else "websockets-sansio",
        ws_max_size=MAX_MESSAGE_BYTES,
        ws_per_message_deflate=False,
        # The edge finds its client's address itself, by its own list of trusted proxies.
        proxy_headers=False,
        server_header=False,
        access_log=False,
        log_level="warning",
        backlog=BACKLOG,
        timeout_graceful_shutdown=settings.drain_s,
    )
