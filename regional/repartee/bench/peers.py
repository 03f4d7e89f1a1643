"""`repartee bench peers`: the same calls through Pipecat, measured alternately with the worker in one run.

Pipecat lives in an environment of its own, made on request: see peer_environment.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from repartee.bench.density import DensityPlan, line, table, take_step
from repartee.bench.peer_environment import cache_folder, install_into, installed
from repartee.bench.plot import COLOURS, Chart, write_plot
from repartee.bench.rig import REPARTEE, Contender, LateGenerator
from repartee.bench.search import LIMIT_MS, Search
from repartee.client.report import write_report


@dataclass(slots=True)
class Race:
    """One contender's search for its limit, and the steps taken."""

    contender: Contender
    search: Search
    steps: list[dict[str, Any]] = field(default_factory=list)


def peers(
    install: Annotated[
        bool, typer.Option("--install", help="Install Pipecat's current version first (about 600 MB).")
    ] = False,
    folder: Annotated[
        Path | None,
        typer.Option(help="Where Pipecat's environment is kept.", show_default="in the user's cache folder"),
    ] = None,
    stripped: Annotated[
        bool,
        typer.Option("--stripped", help="Pipecat without what it does by default and a call can do without."),
    ] = False,
    profile: Annotated[str, typer.Option(help="The stand-ins' latency profile.")] = "budget",
    turns: Annotated[int, typer.Option(min=1, help="Turns of each call in each step.")] = 8,
    most: Annotated[int, typer.Option(min=1, help="No more calls than these are tried.")] = 200,
    port: Annotated[int, typer.Option(help="The worker's port; the stand-ins take the next.")] = 8880,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write the figures.")] = None,
    plot_path: Annotated[Path | None, typer.Option("--plot", help="Draw the steps here as SVG.")] = None,
) -> None:
    """Measure how many calls each holds with P90 under 500 ms: this worker, and Pipecat as it advises for speed.

    Both get the same calls (binary audio, 24 turns a minute), the same stand-ins and the same core, step by step in
    turn.
    """
    where = folder or cache_folder(os.environ)
    console = Console(highlight=False)
    if install:
        install_into(where, console)
    pipecat = installed(where, stripped=stripped)
    plan = DensityPlan(profile, turns, 24.0, binary_audio=True, port=port)
    races = [
        Race(REPARTEE, Search(1, 20, 5, most)),
        Race(pipecat, Search(1, 4, 1, most)),
    ]
    run(races, plan, console)
    report = told_of(races, profile)
    write_report(report, json_path)
    if plot_path is not None:
        write_plot(_chart(races), plot_path)
    for race in races:
        console.print(f"[bold]{race.contender.name}[/]")
        console.print(table(race.steps))
        if race.search.stopped and not race.search.holds:
            raise LateGenerator(race.search.stopped)
    _conclude(report, console)


def run(races: list[Race], plan: DensityPlan, console: Console) -> None:
    """Take the steps of all searches in turn, each up to a step that cannot be measured."""
    while any(race.search.next() is not None for race in races):
        for race in races:
            calls = race.search.next()
            if calls is not None:
                console.print(f"{race.contender.name}: {calls} calls …", style="dim")
                take_step(race.search, plan, race.contender, calls, race.steps)
    for race in races:
        race.steps.sort(key=lambda told: told["calls"])


def told_of(races: list[Race], profile: str) -> dict[str, Any]:
    """The JSON that other programs read. ``ratio`` is a least one, null where the peer's limit is not known."""
    ours, *others = races
    report: dict[str, Any] = {
        "profile": profile,
        "limit_ms": LIMIT_MS,
        "contenders": [],
    }
    for race in races:
        alone = next((told for told in race.steps if told["calls"] == 1), None)
        report["contenders"].append(
            {
                "name": race.contender.name,
                "calls_held": race.search.holds,
                "limit_found": race.search.fails is not None and not race.search.stopped,
                "stopped_by": race.search.stopped,
                "alone_p50_ms": alone["v2v_ms"]["p50"] if alone else None,
                "alone_above_floor_ms": alone["above_floor_ms"]["p50"] if alone else None,
                "steps": race.steps,
            }
        )
    peer = others[0].search
    known = peer.holds > 0 and peer.fails is not None and not peer.stopped
    report["ratio"] = round(ours.search.holds / peer.holds, 1) if known else None
    return report


def _conclude(report: dict[str, Any], console: Console) -> None:
    for contender in report["contenders"]:
        at_least = "" if contender["limit_found"] else "at least "
        console.print(
            f"{contender['name']} holds [bold]{at_least}{contender['calls_held']}[/] calls with P90 under "
            f"{LIMIT_MS:.0f} ms; alone, its P50 is {contender['alone_p50_ms']:.0f} ms."
        )
        if contender["stopped_by"]:
            console.print(f"More could not be measured: {contender['stopped_by']}", style="yellow")
    if report["ratio"]:
        more = "" if report["contenders"][0]["limit_found"] else "at least "
        console.print(f"That is [bold]{more}{report['ratio']}[/] times as many calls.")


def _chart(races: list[Race]) -> Chart:
    return Chart(
        title="P90 of the voice-to-voice latency, one core each",
        x_label="calls at once",
        y_label="ms",
        lines=[
            line(race.contender.name, race.steps, "p90", COLOURS[number]) for number, race in enumerate(races)
        ],
        y_from=400,
        y_most=1000,
        limit=LIMIT_MS,
        limit_label=f"{LIMIT_MS:.0f} ms",
    )
