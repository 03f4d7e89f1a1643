"""Which store there is: PostgreSQL where an address is given, else a SQLite file."""

import logging
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

from repartee.errors import ConfigurationError, StoreError
from repartee.store.database import Database, Opener
from repartee.store.schema import Table
from repartee.store.sqlite import IN_MEMORY, SqliteDatabase, create_private
from repartee.store.tables import TABLES
from repartee.store.threaded import StoreLimits, ThreadedStore

log = logging.getLogger(__name__)

POSTGRESQL = ("postgresql", "postgres")


@dataclass(frozen=True, slots=True)
class StoreConfig:
    """Where things are kept: ``database_url`` counts before ``file``, which is a path, ``:memory:``, or empty for the
    user's own state folder."""

    database_url: str = field(default="", repr=False)
    file: str = ""
    limits: StoreLimits = field(default_factory=StoreLimits)


async def open_store(
    config: StoreConfig, tables: Iterable[Table] = TABLES, environ: Mapping[str, str] = os.environ
) -> ThreadedStore:
    """The store, with its schema up to date. Raises ConfigurationError, which says what is wrong and what to do."""
    config = config if config.database_url or config.file else _with_own_file(config, environ)
    store = ThreadedStore(_opener(config), tables, config.limits)
    try:
        await store.start()
    except StoreError as error:
        raise ConfigurationError(_advice(config, str(error).rstrip("."))) from None
    return store


def _opener(config: StoreConfig) -> Opener:
    timeout_s = config.limits.timeout_s
    if not config.database_url:
        return lambda: SqliteDatabase(config.file, timeout_s)
    try:
        # Imported only where it is wanted: it is an extra, and takes 70 ms and 13 MB.
        from repartee.store.postgresql import PostgresDatabase
    except ImportError as error:
        raise ConfigurationError(
            f"DATABASE_URL is set, but psycopg cannot be imported ({error}). Install it: pip install "
            "'repartee[postgres]'. Or unset DATABASE_URL to keep things in a SQLite file."
        ) from None

    def connect() -> Database:
        return PostgresDatabase(config.database_url, timeout_s)

    return connect


def _with_own_file(config: StoreConfig, environ: Mapping[str, str]) -> StoreConfig:
    """With the file where nobody named one; in memory where there is no place for it, which is no reason to take no
    calls."""
    try:
        path = own_file(environ)
        create_private(path)
        return replace(config, file=str(path))
    except (OSError, RuntimeError) as error:
        log.warning(
            "no file for the store (%s); keeping things in memory until this process ends. Name a file in "
            "REPARTEE_STORE_FILE, or a PostgreSQL in DATABASE_URL, to keep them longer",
            error,
        )
        return replace(config, file=IN_MEMORY)


def own_file(environ: Mapping[str, str]) -> Path:
    """Where the file is if nobody says where. Raises RuntimeError where the user has no home."""
    state = environ.get("XDG_STATE_HOME")
    return (Path(state) if state else Path.home() / ".local" / "state") / "repartee" / "store.sqlite3"


def _advice(config: StoreConfig, told: str) -> str:
    if config.database_url:
        parts = urlsplit(config.database_url)
        where = f"{parts.hostname or 'its default host'}, database {parts.path.lstrip('/') or 'by default'}"
        return (
            f"The store in PostgreSQL ({where}) cannot be used: {told}. Check DATABASE_URL (postgresql://"
            "user:password@host:5432/database, special characters in it written as %XX), that the database exists, "
            "and that this user may create tables in it."
        )
    return (
        f"The store in {config.file} cannot be used: {told}. See that its folder can be written and has room. A file "
        "that is damaged or no store: move it away, and a new one is made. Another place: REPARTEE_STORE_FILE."
    )
