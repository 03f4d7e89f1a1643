"""`repartee bench density`: how many calls one worker on one core holds within the budget."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
import uvloop
from rich.console import Console
from rich.table import Table

from repartee.bench.latency import ROOM
from repartee.bench.load import Load
from repartee.bench.plot import COLOURS, Chart, PlotLine, write_plot
from repartee.bench.rig import REPARTEE, Contender, LateGenerator, Setup, media_env, step_that_counts
from repartee.bench.search import LIMIT_MS, Search, held
from repartee.client.report import write_report

LEAST_TURNS = 24
"""Of fewer turns P90 says nothing: a few calls ask more often than ``turns``."""


class CallForm(StrEnum):
    """How calls come: by WebSocket with their audio in base64 or binary, or by WebRTC."""

    base64 = "base64"
    binary = "binary"
    webrtc = "webrtc"


@dataclass(frozen=True, slots=True)
class DensityPlan:
    """What is asked of each step."""

    profile: str
    turns: int
    turns_per_minute: float
    binary_audio: bool
    port: int
    webrtc: bool = False

    def setup(self, calls: int) -> Setup:
        """For so many calls."""
        env = {"REPARTEE_MAX_CALLS": str(max(50, calls + ROOM)), "REPARTEE_WEBRTC_PORT": "0", **media_env()}
        return Setup(self.port, self.profile, env=env)

    def load(self, calls: int) -> Load:
        """So many calls."""
        url = f"http://127.0.0.1:{self.port}"
        turns = max(self.turns, math.ceil(LEAST_TURNS / calls))
        return Load(url, calls, turns, self.turns_per_minute, self.binary_audio, webrtc=self.webrtc)


def density(
    profile: Annotated[str, typer.Option(help="The stand-ins' latency profile.")] = "budget",
    turns: Annotated[int, typer.Option(min=1, help="Turns of each call in each step.")] = 8,
    turns_per_minute: Annotated[float, typer.Option(min=1, max=30, help="How often each call asks.")] = 24,
    start: Annotated[int, typer.Option(min=1, help="Calls of the first step.")] = 20,
    stride: Annotated[int, typer.Option(min=1, help="How many more each further step has.")] = 20,
    resolution: Annotated[int, typer.Option(min=1, help="How exactly the limit is wanted, in calls.")] = 5,
    most: Annotated[int, typer.Option(min=1, help="No more calls than these are tried.")] = 400,
    audio: Annotated[CallForm, typer.Option(help="How calls come.")] = CallForm.base64,
    port: Annotated[int, typer.Option(help="The worker's port; the stand-ins take the next.")] = 8870,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write the figures.")] = None,
    plot_path: Annotated[Path | None, typer.Option("--plot", help="Draw the steps here as SVG.")] = None,
) -> None:
    """Raise the number of calls until P90 passes 500 ms or a turn goes unanswered, then close in on the limit.

    Each step has a worker of its own. A step that is not held gets a second chance. One whose load generator was late
    is repeated once; if it is late again, nothing beyond the step before is known.
    """
    search = Search(start, stride, resolution, max(most, start))
    plan = DensityPlan(
        profile, turns, turns_per_minute, audio is CallForm.binary, port, audio is CallForm.webrtc
    )
    console = Console(highlight=False)
    report: dict[str, Any] = {"profile": profile, "audio": audio.value, "limit_ms": LIMIT_MS, "steps": []}
    climb(search, plan, report["steps"], console)
    report |= {
        "calls_per_core": search.holds,
        "limit_found": search.fails is not None,
        "stopped_by": search.stopped,
    }
    report["steps"].sort(key=lambda step: step["calls"])
    write_report(report, json_path)
    if plot_path is not None:
        write_plot(chart(report["steps"]), plot_path)
    console.print(table(report["steps"]))
    if search.stopped and not search.holds:
        raise LateGenerator(search.stopped)
    at_least = "" if search.fails and not search.stopped else "at least "
    console.print(f"One core holds [bold]{at_least}{search.holds}[/] calls with P90 under {LIMIT_MS:.0f} ms.")
    if search.stopped:
        console.print(f"More could not be measured: {search.stopped}", style="yellow")


def climb(search: Search, plan: DensityPlan, steps: list[dict[str, Any]], console: Console) -> None:
    """Take all steps of a search, or those up to one that cannot be measured."""
    while (calls := search.next()) is not None:
        console.print(f"{calls} calls …", style="dim")
        take_step(search, plan, REPARTEE, calls, steps)


def take_step(
    search: Search, plan: DensityPlan, contender: Contender, calls: int, steps: list[dict[str, Any]]
) -> None:
    """Measure so many calls, and tell the search."""
    try:
        told = fair_step(plan, contender, calls)
    except LateGenerator as late:
        search.stop(str(late))
        return
    steps.append(told)
    search.tell(calls, held(told))


def fair_step(plan: DensityPlan, contender: Contender, calls: int) -> dict[str, Any]:
    """A step's figures; one that is not held gets a second chance, as this machine may have been at fault.

    Raises LateGenerator.
    """
    told: dict[str, Any] = {}
    for _ in range(2):
        told = uvloop.run(step_that_counts(plan.setup(calls), contender, plan.load(calls)))
        if held(told):
            break
    return told


def table(steps: Sequence[dict[str, Any]]) -> Table:
    """The steps, one in a line."""
    view = Table(box=None, header_style="bold")
    for title in ("calls", "P50", "P90", "P99", "unanswered", "early", "CPU s/call-min", "core", "MB/call"):
        view.add_column(title, justify="right")
    for told in steps:
        view.add_row(
            str(told["calls"]),
            *("–" if ms is None else f"{ms:.0f} ms" for ms in told["v2v_ms"].values()),
            str(told["unanswered"]),
            str(told["early"]),
            f"{told['cpu_s_per_call_minute']:.2f}",
            f"{told['core_used']:.0%}",
            f"{told['mb_per_call']:.2f}",
            style=None if held(told) else "red",
        )
    return view


def chart(steps: Sequence[dict[str, Any]]) -> Chart:
    """P50 and P90 against the calls."""
    lines = [
        line(f"{name.upper()}", steps, name, COLOURS[number], dashed=name == "p50")
        for number, name in enumerate(("p90", "p50"))
    ]
    return Chart(
        title="Voice-to-voice latency of one worker on one core",
        x_label="calls at once",
        y_label="ms",
        lines=lines,
        y_from=400,
        y_most=700,
        limit=LIMIT_MS,
        limit_label=f"{LIMIT_MS:.0f} ms",
    )


def line(
    label: str, steps: Sequence[dict[str, Any]], percentile: str, colour: str, *, dashed: bool = False
) -> PlotLine:
    """One percentile of some steps; steps with unanswered or early turns, or faults, are crossed out."""
    told = sorted(
        (step for step in steps if step["v2v_ms"][percentile] is not None), key=lambda step: step["calls"]
    )
    points = [(step["calls"], step["v2v_ms"][percentile]) for step in told]
    wrong = [
        point
        for point, step in zip(points, told, strict=True)
        if step["unanswered"] or step["early"] or step["faults"]
    ]
    return PlotLine(label, points, colour, dashed, crossed=wrong)
