"""What connectors of WebSockets have in common: they dial, greet, watch and close a vendor's sockets.

Each vendor's file says what to dial and what a new connection needs; the rest of
:class:`~repartee.pool.connector.Connector` is here. Knows no vendor.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from websockets.exceptions import InvalidStatus

from repartee.errors import ProviderError
from repartee.providers.open_connections import OpenConnections
from repartee.providers.redirects import Moved, is_redirect
from repartee.providers.socket_dial import SocketDial, open_socket
from repartee.providers.sockets import PushedSocket, SocketSettings
from repartee.providers.vendor_errors import DIAL_ERRORS, VendorErrors


class Opened(Protocol):
    """A connection as a connector makes it of a socket."""

    @property
    def is_open(self) -> bool: ...

    @property
    def why_lost(self) -> ProviderError:
        """Why it has ended."""

    def on_close(self, call: Callable[[], None]) -> None:
        """Call once when it has ended."""

    def close_soon(self) -> None:
        """Begin closing; returns at once."""


OpenedT = TypeVar("OpenedT", bound=Opened)


class Entering(Protocol):
    """An SDK's manager of one connection."""

    def enter(self) -> Coroutine[Any, Any, object]:
        """Connect."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to dial a vendor's sockets, and who keeps count of them. ``sockets`` are shared by all connectors of
    one provider."""

    base_url: str
    errors: VendorErrors
    settings: SocketSettings = field(default_factory=SocketSettings)
    sockets: OpenConnections = field(default_factory=lambda: OpenConnections(1.0))

    @classmethod
    def of(cls, base_url: str, errors: VendorErrors, settings: SocketSettings) -> "Endpoint":
        """One for a provider's sockets, all of them."""
        return cls(base_url, errors, settings, OpenConnections(settings.close_timeout_s))

    async def open(self, url: str, headers: Mapping[str, str]) -> PushedSocket:
        """Dial this URL. Raises DIAL_ERRORS."""
        return await open_socket(url, headers, self.settings, self.sockets)

    async def enter(self, manager: Callable[[Mapping[str, Any]], Entering]) -> tuple[PushedSocket, object]:
        """Dial as an SDK does: ``manager`` gets the options of the connection. Returns the socket and what the SDK
        has of it. Raises DIAL_ERRORS."""
        dial = SocketDial(self.settings, self.sockets)
        async with dial.options(self.base_url) as options:
            sdk = await manager(options).enter()
            return dial.socket, sdk


class SocketConnector(ABC, Generic[OpenedT]):
    """Implements :class:`~repartee.pool.connector.Connector`, but for what to dial and what a new one needs."""

    keeps_open = True

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._moved = Moved(endpoint.errors)

    @abstractmethod
    async def connect(self) -> OpenedT:
        """Dial. Raises DIAL_ERRORS or ProviderError."""

    async def prime(self, connection: OpenedT, *, urgent: bool) -> None:
        """Make a new connection ready for a call: greet, warm up. ``urgent``: a caller waits, so only what must be.
        Raises ProviderError; the connection is then closed."""

    async def dial(self, *, urgent: bool) -> OpenedT:
        self._moved.check()
        try:
            connection = await self.connect()
        except DIAL_ERRORS as failure:
            raise self._undialled(failure) from failure
        try:
            await self.prime(connection, urgent=urgent)
        except BaseException:
            connection.close_soon()
            raise
        return connection

    def _undialled(self, failure: BaseException) -> ProviderError:
        endpoint = self.endpoint
        if isinstance(failure, InvalidStatus) and is_redirect(failure.response.status_code):
            where = failure.response.headers.get("Location")
            return self._moved.redirected(failure.response.status_code, where, endpoint.base_url)
        return endpoint.errors.undialled(failure, endpoint.base_url)

    def is_open(self, connection: OpenedT) -> bool:
        return connection.is_open

    def has_answered(self, connection: OpenedT) -> bool:
        return False

    def why_lost(self, connection: OpenedT) -> ProviderError:
        return connection.why_lost

    def on_lost(self, connection: OpenedT, call: Callable[[], None]) -> None:
        connection.on_close(call)

    def keep_alive(self, connection: OpenedT) -> Coroutine[Any, Any, bool] | None:
        """The socket's own pings suffice; the pool replaces it before the vendor's limit."""
        return None

    def close(self, connection: OpenedT) -> None:
        connection.close_soon()


class OwnSocket:
    """A socket that serves one call: as it is, with why it ended."""

    def __init__(self, socket: PushedSocket, errors: VendorErrors) -> None:
        self.socket = socket
        self._errors = errors

    @property
    def is_open(self) -> bool:
        return self.socket.is_open

    @property
    def why_lost(self) -> ProviderError:
        return self._errors.lost(self.socket)

    def on_close(self, call: Callable[[], None]) -> None:
        self.socket.on_close(call)

    def close_soon(self) -> None:
        self.socket.close_soon()


class UrlConnector(SocketConnector[OwnSocket]):
    """Dials one URL, for sockets that need nothing more."""

    def __init__(self, endpoint: Endpoint, url: str, headers: Mapping[str, str]) -> None:
        super().__init__(endpoint)
        self._url = url
        self._headers = dict(headers)

    async def connect(self) -> OwnSocket:
        return OwnSocket(await self.endpoint.open(self._url, self._headers), self.endpoint.errors)


async def first_message(socket: PushedSocket, errors: VendorErrors, timeout_s: float) -> bytes:
    """The vendor's greeting: it says there what it dislikes about a stream, not in a caller's first turn.

    What comes after it is kept for the next listener. Raises ProviderError.
    """
    first: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def on_message(message: bytes) -> None:
        if not first.done():
            first.set_result(message)
            socket.listen_no_more()

    def on_close() -> None:
        if not first.done():
            first.set_exception(errors.lost(socket))

    socket.listen(on_message)
    socket.on_close(on_close)
    try:
        async with asyncio.timeout(timeout_s):
            return await first
    except TimeoutError:
        raise errors.error("accepted the connection and then said nothing") from None
    finally:
        first.cancel()
        socket.listen_no_more()
