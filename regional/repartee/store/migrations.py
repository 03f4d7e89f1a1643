"""Brings a database's schema up to what this program knows.

Each table has a version of its own. Everything happens in one transaction under a lock, so that processes which start
together do it once, and one that is killed leaves it as it was.
"""

from collections.abc import Iterable

from repartee.errors import StoreError
from repartee.store.database import Database, Refused
from repartee.store.schema import PREFIX, Table

VERSIONS = f'"{PREFIX}schema"'

MIGRATION_S = 60.0
"""For each statement, and for waiting until another process has done it."""


class NewerSchema(StoreError):
    """A newer version of this program has been here."""


def migrate(database: Database, tables: Iterable[Table], *, commit: bool = True) -> None:
    """Bring every table to its newest version; rows are kept. Without ``commit`` it is only tried.

    Raises StoreError.
    """
    try:
        database.begin_migration(MIGRATION_S)
        database.execute(
            f"CREATE TABLE IF NOT EXISTS {VERSIONS} (name TEXT PRIMARY KEY, version BIGINT NOT NULL)"
        )
        rows, _ = database.execute(f"SELECT name, version FROM {VERSIONS}")
        found = {str(name): int(version or 0) for name, version in rows}
        known = {table.name: table for table in tables}
        _refuse_newer(found, known)
        for name, table in known.items():
            _bring_up(database, table, found.get(name, 0))
        if commit:
            database.commit()
        else:
            database.rollback()
    except Refused as error:
        database.rollback()
        raise StoreError(str(error)) from None
    except BaseException:
        database.rollback()
        raise


def _refuse_newer(found: dict[str, int], known: dict[str, Table]) -> None:
    newer = sorted(
        name for name, version in found.items() if name not in known or version > known[name].version
    )
    if newer:
        raise NewerSchema(
            f"It was written by a newer version of Repartee (tables: {', '.join(newer)}), and this one would damage "
            "what it does not know. Run the newer version, or name another store"
        )


def _bring_up(database: Database, table: Table, version: int) -> None:
    if version == table.version:
        return
    for statement in table.steps(version):
        database.execute(statement)
    database.execute(
        f"INSERT INTO {VERSIONS} (name, version) VALUES (?, ?) "
        "ON CONFLICT (name) DO UPDATE SET version = excluded.version",
        (table.name, table.version),
    )
