"""`repartee bench latency`: how long one worker takes to answer, under many calls at once.

The worker has one core to itself; stand-ins (light mode) and the load generator have the other.
"""

import gc
import json
import os
import tempfile
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
import uvloop
from rich.console import Console
from rich.table import Table

from repartee.cli.call import write_report
from repartee.cli.local_system import STANDIN_KEY
from repartee.cli.processes import Part, on_cores, running
from repartee.client.load import Load, Measured, open_calls, run_load
from repartee.client.report import percentile
from repartee.errors import VoiceError

LATENESS_LIMIT_MS = 10.0
"""A generator that sends its frames later than this (P99) measures itself, not the worker."""

REPLIES = ("I can do it now.", "We are open all day.", "That is quite all right.", "You have it in full.")
"""One sentence of six tokens each, as the floor counts them; none lasts until the next question."""

PERCENTS = {"p50": 50, "p90": 90, "p99": 99}


class LateGenerator(VoiceError):
    """The run says nothing about the worker: this machine was too busy to place the calls in time."""


class Audio(StrEnum):
    """How audio travels."""

    base64 = "base64"
    binary = "binary"


class Stt(StrEnum):
    """Deepgram's recognition models."""

    flux = "flux"
    nova = "nova"


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be measured, and where."""

    load: Load
    profile: str
    stt: str
    port: int


@dataclass(frozen=True, slots=True)
class Used:
    """What a process used: CPU seconds and MB of memory."""

    cpu_s: float
    mb: float


def latency(
    calls: Annotated[int, typer.Option(min=1, help="Calls at once.")] = 1,
    turns: Annotated[int, typer.Option(min=1, help="Turns of each call.")] = 20,
    turns_per_minute: Annotated[float, typer.Option(min=1, max=30, help="How often each call asks.")] = 24,
    profile: Annotated[str, typer.Option(help="The stand-ins' latency profile.")] = "budget",
    audio: Annotated[Audio, typer.Option(help="How audio travels to the worker.")] = Audio.base64,
    stt: Annotated[Stt, typer.Option(help="Which recognition the worker uses.")] = Stt.flux,
    port: Annotated[int, typer.Option(help="The worker's port; the stand-ins take the next.")] = 8860,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write the figures.")] = None,
) -> None:
    """Measure voice-to-voice latency of one worker on one core, and what of it is the worker's own doing.

    Rejects a run in which the load generator itself was late.
    """
    load = Load(f"http://127.0.0.1:{port}", calls, turns, turns_per_minute, audio is Audio.binary)
    console = Console(highlight=False)
    figures = uvloop.run(_measure(Plan(load, profile, stt.value, port)))
    write_report(figures, json_path)
    console.print(_view(figures))
    lateness = figures["generator_lateness_ms"]["p99"]
    if lateness > LATENESS_LIMIT_MS:
        raise LateGenerator(
            f"This run does not count: the load generator sent its frames {lateness:.1f} ms late (P99; up to "
            f"{LATENESS_LIMIT_MS:.0f} are accepted). Let the machine come to rest, or ask for fewer --calls."
        )


async def _measure(plan: Plan) -> dict[str, Any]:
    worker_cores, other_cores = _cores()
    with tempfile.TemporaryDirectory(prefix="repartee-bench-") as folder, on_cores(other_cores):
        standins, worker = _parts(plan, Path(folder), worker_cores)
        async with running([[standins], [worker]]) as parts:
            measured, used = await _loaded(plan.load, parts.pid(worker.name))
            floor_ms = await _floor_ms(standins.url, plan.stt)
    return _figures(plan, measured, used, floor_ms)


def _cores() -> tuple[frozenset[int] | None, frozenset[int] | None]:
    """The worker's core, and those for the rest; no choice where there is only one, or the system offers none."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if len(cores) < 2:
        return None, None
    return frozenset(cores[-1:]), frozenset(cores[:-1][:1])


async def _loaded(load: Load, pid: int) -> tuple[Measured, Used]:
    """Place the load; what the worker used for it."""
    measured = Measured()
    idle = _usage(pid)
    # The generator's own pauses for rubbish would count as the worker's.
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        async with open_calls(load, measured) as calls:
            before = _usage(pid)
            await run_load(load, measured, calls)
            after = _usage(pid)
    finally:
        gc.enable()
        gc.unfreeze()
    return measured, Used(after.cpu_s - before.cpu_s, after.mb - idle.mb)


