"""Keeps any vendor's warm connections: opens them before calls come, by what calls will use.

If connections differ by language or voice, there is a pool for each that the deployment's agents use. If a call
wants another, it is dialled, and a small pool stays from then on, for the next such call. All pools of a vendor
share one ceiling on dials.
"""

import asyncio
import logging
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Generic

from repartee.pool.ceiling import DialCeiling
from repartee.pool.connector import ConnectionT, Connector
from repartee.pool.figures import PoolFigures
from repartee.pool.lease import Lease
from repartee.pool.pool import Pool
from repartee.pool.settings import PoolSettings
from repartee.providers.open_connections import OpenConnections
from repartee.wire.audio_format import WireFormat

log = logging.getLogger(__name__)

MOST_LEARNT = 3
"""Pools kept for what calls wanted and no agent of the deployment names; the longest unused makes room."""


@dataclass(frozen=True, slots=True)
class Use:
    """What a connection is used for: a language (a BCP 47 tag), a voice's id (None: the vendor's default), the format
    of a caller's audio (None: the usual one)."""

    language: str = "en"
    voice: str | None = None
    heard: WireFormat | None = None

    @property
    def spoken(self) -> str:
        """The language without its region: ``de`` of ``de-AT``."""
        return self.language.partition("-")[0].lower()


ANY = Use()
"""Of connections that serve every language and voice."""


class Pooled(ABC, Generic[ConnectionT]):
    """A vendor's pools. ``uses`` are what the deployment's agents use."""

    def __init__(
        self, name: str, settings: PoolSettings, sockets: OpenConnections, uses: Sequence[Use] = (ANY,)
    ) -> None:
        self._name = name
        self._pool_settings = settings
        self._sockets = sockets
        self._ceiling = DialCeiling(settings.dials_per_s, settings.call_dials_per_s)
        self._pools: dict[Use, Pool[ConnectionT]] = {}
        self._learnt: list[Use] = []
        self._closing: set[asyncio.Task[None]] = set()
        self._calls = 0
        self._started = False
        self.use(uses)

    @abstractmethod
    def connector(self, use: Use) -> Connector[ConnectionT]:
        """What dials connections for this use, which is one that :meth:`kind_of` gives."""

    def kind_of(self, use: Use) -> Use:
        """The uses that share connections are one kind, known by one of them."""
        return ANY

    async def close_client(self) -> None:
        """Close what the vendor's SDK holds beside connections."""

    def use(self, uses: Iterable[Use]) -> None:
        """The agents use these from now on; what others used may make room."""
        declared = dict.fromkeys(map(self.kind_of, uses)) or {self.kind_of(ANY): None}
        self._learnt = [kind for kind in self._pools if kind not in declared]
        for kind in declared:
            if kind not in self._pools:
                self._add(kind, self._pool_settings)
        self._forget_some(MOST_LEARNT)

    @property
    def warm(self) -> bool:
        """The pools for what the agents use have been full once, and a new call need not fail now."""
        return all(pool.warm for pool in self._declared())

    @property
    def usable(self) -> bool:
        """A new call has a chance, as far as the agents' pools know."""
        return all(pool.figures().usable for pool in self._declared())

    def pools(self) -> tuple[PoolFigures, ...]:
        """All pools' figures at this moment."""
        return tuple(pool.figures() for pool in self._pools.values())

    def expect(self, calls: int) -> None:
        """So many calls are in progress. Where they share connections, each may want one at any moment; where each
        has one of its own, it has it already."""
        self._calls = calls
        for kind, pool in self._pools.items():
            if self._pool_settings.single_use or kind in self._learnt:
                pool.in_calls(calls)
            else:
                pool.expect(calls)

    async def start(self) -> None:
        """Begin warming; returns at once."""
        self._started = True
        for pool in self._pools.values():
            pool.start()

    async def wait_warm(self, timeout_s: float) -> None:
        """Raises PoolTimeout."""
        await asyncio.gather(*(pool.wait_warm(timeout_s) for pool in self._declared()))

    async def aclose(self) -> None:
        """Close all connections. Idempotent."""
        await asyncio.gather(*(pool.aclose() for pool in self._pools.values()), *self._closing)
        await self._sockets.aclose()
        await self.close_client()

    async def acquire(self, use: Use = ANY) -> Lease[ConnectionT]:
        """A connection for this use. Raises ProviderError or PoolTimeout."""
        kind = self.kind_of(use)
        if kind not in self._pools:
            return await self._learn(kind)
        if kind in self._learnt:
            self._learnt.remove(kind)
            self._learnt.append(kind)
        return await self._pools[kind].acquire()

    async def _learn(self, kind: Use) -> Lease[ConnectionT]:
        """The first connection of a kind that no agent names; once it stands, more are kept ready."""
        home = next(iter(self._pools.values()))
        lease = await home.dial_apart(self.connector(kind))
        if kind not in self._pools and self._started:
            self._forget_some(MOST_LEARNT - 1)
            if len(self._learnt) < MOST_LEARNT:
                settings = self._pool_settings
                self._add(kind, replace(settings, spare=min(settings.spare, settings.slots)))
                self._learnt.append(kind)
                log.info("%s was wanted for %s; keeping a pool for it from now on", self._name, kind)
        return lease

    def _declared(self) -> list[Pool[ConnectionT]]:
        return [pool for kind, pool in self._pools.items() if kind not in self._learnt]

    def _add(self, kind: Use, settings: PoolSettings) -> None:
        pool = Pool(self._free_name(), self.connector(kind), settings, self._ceiling)
        self._pools[kind] = pool
        pool.in_calls(self._calls)
        if self._started:
            pool.start()

    def _free_name(self) -> str:
        """The vendor's for the first pool, with a number for the others: as many names as there can be pools."""
        taken = {pool.name for pool in self._pools.values()}
        number = 2
        name = self._name
        while name in taken:
            name, number = f"{self._name}-{number}", number + 1
        return name

    def _forget_some(self, most: int) -> None:
        """Close the longest unused of the learnt pools, as far as no call holds a connection of theirs."""
        for kind in tuple(self._learnt):
            if len(self._learnt) <= most:
                return
            if not self._pools[kind].figures().leased:
                self._learnt.remove(kind)
                pool = self._pools.pop(kind)
                if self._started:
                    closing = asyncio.get_running_loop().create_task(pool.aclose(), name=f"close {pool.name}")
                    self._closing.add(closing)
                    closing.add_done_callback(self._closing.discard)


def sized(
    pool: PoolSettings, *, calls: int, warm: int, dials_per_s: int, call_dials_per_s: int
) -> PoolSettings:
    """A pool with room for all of a worker's calls, kept warm for a few more than there are."""
    return replace(
        pool,
        spare=warm if pool.slots == 1 else max(pool.spare, warm),
        max_open=max(pool.max_open, math.ceil((calls + warm) / pool.slots)),
        dials_per_s=dials_per_s,
        call_dials_per_s=call_dials_per_s,
    )
