"""A provider whose connections a script opens, loses and refuses."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from tests.promptness import DEADLINE_S

from repartee.errors import ProviderError
from repartee.pool.pool import Pool
from repartee.pool.settings import PoolSettings


class Connection:
    def __init__(self, number: int) -> None:
        self.number = number
        self.open = True
        self.kept_alive = 0
        self.answered = False
        self.announced = False
        self.lost: list[Callable[[], None]] = []

    def lose(self) -> None:
        self.open = False
        for call in self.lost:
            call()


class ScriptedProvider:
    """A connector whose dials wait at a gate, and fail when told to."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.refuse: Exception | None = None
        self.dialled: list[Connection] = []
        self.closed: list[Connection] = []
        self.dialling = 0
        self.urgent: list[bool] = []
        self.checks: asyncio.Event | None = None
        self.check_result = True
        self.keeps_open = True

    async def dial(self, *, urgent: bool) -> Connection:
        self.dialling += 1
        self.urgent.append(urgent)
        try:
            await self.gate.wait()
        finally:
            self.dialling -= 1
        if self.refuse is not None:
            raise self.refuse
        connection = Connection(len(self.dialled))
        self.dialled.append(connection)
        return connection

    def has_answered(self, connection: Connection) -> bool:
        return connection.answered

    def why_lost(self, connection: Connection) -> ProviderError | None:
        return None if connection.announced else LOST

    def is_open(self, connection: Connection) -> bool:
        return connection.open

    def on_lost(self, connection: Connection, call: Callable[[], None]) -> None:
        connection.lost.append(call)

    def keep_alive(self, connection: Connection) -> Coroutine[Any, Any, bool] | None:
        connection.kept_alive += 1
        return None if self.checks is None else self._check(self.checks)

    async def _check(self, until: asyncio.Event) -> bool:
        await until.wait()
        return self.check_result

    def close(self, connection: Connection) -> None:
        connection.open = False
        self.closed.append(connection)

    @property
    def open(self) -> list[Connection]:
        return [connection for connection in self.dialled if connection.open]


LOST = ProviderError(
    "Deepgram closed the connection (1011 internal).",
    provider="deepgram",
    stage="stt",
    retryable=True,
    status=1011,
)


REFUSED = ProviderError("Deepgram refused.", provider="deepgram", stage="stt", retryable=True)


@asynccontextmanager
async def running(
    provider: ScriptedProvider, *, started: bool = True, **settings: Any
) -> AsyncIterator[Pool[Connection]]:
    usual = {"spare": 2, "acquire_timeout_s": 2.0, "young_s": 0.0}
    pool = Pool("deepgram", provider, PoolSettings(**{**usual, **settings}))
    if started:
        pool.start()
    try:
        yield pool
    finally:
        await pool.aclose()
    assert provider.open == []
    assert provider.dialling == 0
    assert repr(pool) == "<Pool deepgram: 0 idle, 0 leased, 0 dialling>"


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop run until a condition holds; a second at the most."""
    async with asyncio.timeout(DEADLINE_S):
        while not condition():  # noqa: ASYNC110 - the conditions are others' states
            await asyncio.sleep(0.001)
