"""A worker's telemetry: the stream of call events, with the exporters that the settings name."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from repartee.app.telemetry_settings import TelemetrySettings
from repartee.telemetry.exporters import own_exporters
from repartee.telemetry.stream import Stream, StreamLimits
from repartee.telemetry.turn_log import open_turn_log


def check_exporters(settings: TelemetrySettings) -> None:
    """Make the operator's own exporters, and close them. Raises ConfigurationError."""
    for exporter in own_exporters(settings.exporters):
        exporter.close()


@asynccontextmanager
async def exporting(settings: TelemetrySettings) -> AsyncIterator[Stream]:
    """The stream, for as long as the block lasts; what it holds then is exported.

    Raises ConfigurationError, and OSError if the turn log cannot be opened.
    """
    stream = Stream(StreamLimits(settings.export_queue, settings.export_close_s))
    own = own_exporters(settings.exporters)
    try:
        for exporter in (open_turn_log(settings.latency_log), *own):
            stream.add(exporter)
        yield stream
    finally:
        await stream.aclose()
