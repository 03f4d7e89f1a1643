"""One caller's hold on a pooled connection.

Owns the promise that a connection goes back exactly once, however its user ends. Knows no provider.
"""

from collections.abc import Callable
from types import TracebackType
from typing import Generic, TypeVar

ConnectionT = TypeVar("ConnectionT")


class Lease(Generic[ConnectionT]):
    """A connection on loan. Release it, or use the lease as a context manager; releasing twice is harmless.

    ``hit`` tells whether the connection was ready when asked for; ``wait_ms`` how long that took.
    """

    __slots__ = ("_give_back", "connection", "hit", "wait_ms")

    def __init__(
        self,
        connection: ConnectionT,
        give_back: Callable[[bool], None],
        *,
        hit: bool,
        wait_ms: float,
    ) -> None:
        self.connection = connection
        self.hit = hit
        self.wait_ms = wait_ms
        self._give_back: Callable[[bool], None] | None = give_back

    @property
    def released(self) -> bool:
        return self._give_back is None

    def release(self, *, reusable: bool = True) -> None:
        """Give the connection back; ``reusable=False`` if it must not serve another call."""
        give_back, self._give_back = self._give_back, None
        if give_back is not None:
            give_back(reusable)

    def __enter__(self) -> ConnectionT:
        return self.connection

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """A connection that an error came through is not trusted again; a cancelled user's is."""
        self.release(reusable=kind is None or not issubclass(kind, Exception))
