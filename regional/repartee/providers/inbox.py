"""What a provider has said and a call has not yet read: a bounded queue for one reader, filled without waiting."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from repartee.errors import VoiceError

ItemT = TypeVar("ItemT")


class Inbox(Generic[ItemT]):
    """Filled by socket callbacks, read by one ``async for``. Ends, or raises, once its reader has read what came
    before.

    ``overflow`` makes the error for a reader that has fallen more than ``limit`` items behind.
    """

    __slots__ = ("_closed", "_error", "_items", "_limit", "_overflow", "_waiter")

    def __init__(self, limit: int, overflow: Callable[[], VoiceError]) -> None:
        self._limit = limit
        self._overflow = overflow
        self._items: deque[ItemT] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._closed = False
        self._error: VoiceError | None = None

    def __len__(self) -> int:
        return len(self._items)

    @property
    def closed(self) -> bool:
        """Nothing more will be taken."""
        return self._closed

    def put(self, item: ItemT) -> None:
        """Add an item; dropped after the end."""
        if self._closed:
            return
        if len(self._items) >= self._limit:
            self.fail(self._overflow())
            return
        self._items.append(item)
        self._wake()

    def replace_last(self, item: ItemT, kind: type[ItemT]) -> None:
        """Add an item, in the place of the last one if that is unread and of this kind too (it is superseded)."""
        if self._items and isinstance(self._items[-1], kind) and not self._closed:
            self._items[-1] = item
        else:
            self.put(item)

    def end(self) -> None:
        """No more items; the reader's loop ends after those there are."""
        self._closed = True
        self._wake()

    def fail(self, error: VoiceError) -> None:
        """No more items; the reader gets ``error`` after those there are. The first error counts."""
        if not self._closed:
            self._closed = True
            self._error = error
            self._wake()

    def __aiter__(self) -> "Inbox[ItemT]":
        return self

    async def __anext__(self) -> ItemT:
        while not self._items:
            if self._closed:
                error, self._error = self._error, None
                raise error or StopAsyncIteration
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return self._items.popleft()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
