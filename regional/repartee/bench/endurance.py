"""`repartee bench endurance`: many calls, one after the other: does the worker grow, and how does a call begin?"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
import uvloop
from rich.console import Console
from rich.table import Table

from repartee.agent.agent import Agent
from repartee.bench.latency import AudioForm
from repartee.bench.rig import Contender, Rig, Setup, percentiles, rig, sockets, usage
from repartee.bench.short_call import CallerHabits, ShortCall, short_call
from repartee.bench.techniques import Technique, without_env
from repartee.client.report import write_report

GREETER = "repartee.bench.endurance:greeter"
SETTLE_S = 1.0
"""After its last call a worker is given so long to come to rest before it is looked at."""

HASTY_EVERY = 5
"""Every so many calls the caller hangs up in the middle of the answer."""

greeter = Agent(instructions="You are a helpful voice assistant.", greeting="Hello, how can I help you?")
"""The agent that takes these calls."""


def _command(port: int) -> Sequence[str]:
    return ["region", "--workers", "1", "--allow-anonymous", "--port", str(port), "--agent", GREETER]


def endurance(
    calls: Annotated[int, typer.Option(min=1, help="How many calls.")] = 1000,
    every: Annotated[int, typer.Option(min=1, help="The worker is looked at after so many calls.")] = 100,
    profile: Annotated[str, typer.Option(help="The stand-ins' latency profile.")] = "instant",
    burst: Annotated[
        bool, typer.Option(help="Send each question at once instead of as it is spoken: no latencies then.")
    ] = True,
    audio: Annotated[AudioForm, typer.Option(help="How audio travels to the worker.")] = AudioForm.base64,
    without: Annotated[
        list[Technique] | None, typer.Option(help="Switch a technique off; may be repeated.")
    ] = None,
    connect_ms: Annotated[
        float,
        typer.Option(min=0, help="How long each connection to a provider takes, as a TLS handshake does."),
    ] = 0,
    port: Annotated[int, typer.Option(help="The worker's port; the stand-ins take the next.")] = 8890,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write the figures.")] = None,
) -> None:
    """Place calls one after the other: each hears the greeting, asks, hears the answer and hangs up.

    Every fifth hangs up in mid-answer. With `--no-burst --profile budget` it reports the answers' latencies,
    too: each is a call's first turn.
    """
    setup = Setup(port, profile, env=without_env(without or []), connect_ms=connect_ms)
    caller = CallerHabits(f"http://127.0.0.1:{port}", audio is AudioForm.binary, greeted=True, burst=burst)
    console = Console(highlight=False)
    report = {"profile": profile, "audio": audio.value, "without": [each.value for each in without or []]}
    report |= uvloop.run(_measure(setup, caller, calls, every, console))
    write_report(report, json_path)
    console.print(_table(report))
    console.print(_conclusion(report))


async def _measure(
    setup: Setup, caller: CallerHabits, calls: int, every: int, console: Console
) -> dict[str, Any]:
    async with rig(setup, Contender("worker", _command)) as bench:
        done: list[ShortCall] = []
        samples = [_sample(bench, 0)]
        for number in range(1, calls + 1):
            done.append(await short_call(replace(caller, hasty=number % HASTY_EVERY == 0)))
            if number % every == 0 or number == calls:
                await asyncio.sleep(SETTLE_S)
                samples.append(_sample(bench, number))
                console.print(f"{number} calls …", style="dim")
    return figures(done, samples)


def _sample(bench: Rig, calls: int) -> dict[str, float]:
    return {"calls": calls, "rss_mb": round(usage(bench.pid).mb, 2), "sockets": sockets(bench.pid)}


def figures(done: Sequence[ShortCall], samples: Sequence[dict[str, float]]) -> dict[str, Any]:
    """The JSON that other programs read. Growth is counted from the first look after a call to the last one."""
    first, last = samples[min(1, len(samples) - 1)], samples[-1]
    told: dict[str, Any] = {"calls": len(done), "samples": list(samples)}
    for name in ("ready_ms", "greeting_ms", "answer_ms"):
        values = [ms for call in done if (ms := getattr(call, name)) is not None]
        told[name] = percentiles(values)
    told["first_call"] = (
        {name: getattr(done[0], name) for name in ("ready_ms", "greeting_ms", "answer_ms")} if done else None
    )
    faults = [call.fault for call in done if call.fault]
    told |= {
        "failed": len(faults),
        "faults": sorted(set(faults)),
        "growth_mb": round(last["rss_mb"] - first["rss_mb"], 2),
        "growth_sockets": last["sockets"] - first["sockets"],
    }
    return told


def _table(report: dict[str, Any]) -> Table:
    view = Table("calls", "memory", "sockets", box=None, header_style="bold")
    for sample in report["samples"]:
        view.add_row(f"{sample['calls']}", f"{sample['rss_mb']:.1f} MB", f"{sample['sockets']}")
    return view


def _conclusion(report: dict[str, Any]) -> str:
    def middle(name: str) -> str:
        ms = report[name]["p50"]
        return "–" if ms is None else f"{ms:.0f} ms"

    after = report["samples"][min(1, len(report["samples"]) - 1)]["calls"]
    return (
        f"{report['calls']} calls, {report['failed']} failed; after {after}: {report['growth_mb']:+.1f} MB, "
        f"{report['growth_sockets']:+d} sockets. P50: session ready in {middle('ready_ms')}, greeting "
        f"{middle('greeting_ms')} after it, first answer in {middle('answer_ms')}."
    )
