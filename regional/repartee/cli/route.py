"""``repartee route``: which region a caller is sent to, in which order, and why."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from repartee.errors import ConfigurationError
from repartee_edge.placement import Caller, Placement, place
from repartee_edge.regions import RegionsError, RegionTable, load_regions
from repartee_edge.regions_data import REGIONS_JSON


def route(
    colo: Annotated[
        str | None, typer.Option(help="Edge location that took the request, such as NRT.")
    ] = None,
    country: Annotated[str | None, typer.Option(help="Caller's country, such as JP.")] = None,
    lat: Annotated[float | None, typer.Option(help="Caller's latitude.")] = None,
    lon: Annotated[float | None, typer.Option(help="Caller's longitude.")] = None,
    continent: Annotated[str | None, typer.Option(help="Caller's continent, such as AS.")] = None,
    every: Annotated[bool, typer.Option("--all", help="As if all listed regions were enabled.")] = False,
    key: Annotated[str | None, typer.Option(help="Id of the caller's API key, for residency rules.")] = None,
    regions: Annotated[
        Path | None, typer.Option(help="Regions file instead of the shipped one.", show_default=False)
    ] = None,
    json_path: Annotated[
        Path | None, typer.Option("--json", help="Write the answer here as JSON.", show_default=False)
    ] = None,
) -> None:
    """Tell which region a caller is sent to, in which order, and why. Whatever is not known may be left out."""
    table = load_table(regions)
    caller = Caller(colo=colo, country=country, continent=continent, latitude=lat, longitude=lon)
    placement = place(caller, table, key=key, regions=table.regions if every else None)
    if json_path is not None:
        json_path.write_text(json.dumps(as_json(placement), indent=2) + "\n")
    _show(placement)


def load_table(path: Path | None) -> RegionTable:
    """The table of a regions file, or the shipped one. Raises ConfigurationError with all faults."""
    try:
        return load_regions(REGIONS_JSON if path is None else path.read_text())
    except OSError as error:
        raise ConfigurationError(f"{path} can't be read: {error.strerror}") from None
    except RegionsError as error:
        faults = "\n".join(f"  - {fault}" for fault in error.faults)
        raise ConfigurationError(f"{path} is not a regions file:\n{faults}") from None


def as_json(placement: Placement) -> dict[str, object]:
    """What other programs read: ``ranked`` with ``region``, ``rtt_ms`` and ``reason``, best first."""
    return {
        "ranked": [
            {
                "region": item.region.name,
                "rtt_ms": round(item.rtt_ms, 1),
                "reason": item.reason,
                "aws_region": item.region.aws_region,
                "host": item.region.origin,
            }
            for item in placement.ranked
        ],
        "excluded": placement.excluded,
    }


def _show(placement: Placement) -> None:
    console = Console()
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("region")
    table.add_column("round trip", justify="right")
    table.add_column("why")
    for item in placement.ranked:
        table.add_row(item.region.name, f"{item.rtt_ms:.0f} ms", item.reason)
    console.print(table)
    if placement.excluded:
        console.print(placement.excluded)
