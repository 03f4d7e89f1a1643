"""``repartee bench routing``: the world's callers against sets of regions, beside a plain country map."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from repartee.bench.routing_plot import Curve, plot
from repartee.bench.routing_simulation import (
    BUDGET_ONE_WAY_MS,
    REGION_SETS,
    Figures,
    figures,
    losses,
    naive,
    round_trips,
    routed,
    world,
)

COLOURS = {1: "#9aa5b1", 3: "#e0a800", 6: "#2f855a", 10: "#2b6cb0"}
NAIVE_COLOUR = "#7b341e"
COMPARED_SET = 6


def routing(
    seed: Annotated[int, typer.Option(help="Seed of the paths' noise.")] = 1,
    json_path: Annotated[
        Path | None, typer.Option("--json", help="Write the figures here as JSON.", show_default=False)
    ] = None,
    plot_path: Annotated[
        Path | None, typer.Option("--plot", help="Draw the curves here as SVG.", show_default=False)
    ] = None,
) -> None:
    """Simulate the world's callers against 1, 3, 6 and 10 regions, and the loss of each region of six."""
    result, curves = simulate(seed)
    if json_path is not None:
        json_path.write_text(json.dumps(result, indent=2) + "\n")
    if plot_path is not None:
        plot_path.write_text(plot(curves, BUDGET_ONE_WAY_MS))
    _show(result)


def simulate(seed: int) -> tuple[dict[str, Any], list[Curve]]:
    """The figures that --json writes, and the curves that --plot draws."""
    cities = world(seed)
    by_map = round_trips(cities, naive)
    curves = [Curve("plain country map, 5 regions", NAIVE_COLOUR, by_map, dashed=True)]
    sets: dict[str, Any] = {}
    for size, names in REGION_SETS.items():
        found = round_trips(cities, routed(names))
        curves.append(Curve(f"edge, {size} region{'s' if size > 1 else ''}", COLOURS[size], found))
        country_only = figures(round_trips(cities, routed(names, positions=False)))
        sets[str(size)] = {
            "regions": list(names),
            **figures(found).as_json(),
            "by_country_only": country_only.as_json(),
        }
    of_map = figures(by_map)
    six = figures(round_trips(cities, routed(REGION_SETS[COMPARED_SET])))
    result = {
        "seed": seed,
        "callers": len(cities),
        "budget_one_way_ms": BUDGET_ONE_WAY_MS,
        "naive": of_map.as_json(),
        "sets": sets,
        "six_to_naive_p90": round(_ratio(six, of_map), 3),
        "losses": losses(cities, REGION_SETS[COMPARED_SET]),
    }
    return result, curves


def _ratio(ours: Figures, theirs: Figures) -> float:
    return ours.p90_ms / theirs.p90_ms


def _show(result: dict[str, Any]) -> None:
    console = Console()
    table = Table("routing", "RTT P50", "P90", "P99", "within the budget", box=None, header_style="bold")
    rows = [("plain country map", result["naive"])]
    rows += [(f"edge, {size} region(s)", found) for size, found in result["sets"].items()]
    for label, found in rows:
        table.add_row(
            label,
            *(f"{found[f'rtt_{name}_ms']:.0f} ms" for name in ("p50", "p90", "p99")),
            f"{found['within_budget']:.1%}",
        )
    console.print(table)
    console.print(f"One-way P90 of six regions: {result['six_to_naive_p90']:.0%} of the plain map's.\n")
    lost = Table(
        "lost region",
        "callers moved",
        "more RTT P50",
        "P90",
        "within the budget",
        box=None,
        header_style="bold",
    )
    for name, cost in result["losses"].items():
        lost.add_row(
            name,
            f"{cost['callers_moved']:.1%}",
            f"{cost['extra_rtt_p50_ms']:.0f} ms",
            f"{cost['extra_rtt_p90_ms']:.0f} ms",
            f"{cost['within_budget']:.1%}",
        )
    console.print(lost)
