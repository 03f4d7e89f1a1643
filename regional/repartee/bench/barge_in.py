"""`repartee bench barge-in`: how soon the agent is silent when the caller speaks while it does."""

from pathlib import Path
from typing import Annotated, Any

import typer
import uvloop
from rich.console import Console

from repartee.bench.interruption import InterruptingCall, Interruptions
from repartee.bench.latency import AudioForm
from repartee.bench.load import Load, Measured, placed, run_load, scripted
from repartee.bench.rig import Setup, no_pauses, percentiles, rig
from repartee.client.report import write_report

LONG_REPLIES = (
    "That will be done now, and meanwhile there is a lot more to tell about how the whole of this works, one thing "
    "after the other, so that there is plenty of time to think of what somebody would rather hear, and to say so.",
)
"""So long that the agent still speaks when it is interrupted, and without a word of the question: its own word coming
back, first, would be its echo."""


def barge_in(
    times: Annotated[int, typer.Option(min=1, help="Interruptions in each call.")] = 20,
    calls: Annotated[int, typer.Option(min=1, help="Calls at once.")] = 1,
    profile: Annotated[str, typer.Option(help="The stand-ins' latency profile.")] = "budget",
    audio: Annotated[AudioForm, typer.Option(help="How audio travels to the worker.")] = AudioForm.base64,
    port: Annotated[int, typer.Option(help="The worker's port; the stand-ins take the next.")] = 8896,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write the figures.")] = None,
) -> None:
    """Interrupt the agent again and again, and time its silence from the caller's first sound."""
    load = Load(f"http://127.0.0.1:{port}", calls, times + 1, binary_audio=audio is AudioForm.binary)
    told = uvloop.run(_measure(Setup(port, profile, LONG_REPLIES), load, times))
    report = {"profile": profile, "audio": audio.value, "calls": calls, **told}
    write_report(report, json_path)
    console = Console(highlight=False)
    for title, key in (("the client knows", "told_ms"), ("the agent is silent", "silent_ms")):
        values = " · ".join(
            f"{name.upper()} {'–' if ms is None else f'{ms:.0f} ms'}" for name, ms in report[key].items()
        )
        console.print(f"{title}: {values}")
    console.print(
        f"{report['interruptions']} interruptions, {report['missed']} missed, {report['unanswered']} questions "
        "unanswered"
    )


async def _measure(setup: Setup, load: Load, times: int) -> dict[str, Any]:
    came = Interruptions()
    script = scripted(load.frames_per_turn, binary_audio=load.binary_audio)
    async with rig(setup):
        waiting = [InterruptingCall(script, times, came) for _ in range(load.calls)]
        with no_pauses():
            async with placed(load, waiting) as calls:
                await run_load(load, Measured(), calls)
    return {
        "interruptions": len(came.told_ms) + came.missed,
        "told_ms": percentiles(came.told_ms),
        "silent_ms": percentiles(came.silent_ms),
        "missed": came.missed,
        "unanswered": came.unanswered,
        "faults": sorted(set(came.faults)),
    }
