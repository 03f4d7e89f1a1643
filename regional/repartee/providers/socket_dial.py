"""Dialling: a provider's WebSocket, opened by ``websockets`` itself or by a vendor's SDK that calls it.

Owns what ``connect`` is given and which way of reading the library's version allows; what a connection does is
``sockets``' and ``task_socket``'s.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.client import ClientProtocol
from websockets.exceptions import InvalidStatus, InvalidURI

from repartee.providers.open_connections import OpenConnections
from repartee.providers.sockets import PushedSocket, SocketSettings, tls_context
from repartee.providers.task_socket import TaskSocket
from repartee.providers.tunnel import dialled
from repartee.providers.websockets_insides import can_push


class SocketDial:
    """One attempt to connect, by this module or by a vendor's SDK: what ``connect`` is asked, and what it made."""

    def __init__(self, settings: SocketSettings, owner: OpenConnections) -> None:
        self._settings = settings
        self._owner = owner
        self._made: PushedSocket | None = None

    @asynccontextmanager
    async def options(self, url: str) -> AsyncIterator[dict[str, Any]]:
        """Keyword arguments for ``websockets``' ``connect``, which is called within: all of it, TCP included, has
        ``open_timeout_s``. As the socket is given, the library follows no redirect and asks no proxy.

        Raises OSError (TimeoutError too) where nobody is connected to.
        """
        async with self._owner.dialling(), asyncio.timeout(self._settings.open_timeout_s):
            tcp = await _tcp(url)
            try:
                yield {**self._limits(), "sock": tcp, "ssl": tls_context() if _is_secure(url) else None}
            except (ValueError, InvalidURI) as error:
                # A redirect: the library would follow it, but not on a socket that it was given, or not to there.
                for answer in (error.__cause__, error.__context__):
                    if isinstance(answer, InvalidStatus):
                        raise answer from None
                raise
            finally:
                if self._made is None:  # nobody has taken the socket
                    tcp.close()

    def _limits(self) -> dict[str, Any]:
        settings = self._settings
        return {
            "create_connection": self._make,
            "compression": None,
            "open_timeout": settings.open_timeout_s,
            "ping_interval": settings.ping_interval_s,
            "ping_timeout": settings.ping_timeout_s,
            "close_timeout": settings.close_timeout_s,
            "max_size": settings.max_message_bytes,
        }

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
    async with dial.options(url) as options:
        await connect(url, additional_headers=dict(headers), **options)
        return dial.socket


async def _tcp(url: str) -> socket.socket:
    parts = urlsplit(url)
    try:
        port = parts.port or (443 if _is_secure(url) else 80)
    except ValueError as error:
        raise InvalidURI(url, str(error)) from None
    if not parts.hostname:
        raise InvalidURI(url, "it names no host")
    return await dialled(parts.hostname, port, secure=_is_secure(url))


def _is_secure(url: str) -> bool:
    return url.startswith(("wss:", "https:"))
