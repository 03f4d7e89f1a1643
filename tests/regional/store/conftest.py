"""The stores that the tests run against."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from tests.regional.store.cluster import Cluster
from tests.regional.store.fake import FakeStore
from tests.regional.store.tables import TABLES

from repartee.store.interfaces import Store
from repartee.store.opening import StorePlace, open_store
from repartee.store.threaded import StoreLimits


@pytest.fixture(params=["sqlite", "postgresql"])
def config(request: pytest.FixtureRequest, tmp_path: Path) -> StorePlace:
    """A place for a store, empty, on either database."""
    limits = StoreLimits(timeout_s=20)
    if request.param == "sqlite":
        return StorePlace(file=str(tmp_path / "store.sqlite3"), limits=limits)
    server: Cluster = request.getfixturevalue("postgresql")
    return StorePlace(database_url=server.new_database(), limits=limits)


@pytest.fixture(params=["sqlite", "postgresql", "memory", "fake"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """An empty store of every kind, with the tests' tables."""
    limits = StoreLimits(timeout_s=20)
    places: dict[str, Callable[[], StorePlace]] = {
        "sqlite": lambda: StorePlace(file=str(tmp_path / "store.sqlite3"), limits=limits),
        "memory": lambda: StorePlace(file=":memory:", limits=limits),
        "postgresql": lambda: StorePlace(
            database_url=request.getfixturevalue("postgresql").new_database(), limits=limits
        ),
    }
    opened: Store
    if request.param == "fake":
        opened = FakeStore(TABLES)
    else:
        opened = await open_store(places[request.param](), TABLES)
    yield opened
    await opened.aclose()
