"""A provider's connections from the dial until each has ended, whoever holds it or has dropped it.

A connection passes through many hands: a dial that may be cancelled, a priming that may fail, a pool, a call. Each
only begins to close what it no longer wants, since closing in good order takes a round trip. This module knows of
it all the while, so that none is left once its provider has closed. Knows neither pool nor protocol.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

CLOSING = "all connections to it are being closed"


class Connection(Protocol):
    """What can be ended, in good order or at once. Neither waits, and both may be repeated."""

    def close_soon(self) -> None: ...

    def drop(self) -> None: ...


class OpenConnections:
    """What is dialled and open now. Whoever dials does it in :meth:`dialling`; a connection calls :meth:`made` and
    :meth:`ended` of itself, once each."""

    def __init__(self, close_timeout_s: float) -> None:
        self._close_timeout_s = close_timeout_s
        self._dials: set[asyncio.Timeout] = set()
        self._open: set[Connection] = set()
        self._none_left = asyncio.Event()
        self._closed = False

    @asynccontextmanager
    async def dialling(self) -> AsyncIterator[None]:
        """For the time of a dial, which :meth:`aclose` cuts short. Raises ConnectionAbortedError if it does,
        or has."""
        if self._closed:
            raise ConnectionAbortedError(CLOSING)
        limit = asyncio.timeout(None)
        try:
            async with limit:
                self._dials.add(limit)
                try:
                    yield
                finally:
                    self._dials.discard(limit)
                    self._look()
        except TimeoutError:
            if limit.expired():
                raise ConnectionAbortedError(CLOSING) from None
            raise

    def made(self, connection: Connection) -> None:
        self._open.add(connection)
        if self._closed:
            connection.drop()

    def ended(self, connection: Connection) -> None:
        self._open.discard(connection)
        self._look()

    async def aclose(self) -> None:
        """Cut dials short, close what is open, and return when the last has ended. Those whose peer says no goodbye
        within ``close_timeout_s`` are dropped; nothing can be dialled any more. Idempotent."""
        self._closed = True
        for limit in self._dials:
            if limit.when() is None:
                limit.reschedule(asyncio.get_running_loop().time())
        for connection in tuple(self._open):
            connection.close_soon()
        try:
            async with asyncio.timeout(self._close_timeout_s):
                await self._until_none_is_left()
        except TimeoutError:
            pass
        finally:
            for connection in tuple(self._open):
                connection.drop()
        # The loop ends what was dropped, and cancelled, in its next turns: this needs no time limit.
        await self._until_none_is_left()

    def _look(self) -> None:
        if not self._dials and not self._open:
            self._none_left.set()

    async def _until_none_is_left(self) -> None:
        while self._dials or self._open:
            self._none_left.clear()
            await self._none_left.wait()
