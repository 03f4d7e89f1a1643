"""The settings that say where what happens in calls is reported to."""

from pydantic import AliasChoices, Field
from pydantic_settings import BaseSettings


class TelemetrySettings(BaseSettings):
    """A part of the worker's Settings. Field descriptions are the documentation's."""

    latency_log: str = Field(
        default="",
        validation_alias=AliasChoices("REPARTEE_LATENCY_LOG"),
        description="File for one JSON line a turn; empty: standard output.",
    )
    exporters: str = Field(
        default="",
        validation_alias=AliasChoices("REPARTEE_EXPORTERS"),
        description="Exporters of your own for call events, with commas, as module:name or file.py:name "
        "([how](extending.md)).",
    )
    export_queue: int = Field(
        default=10_000,
        ge=1,
        le=1_000_000,
        validation_alias=AliasChoices("REPARTEE_EXPORT_QUEUE"),
        description="Call events that may wait for one exporter, in each process; what is more is dropped, and "
        "counted.",
    )
    export_close_s: float = Field(
        default=2.0,
        ge=0,
        le=60,
        validation_alias=AliasChoices("REPARTEE_EXPORT_CLOSE_S"),
        description="How long exporters may take for the events that wait when the worker ends, in seconds.",
    )
