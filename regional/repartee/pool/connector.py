"""What a provider must be able to do for its pool. Knows neither."""

from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

from repartee.errors import VoiceError

ConnectionT = TypeVar("ConnectionT")


class Connector(Protocol[ConnectionT]):
    """What a provider must be able to do for its pool. Only dialling may take time."""

    async def dial(self, *, urgent: bool) -> ConnectionT:
        """Open a connection and prime it, or only open it if that is ``urgent``: a caller waits.

        Raises ProviderError; leaves nothing open when it fails. What has been answered may be closed already, if the
        provider announced it: it then keeps nothing open, and :attr:`keeps_open` says so.
        """

    @property
    def keeps_open(self) -> bool:
        """False for a provider that ends each connection after its use: none is kept ready then."""

    def has_answered(self, connection: ConnectionT) -> bool:
        """The provider has answered on this connection as it would a call."""

    def why_lost(self, connection: ConnectionT) -> VoiceError | None:
        """Why a connection has ended; None if the provider had announced that it would."""

    def is_open(self, connection: ConnectionT) -> bool:
        """False once the connection has ended or stopped answering."""

    def on_lost(self, connection: ConnectionT, call: Callable[[], None]) -> None:
        """Arrange for ``call`` when the connection ends, if it has not been closed by the pool."""

    def keep_alive(self, connection: ConnectionT) -> Coroutine[Any, Any, bool] | None:
        """Give a sign of life as this provider understands it; at once (None), or as a coroutine that tells whether
        the connection is still good, which keeps the connection from being leased while it runs. Never raises.
        """

    def close(self, connection: ConnectionT) -> None:
        """Begin closing; returns at once and never raises."""
