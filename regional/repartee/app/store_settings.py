"""The settings that say where the store is, and how much and how long it keeps."""

from urllib.parse import urlsplit

from pydantic import AliasChoices, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings

from repartee.errors import ConfigurationError
from repartee.store.opening import POSTGRESQL
from repartee.store.retention import retention_of
from repartee.store.tables import EXPIRING


class StoreSettings(BaseSettings):
    """A part of the worker's Settings. Field descriptions are the documentation's."""

    database_url: SecretStr = Field(
        default=SecretStr(""),
        validation_alias=AliasChoices("DATABASE_URL"),
        description="PostgreSQL that the store is in, as postgresql://user:password@host:5432/database; empty: a "
        "SQLite file. Needs the extra postgres.",
    )
    store_file: str = Field(
        default="",
        validation_alias=AliasChoices("REPARTEE_STORE_FILE"),
        description="SQLite file that the store is in, where DATABASE_URL is empty; :memory: forgets with the "
        "process; empty: repartee/store.sqlite3 in XDG_STATE_HOME or ~/.local/state.",
    )
    store_queue: int = Field(
        default=1_000,
        ge=1,
        le=1_000_000,
        validation_alias=AliasChoices("REPARTEE_STORE_QUEUE"),
        description="Changes that may wait to be written, in each process; what is more is dropped, and counted.",
    )
    store_timeout_s: float = Field(
        default=5.0,
        ge=0.1,
        le=60,
        validation_alias=AliasChoices("REPARTEE_STORE_TIMEOUT_S"),
        description="How long the store waits for its database, and others for the store, in seconds.",
    )
    store_keep_days: str = Field(
        default="",
        validation_alias=AliasChoices("REPARTEE_STORE_KEEP_DAYS"),
        description="How many days rows are kept, by table, where it is not the table's own number: "
        "transitions=180; 0: for ever.",
    )
    store_expire_rows_per_s: float = Field(
        default=200.0,
        ge=1,
        le=100_000,
        validation_alias=AliasChoices("REPARTEE_STORE_EXPIRE_ROWS_PER_S"),
        description="How fast rows that are too old are deleted, in rows a second.",
    )

    @field_validator("database_url")
    @classmethod
    def _is_postgresql(cls, url: SecretStr) -> SecretStr:
        try:
            parts = urlsplit(url.get_secret_value())
        except ValueError:
            raise ValueError("is no address: write special characters in the password as %XX") from None
        if url.get_secret_value() and parts.scheme not in POSTGRESQL:
            raise ValueError(
                "must begin with postgresql:// (that is the one database beside SQLite, whose file "
                "REPARTEE_STORE_FILE names)"
            )
        return url

    @field_validator("store_keep_days")
    @classmethod
    def _names_tables(cls, text: str) -> str:
        try:
            retention_of(text, EXPIRING)
        except ConfigurationError as error:
            raise ValueError(str(error)) from None
        return text
