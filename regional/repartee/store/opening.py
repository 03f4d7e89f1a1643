"""Chooses the store: PostgreSQL if there is an address, else a SQLite file."""

import logging
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

from repartee.errors import ConfigurationError, StoreError
from repartee.store.database import Database, Opener
from repartee.store.migrations import migrate
from repartee.store.schema import Table
from repartee.store.sqlite import IN_MEMORY, SqliteDatabase, create_private
from repartee.store.tables import TABLES
from repartee.store.threaded import StoreLimits, ThreadedStore

log = logging.getLogger(__name__)

POSTGRESQL = ("postgresql", "postgres")


class StoreUnusable(ConfigurationError):
    """The store cannot be opened: what is wrong, and what to do about it."""

    def __init__(self, told: str, remedy: str) -> None:
        super().__init__(f"{told} {remedy}")
        self.told = told
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class StorePlace:
    """Where things are kept: ``database_url`` counts before ``file``, which is a path, ``:memory:``, or empty for the
    user's own state folder."""

    database_url: str = field(default="", repr=False)
    file: str = ""
    limits: StoreLimits = field(default_factory=StoreLimits)


async def open_store(
    place: StorePlace, tables: Iterable[Table] = TABLES, environ: Mapping[str, str] = os.environ
) -> ThreadedStore:
    """The store, with its schema up to date. Raises StoreUnusable."""
    place = _placed(place, environ)
    store = ThreadedStore(_opener(place), tables, place.limits)
    try:
        await store.start()
    except StoreError as error:
        raise _unusable(place, error) from None
    return store


def try_store(
    place: StorePlace, tables: Iterable[Table] = TABLES, environ: Mapping[str, str] = os.environ
) -> str:
    """See whether the store could be opened, and leave its schema as it is; returns where it is. Blocks.

    Raises StoreUnusable.
    """
    place = _placed(place, environ)
    try:
        database = _opener(place)()
        try:
            migrate(database, tables, commit=False)
        finally:
            database.close()
    except StoreError as error:
        raise _unusable(place, error) from None
    return _where(place)


def _placed(place: StorePlace, environ: Mapping[str, str]) -> StorePlace:
    return place if place.database_url or place.file else _with_own_file(place, environ)


def _opener(place: StorePlace) -> Opener:
    timeout_s = place.limits.timeout_s
    if not place.database_url:
        return lambda: SqliteDatabase(place.file, timeout_s)
    try:
        # Imported only where it is wanted: it is an extra, and takes 70 ms and 13 MB.
        from repartee.store.postgresql import PostgresDatabase
    except ImportError as error:
        raise StoreUnusable(
            f"DATABASE_URL is set, but psycopg cannot be imported ({error}).",
            "Install it: pip install 'repartee[postgres]'. Or unset DATABASE_URL to keep things in a SQLite file.",
        ) from None

    def connect() -> Database:
        return PostgresDatabase(place.database_url, timeout_s)

    return connect


def _with_own_file(place: StorePlace, environ: Mapping[str, str]) -> StorePlace:
    """With the file where nobody named one; in memory where there is no place for it, which is no reason to take no
    calls."""
    try:
        path = own_file(environ)
        create_private(path)
        return replace(place, file=str(path))
    except (OSError, RuntimeError) as error:
        log.warning(
            "there is no file for the store (%s); keeping things in memory until this process ends. Name a file in "
            "REPARTEE_STORE_FILE, or a PostgreSQL in DATABASE_URL, to keep them longer",
            error,
        )
        return replace(place, file=IN_MEMORY)


def own_file(environ: Mapping[str, str]) -> Path:
    """Where the file is if nobody says where. Raises RuntimeError where the user has no home."""
    state = environ.get("XDG_STATE_HOME")
    return (Path(state) if state else Path.home() / ".local" / "state") / "repartee" / "store.sqlite3"


def _where(place: StorePlace) -> str:
    if not place.database_url:
        return "memory" if place.file == IN_MEMORY else place.file
    parts = urlsplit(place.database_url)
    return f"PostgreSQL ({parts.hostname or 'its default host'}, database {parts.path.lstrip('/') or 'by default'})"


def _unusable(place: StorePlace, error: StoreError) -> StoreUnusable:
    told = f"The store in {_where(place)} cannot be used: {str(error).rstrip('.')}."
    if place.database_url:
        return StoreUnusable(
            told,
            "Check DATABASE_URL (postgresql://user:password@host:5432/database, special characters in it written as "
            "%XX), that the database exists, and that this user may create tables in it.",
        )
    return StoreUnusable(
        told,
        "See that its folder can be written and has room. A file that is damaged or no store: move it away, and a "
        "new one is made. Another place: REPARTEE_STORE_FILE.",
    )
