"""`repartee bench latency`: how long one worker takes to answer, under many calls at once.

The worker has one core to itself; stand-ins (light mode) and the load generator have the other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
import uvloop
from rich.console import Console
from rich.table import Table

from repartee.bench.load import Load
from repartee.bench.plot import Chart, PlotLine, write_plot
from repartee.bench.rig import (
    REPLIES,
    LateGenerator,
    Setup,
    Step,
    counters,
    figures,
    lateness,
    percentiles,
    rig,
    step,
)
from repartee.bench.techniques import Technique, without_env
from repartee.client.report import write_report

CLAUSE_REPLIES = ("I can do it now, for you.", "We can do it all, as ever.", "That can well be, by then.")
"""A clause of six tokens and three more: what is spoken first can be the clause or the whole sentence."""

ROOM = 10
"""A worker is given call slots for some more calls than are placed."""


class AudioForm(StrEnum):
    """How audio travels."""

    base64 = "base64"
    binary = "binary"


class Stt(StrEnum):
    """Deepgram's recognition models."""

    flux = "flux"
    nova = "nova"


class ReplyLength(StrEnum):
    """What the language model says."""

    sentences = "sentences"
    clauses = "clauses"


@dataclass(frozen=True, slots=True)
class LatencyPlan:
    """What is to be measured."""

    setup: Setup
    load: Load
    stt: Stt


def latency(
    calls: Annotated[int, typer.Option(min=1, help="Calls at once.")] = 1,
    turns: Annotated[int, typer.Option(min=1, help="Turns of each call.")] = 20,
    turns_per_minute: Annotated[float, typer.Option(min=1, max=30, help="How often each call asks.")] = 24,
    profile: Annotated[str, typer.Option(help="The stand-ins' latency profile.")] = "budget",
    audio: Annotated[AudioForm, typer.Option(help="How audio travels to the worker.")] = AudioForm.base64,
    gated: Annotated[
        bool,
        typer.Option("--gated", help="Callers send nothing while they are silent, as gated microphones do."),
    ] = False,
    stt: Annotated[Stt, typer.Option(help="Which recognition the worker uses.")] = Stt.flux,
    replies: Annotated[
        ReplyLength, typer.Option(help="Answers of one sentence, or of a clause and some words.")
    ] = ReplyLength.sentences,
    without: Annotated[
        list[Technique] | None, typer.Option(help="Switch a technique off; may be repeated.")
    ] = None,
    connect_ms: Annotated[
        float,
        typer.Option(min=0, help="How long each connection to a provider takes, as a TLS handshake does."),
    ] = 0,
    port: Annotated[int, typer.Option(help="The worker's port; the stand-ins take the next.")] = 8860,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write the figures.")] = None,
    plot_path: Annotated[Path | None, typer.Option("--plot", help="Draw the latencies here as SVG.")] = None,
) -> None:
    """Measure voice-to-voice latency of one worker on one core, and what of it is the worker's own doing.

    Rejects a run in which the load generator itself was late.
    """
    off = without or []
    env = {
        "REPARTEE_STT": stt.value,
        "REPARTEE_MAX_CALLS": str(max(50, calls + ROOM)),
        **without_env(off),
    }
    said = REPLIES if replies is ReplyLength.sentences else CLAUSE_REPLIES
    url, binary = f"http://127.0.0.1:{port}", audio is AudioForm.binary
    load = Load(url, calls, turns, turns_per_minute, binary, gated=gated)
    done, counted, sources = uvloop.run(
        _measure(LatencyPlan(Setup(port, profile, said, env, connect_ms), load, stt))
    )
    report = {
        **figures(done, stt.value),
        "profile": profile,
        "sources": sources,
        "stt": stt.value,
        "gated": gated,
        "replies": replies.value,
        "connect_ms": connect_ms,
        "without": [each.value for each in off],
        **_further(done, counted),
    }
    report["rejected"] = late = lateness(report)
    write_report(report, json_path)
    if plot_path is not None:
        write_plot(_chart(done.measured.latencies_ms, report), plot_path)
    Console(highlight=False).print(_view(report))
    if late:
        raise LateGenerator(late)


async def _measure(plan: LatencyPlan) -> tuple[Step, dict[str, float], list[str]]:
    async with rig(plan.setup) as bench:
        async with httpx.AsyncClient(trust_env=False) as client:
            told = (await client.get(f"{bench.standins_url}/standins/profile")).json()
        before = await counters(bench.url)
        done = await step(bench, plan.load)
        after = await counters(bench.url)
    return done, {name: value - before.get(name, 0.0) for name, value in after.items()}, told["sources"]


def _further(done: Step, counted: dict[str, float]) -> dict[str, Any]:
    """Calls' first turns apart from later ones, and what the language model was asked."""
    measured = done.measured
    later = list(measured.latencies_ms)
    for ms in measured.first_latencies_ms:
        later.remove(ms)
    requests = counted.get("repartee_llm_requests_total", 0.0)
    hedged = counted.get("repartee_llm_hedged_total", 0.0)
    return {
        "first_turn_ms": percentiles(measured.first_latencies_ms),
        "later_turns_ms": percentiles(later),
        "llm": {
            "requests": round(requests),
            "hedged": round(hedged),
            "won": round(counted.get("repartee_llm_won_total", 0.0)),
            "hedged_share": round(hedged / requests, 4) if requests else 0.0,
        },
    }


def _view(report: dict[str, Any]) -> Table:
    off = "".join(f", without {name}" for name in report["without"])
    table = Table(
        title=f"{report['calls']} calls, {report['turns']} turns, profile {report['profile']}, "
        f"{report['stt']}{off}"
    )
    table.add_column("")
    for name in report["v2v_ms"]:
        table.add_column(name.upper(), justify="right")
    for title, key in (
        ("voice to voice, ms", "v2v_ms"),
        ("above the floor, ms", "above_floor_ms"),
        ("calls' first turns, ms", "first_turn_ms"),
    ):
        values = report[key].values()
        table.add_row(title, *("–" if ms is None else f"{ms:.1f}" for ms in values))
    llm = report["llm"]
    table.caption = (
        f"floor {report['floor_ms']:.0f} ms · unanswered {report['unanswered']} · early {report['early']} · "
        f"{report['cpu_s_per_call_minute']:.2f} CPU s a call-minute · {report['mb_per_call']:.2f} MB a call · "
        f"{llm['hedged']} of {llm['requests']} model requests hedged · "
        f"generator late by {report['generator_lateness_ms']['p99']:.1f} ms (P99)"
        + "".join(f"\nprofile: {source}" for source in report["sources"])
    )
    return table


def _chart(latencies: Sequence[float], report: dict[str, Any]) -> Chart:
    """The share of turns that were answered within a time."""
    ordered = sorted(latencies)
    points = [(ms, (number + 1) / len(ordered) * 100) for number, ms in enumerate(ordered)]
    floor_ms = report["floor_ms"]
    return Chart(
        title=f"Turns answered within a time: {report['calls']} calls, profile {report['profile']}",
        x_label="voice-to-voice latency, ms",
        y_label="% of turns",
        lines=[PlotLine("turns", points, dots=False)],
        x_from=max(0.0, floor_ms // 50 * 50 - 50),
        y_most=100,
        limit=floor_ms,
        limit_label=f"floor {floor_ms:.0f} ms",
        limit_is_upright=True,
    )
