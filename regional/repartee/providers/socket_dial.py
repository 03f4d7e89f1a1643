"""Dialling: a provider's WebSocket, opened by ``websockets`` itself or by a vendor's SDK that calls it.

Owns what ``connect`` is given and which way of reading the library's version allows; what a connection does is
``sockets``' and ``task_socket``'s.
"""

from collections.abc import Mapping
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.client import ClientProtocol

from repartee.providers.open_connections import OpenConnections
from repartee.providers.sockets import PushedSocket, SocketSettings, tls_context
from repartee.providers.task_socket import TaskSocket
from repartee.providers.websockets_insides import can_push


class SocketDial:
    """One attempt to connect, by this module or by a vendor's SDK: what ``connect`` is asked, and what it made."""

    def __init__(self, settings: SocketSettings, owner: OpenConnections) -> None:
        self._settings = settings
        self._owner = owner
        self._made: PushedSocket | None = None

    def options(self, url: str) -> dict[str, Any]:
        """Keyword arguments for ``websockets``' ``connect``."""
        settings = self._settings
        options: dict[str, Any] = {
            "create_connection": self._make,
            "compression": None,
            "open_timeout": settings.open_timeout_s,
            "ping_interval": settings.ping_interval_s,
            "ping_timeout": settings.ping_timeout_s,
            "close_timeout": settings.close_timeout_s,
            "max_size": settings.max_message_bytes,
        }
        if url.startswith(("wss:", "https:")):
            options["ssl"] = tls_context()
        return options

    def _make(self, protocol: ClientProtocol, **options: Any) -> ClientConnection:
        way = PushedSocket if can_push() else TaskSocket
        self._made = way(self._settings, self._owner)
        return self._made.connection(protocol, **options)

    @property
    def socket(self) -> PushedSocket:
        """The connection, once ``connect`` has returned."""
        assert self._made is not None
        self._made.opened()
        return self._made


async def open_socket(
    url: str, headers: Mapping[str, str], settings: SocketSettings, owner: OpenConnections
) -> PushedSocket:
    """Connect. Raises one of vendor_errors' DIAL_ERRORS."""
    dial = SocketDial(settings, owner)
    async with owner.dialling():
        await connect(url, additional_headers=dict(headers), **dial.options(url))
        return dial.socket