def _usage(pid: int) -> Used:
    """CPU seconds and resident MB of a process so far; zero where the system does not tell (no /proc)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return Used(0.0, 0.0)
    user, system, resident = int(fields[11]), int(fields[12]), int(fields[21])
    return Used((user + system) / os.sysconf("SC_CLK_TCK"), resident * os.sysconf("SC_PAGE_SIZE") / 1e6)


async def _floor_ms(standins_url: str, stt: str) -> float:
    """The least latency that the profile allows, as the stand-ins tell it."""
    async with httpx.AsyncClient(trust_env=False) as client:
        profile = (await client.get(f"{standins_url}/standins/profile")).json()
    return float(profile["floor_ms"][stt])


def _figures(plan: Plan, measured: Measured, used: Used, floor_ms: float) -> dict[str, Any]:
    latencies = measured.latencies_ms
    call_minutes = plan.load.calls * measured.seconds / 60
    return {
        "calls": plan.load.calls,
        "turns": plan.load.calls * plan.load.turns,
        "profile": plan.profile,
        "audio": "binary" if plan.load.binary_audio else "base64",
        "stt": plan.stt,
        "v2v_ms": {name: _rounded(percentile(latencies, percent)) for name, percent in PERCENTS.items()},
        "floor_ms": round(floor_ms, 1),
        "above_floor_ms": {
            name: _rounded(percentile((ms - floor_ms for ms in latencies), percent))
            for name, percent in PERCENTS.items()
        },
        "unanswered": measured.unanswered,
        "early": measured.early,
        "generator_lateness_ms": {"p99": _rounded(percentile(measured.lateness_ms, 99)) or 0.0},
        "cpu_s_per_call_minute": round(used.cpu_s / call_minutes, 3),
        "mb_per_call": round(used.mb / plan.load.calls, 3),
        "faults": sorted(set(measured.faults)),
    }


def _rounded(ms: float | None) -> float | None:
    return None if ms is None else round(ms, 2)


def _view(figures: dict[str, Any]) -> Table:
    table = Table(title=f"{figures['calls']} calls, {figures['turns']} turns, profile {figures['profile']}")
    table.add_column("")
    for name in PERCENTS:
        table.add_column(name.upper(), justify="right")
    for title, key in (("voice to voice, ms", "v2v_ms"), ("above the floor, ms", "above_floor_ms")):
        values = figures[key].values()
        table.add_row(title, *("–" if ms is None else f"{ms:.1f}" for ms in values))
    table.caption = (
        f"floor {figures['floor_ms']:.0f} ms · unanswered {figures['unanswered']} · early {figures['early']} · "
        f"{figures['cpu_s_per_call_minute']:.2f} CPU s a call-minute · {figures['mb_per_call']:.2f} MB a call · "
        f"generator late by {figures['generator_lateness_ms']['p99']:.1f} ms (P99)"
    )
    return table


def _parts(plan: Plan, folder: Path, worker_cores: frozenset[int] | None) -> tuple[Part, Part]:
    script = folder / "script.json"
    script.write_text(
        json.dumps({"utterances": [{"say": "Can you do it?", "reply": reply} for reply in REPLIES]})
    )
    standins_port = plan.port + 1
    command = [
        "standins",
        "--light",
        "--port",
        str(standins_port),
        "--profile",
        plan.profile,
        "--script",
        str(script),
    ]
    standins = Part("stand-ins", command, standins_port, "/standins/profile")
    url = standins.url
    env = {
        **{f"{name}_API_KEY": STANDIN_KEY for name in ("DEEPGRAM", "OPENAI", "CARTESIA")},
        "DEEPGRAM_BASE_URL": url,
        "OPENAI_BASE_URL": f"{url}/v1",
        "CARTESIA_BASE_URL": url,
        "REPARTEE_STT": plan.stt,
        "REPARTEE_LATENCY_LOG": str(folder / "latency.jsonl"),
        "REPARTEE_MAX_CALLS": str(max(50, plan.load.calls + 10)),
    }
    command = ["region", "--allow-anonymous", "--port", str(plan.port)]
    return standins, Part("worker", command, plan.port, env=env, cores=worker_cores)
