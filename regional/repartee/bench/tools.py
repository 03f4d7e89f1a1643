"""`repartee bench tools`: what a tool adds to a turn: its filler, the silence after it, and a lookup made ahead."""

from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
import uvloop
from rich.console import Console

from repartee.bench import tools_agent
from repartee.bench.load import Load, Measured, placed, run_load, scripted
from repartee.bench.rig import Setup, floors, no_pauses, percentiles, rig
from repartee.bench.tool_calls import ToolCaller, ToolTimes
from repartee.client.report import percentile, write_report

TURNS_PER_MINUTE = {"plain": 24.0, "hit": 24.0, "slow": 15.0}
FILLER_MS, SILENCE_MS, HIT_MS = 40.0, 20.0, 20.0
"""What is promised, P90."""


def tools(
    turns: Annotated[int, typer.Option(min=1, help="Turns of each kind.")] = 8,
    profile: Annotated[str, typer.Option(help="The stand-ins' latency profile.")] = "budget",
    port: Annotated[int, typer.Option(help="The worker's port; the stand-ins take the next.")] = 8900,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write the figures.")] = None,
) -> None:
    """Ask for what takes no tool, a lookup that is made ahead, and a tool that is known to be slow."""
    times = {kind: uvloop.run(_measure(kind, turns, profile, port)) for kind in TURNS_PER_MINUTE}
    plain, hit, slow = times["plain"], times["hit"], times["slow"]
    report = {
        "profile": profile,
        "turns": {kind: len(one.v2v_ms) for kind, one in times.items()},
        "filler_ms": _two(slow.filler_ms),
        "silence_over_floor_ms": _two(slow.silence_ms),
        "hit_minus_plain_ms": _difference(hit.v2v_ms, plain.v2v_ms),
        "v2v_ms": {kind: _two(one.v2v_ms) for kind, one in times.items()},
        "kinds": {kind: sorted(set(one.kinds)) for kind, one in times.items()},
        "faults": sorted({fault for one in times.values() for fault in one.faults}),
    }
    write_report(report, json_path)
    console = Console(highlight=False)
    for title, key, most in (
        ("the filler sounds after the call", "filler_ms", FILLER_MS),
        ("silence beyond what tool and answer need", "silence_over_floor_ms", SILENCE_MS),
        ("a lookup made ahead, beside no tool", "hit_minus_plain_ms", HIT_MS),
    ):
        told: Any = report[key]
        values = " · ".join(
            f"{name.upper()} {'–' if ms is None else f'{ms:.1f} ms'}" for name, ms in told.items()
        )
        console.print(f"{title}: {values} (at most {most:.0f})")


async def _measure(kind: str, turns: int, profile: str, port: int) -> ToolTimes:
    load = Load(f"http://127.0.0.1:{port}", 1, turns, TURNS_PER_MINUTE[kind])
    agent = str(Path(tools_agent.__file__))
    times = ToolTimes()
    async with rig(Setup(port, profile, env={"REPARTEE_AGENT": agent, "BENCH_TOOL": kind})) as bench:
        async with httpx.AsyncClient(trust_env=False) as client:
            told = (await client.get(f"{bench.standins_url}/standins/profile")).json()
        floor = floors(told)["flux"]
        end_ms = float(told["medians"]["stt"]["end_of_turn_ms"])
        answer_ms = floor.sequential_ms - (end_ms + -end_ms % 20) - float(told["medians"]["stt"]["extra_ms"])
        script = scripted(load.frames_per_turn, binary_audio=False)
        with no_pauses():
            async with placed(load, [ToolCaller(script, turns, times, answer_ms=answer_ms)]) as calls:
                await run_load(load, Measured(), calls)
    return times


def _two(values: list[float]) -> dict[str, float | None]:
    return {name: ms for name, ms in percentiles(values).items() if name in ("p50", "p90")}


def _difference(values: list[float], others: list[float]) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    for name, percent in (("p50", 50), ("p90", 90)):
        one, other = percentile(values, percent), percentile(others, percent)
        found[name] = None if one is None or other is None else round(one - other, 2)
    return found
