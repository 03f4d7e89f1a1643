"""The store in PostgreSQL, which a fleet may share. Needs psycopg (the extra ``postgres``)."""

import contextlib
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

import psycopg
from psycopg import errors

from repartee.errors import StoreError
from repartee.store.database import Conflict, Refused
from repartee.store.schema import Value

_SCHEMA_LOCK = 0x7265706172746565
"""Of PostgreSQL's advisory locks, the one that belongs to whoever changes the schema."""


class PostgresDatabase:
    """A connection. ``timeout_s`` bounds connecting, each statement and each wait for a lock. Raises StoreError."""

    def __init__(self, url: str, timeout_s: float) -> None:
        self._url = url
        self._limit_ms = max(1, round(timeout_s * 1000))
        try:
            # Nothing is prepared on the server: a pooler in between may give each transaction another connection.
            self._connection = psycopg.connect(
                url,
                autocommit=True,
                prepare_threshold=None,
                connect_timeout=max(2, round(timeout_s)),
                application_name="repartee",
                # A network that swallows packets is noticed: by libpq itself, as no statement can be.
                keepalives_idle=max(1, round(timeout_s)),
                keepalives_interval=1,
                keepalives_count=3,
                tcp_user_timeout=self._limit_ms,
            )
        except psycopg.ProgrammingError:
            # Its message would quote parts of the address, and a password that is not encoded is among them.
            raise StoreError("this is no address that PostgreSQL's client understands") from None
        except psycopg.Error as error:
            raise StoreError(_told(error, url)) from None

    def execute(self, sql: str, values: Sequence[Value] = ()) -> tuple[list[tuple[Any, ...]], int]:
        """Run one statement."""
        try:
            # Without values psycopg sends the text as it is, so that several statements may be in it.
            cursor = self._connection.execute(sql.replace("?", "%s").encode(), values or None)
            return cursor.fetchall() if cursor.description else [], cursor.rowcount
        except psycopg.Error as error:
            raise _translated(error, self._url) from None

    def begin(self, *, writes: bool) -> None:
        """Writers are as if alone: the database refuses one of two that are in each other's way."""
        level = "SERIALIZABLE" if writes else "REPEATABLE READ READ ONLY"
        self.execute(f"BEGIN ISOLATION LEVEL {level}; {_limits(self._limit_ms)}")

    def begin_migration(self, limit_s: float) -> None:
        """Not serializable: that would go by the state of the database from before the lock was given."""
        self.execute(f"BEGIN; {_limits(round(limit_s * 1000))}; SELECT pg_advisory_xact_lock({_SCHEMA_LOCK})")

    def commit(self) -> None:
        """Make it durable."""
        self.execute("COMMIT")

    def rollback(self) -> None:
        """As if it had not been."""
        with contextlib.suppress(psycopg.Error):
            self._connection.execute("ROLLBACK")

    def scrub(self) -> None:
        """PostgreSQL's vacuum does so in its own time."""

    def close(self) -> None:
        """Close the connection."""
        with contextlib.suppress(psycopg.Error):
            self._connection.close()


def _limits(ms: int) -> str:
    """For one transaction only: a pooler in between gives the connection to others afterwards."""
    names = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
    return "; ".join(f"SET LOCAL {name} = {ms}" for name in names)


def _translated(error: psycopg.Error, url: str) -> StoreError | Refused:
    told = _told(error, url)
    if isinstance(error, errors.SerializationFailure | errors.DeadlockDetected):
        return Conflict(told)
    if isinstance(error, errors.QueryCanceled):
        return Refused(told)
    failed = psycopg.OperationalError | psycopg.InternalError | psycopg.InterfaceError
    return StoreError(told) if isinstance(error, failed) else Refused(told)


def _told(error: psycopg.Error, url: str) -> str:
    """The server's own sentence, without the detail (it quotes values), or the client's, without the password."""
    told = error.diag.message_primary or str(error) or type(error).__name__
    password = urlsplit(url).password
    for secret in {password, unquote(password)} if password else ():
        told = told.replace(secret, "***")
    return " ".join(told.split())
