"""``repartee edge``: the router, self-hosted."""

import os
from pathlib import Path
from typing import Annotated

import typer
import uvicorn

from repartee.errors import ConfigurationError
from repartee.launch.exposure import check_exposure
from repartee_edge.selfhosted.clients import DatabaseError
from repartee_edge.selfhosted.server import server_config
from repartee_edge.settings import EdgeSettings, SettingsError, read_settings


def edge(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", min=0, max=65535)] = 8787,
    regions: Annotated[
        Path | None, typer.Option(help="Regions file instead of the shipped one.", show_default=False)
    ] = None,
    mmdb: Annotated[
        Path | None, typer.Option(help="MaxMind City database to locate callers with.", show_default=False)
    ] = None,
) -> None:
    """Run the edge: sends each caller to the nearest healthy region and passes the session through.

    Needs REPARTEE_API_KEY (what callers present) and REPARTEE_TICKET_KEY (shared with the regions).
    """
    check_exposure(host)
    settings = _settings(regions)
    try:
        config = server_config(settings, host=host, port=port, mmdb=mmdb)
    except DatabaseError as error:
        raise _wrong([str(error)]) from None
    names = ", ".join(region.name for region in settings.table.enabled)
    typer.echo(f"edge on http://{host}:{port}, routing to {names}")
    uvicorn.Server(config).run()


def _settings(regions: Path | None) -> EdgeSettings:
    text: str | None = None
    faults: list[str] = []
    if regions is not None:
        try:
            text = regions.read_text()
        except OSError as error:
            faults.append(f"--regions: {regions} can't be read: {error.strerror}")
    try:
        settings = read_settings(os.environ, text)
    except SettingsError as error:
        faults += error.faults
    if faults:
        raise _wrong(faults)
    return settings


def _wrong(faults: list[str]) -> ConfigurationError:
    return ConfigurationError("the edge can't start:\n" + "\n".join(f"  - {fault}" for fault in faults))
