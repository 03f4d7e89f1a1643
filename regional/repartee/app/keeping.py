"""What a worker keeps beyond its calls: its store, and what calls teach. Deletes what is too old."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress

from repartee.agent.experience import Experience, Transition, counted
from repartee.app.settings import Settings
from repartee.errors import ConfigurationError, StoreError
from repartee.store.interfaces import Store
from repartee.store.opening import StorePlace, open_store
from repartee.store.retention import Retention, keep_expiring, retention_of
from repartee.store.tables import EXPIRING
from repartee.store.threaded import StoreLimits
from repartee.store.transitions import keep_counts, load_counts


class Lessons:
    """What calls of an agent teach. Without a store it is forgotten with the process."""

    def __init__(self, experience: Experience, agent: str = "", store: Store | None = None) -> None:
        self.experience = experience
        self.store = store
        self._agent = agent

    async def keep(self, transitions: Iterable[Transition]) -> None:
        """Keep what one call has taught; ``experience`` knows it already. Waits for nothing."""
        now = time.time()
        if self.store:
            keep_counts(self.store, self._agent, transitions, lambda known: counted(known, now))


def store_place(settings: Settings) -> StorePlace:
    """Where the settings say that things are kept."""
    limits = StoreLimits(settings.store_queue, settings.store_timeout_s)
    return StorePlace(settings.database_url.get_secret_value(), settings.store_file, limits)


async def check_store(settings: Settings) -> None:
    """Open the store, bring its schema up and close it. Raises ConfigurationError."""
    store = await open_store(store_place(settings))
    await store.aclose()


@asynccontextmanager
async def keeping(settings: Settings, agent: str, *, expires: bool) -> AsyncIterator[Lessons]:
    """The store, open for as long as the block lasts; ``expires``: this process deletes what is too old.

    Raises ConfigurationError.
    """
    store = await open_store(store_place(settings))
    expiring: asyncio.Task[None] | None = None
    try:
        try:
            experience = Experience(await load_counts(store, agent))
        except StoreError as error:
            raise ConfigurationError(f"What past calls taught cannot be read: {error}") from None
        if expires:
            days = retention_of(settings.store_keep_days, EXPIRING)
            retention = Retention(days, settings.store_expire_rows_per_s)
            expiring = asyncio.create_task(keep_expiring(store, EXPIRING, retention))
        yield Lessons(experience, agent, store)
    finally:
        if expiring:
            expiring.cancel()
            with suppress(asyncio.CancelledError):
                await expiring
        await store.aclose()
