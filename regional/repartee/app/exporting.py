"""A worker's telemetry: the stream of call events, with the exporters that the settings name."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from repartee.app.telemetry_settings import TelemetrySettings
from repartee.errors import ConfigurationError
from repartee.telemetry.exporters import own_exporters
from repartee.telemetry.stream import Exporter, Stream, StreamLimits
from repartee.telemetry.turn_log import open_turn_log


def check_exporters(settings: TelemetrySettings) -> None:
    """Make the operator's own exporters, and close them. Raises ConfigurationError."""
    for exporter in (*_otel(settings, "local"), *own_exporters(settings.exporters)):
        exporter.close()


@asynccontextmanager
async def exporting(settings: TelemetrySettings, region: str = "local") -> AsyncIterator[Stream]:
    """The stream, for as long as the block lasts; what it holds then is exported.

    Raises ConfigurationError, and OSError if the turn log cannot be opened.
    """
    stream = Stream(StreamLimits(settings.export_queue, settings.export_close_s))
    own = own_exporters(settings.exporters)
    try:
        for exporter in (open_turn_log(settings.latency_log), *_otel(settings, region), *own):
            stream.add(exporter)
        yield stream
    finally:
        await stream.aclose()


def _otel(settings: TelemetrySettings, region: str) -> list[Exporter]:
    """The exporter to an OpenTelemetry collector, if one is named. Raises ConfigurationError."""
    if not settings.otlp_url:
        return []
    try:
        # Imported only where it is wanted: it is an extra, and takes its time.
        from repartee.telemetry.otel import OtelExporter, OtlpTarget
    except ImportError as error:
        raise ConfigurationError(
            f"REPARTEE_OTLP_URL is set, but {error.name} can't be imported. Install it: pip install 'repartee[otel]'."
        ) from None
    return [
        OtelExporter(OtlpTarget(settings.otlp_url, settings.headers_for_otlp()), region, version("repartee"))
    ]
