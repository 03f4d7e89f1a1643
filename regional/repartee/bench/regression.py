"""`repartee bench regression`: 10,000 seeded turns through the pipeline on virtual time, against a baseline.

Nothing is measured: providers and tools take what the seed says, the rest takes no time. So the figures are exact and
the same on any machine. What is slower than the baseline has been made so by a change of the program's.
"""

import asyncio
import json
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from repartee.agent.agent import worker_side
from repartee.agent.experience import Experience
from repartee.bench.seeded_world import (
    Draws,
    SeededModel,
    SeededSTT,
    SeededTTS,
    SilentLine,
    ask,
    questions_of,
    seeded_agent,
)
from repartee.bench.virtual_time import VirtualLoop, clocks_of
from repartee.client.report import percentile, write_report
from repartee.errors import ConfigurationError
from repartee.latency.kinds import KINDS
from repartee.providers.hedged_llm import HedgedLLM
from repartee.session.call import Call, CallParts, CallSettings
from repartee.session.cascade import Cascade
from repartee.session.cascade_resources import CascadeResources
from repartee.session.phrases import Phrases
from repartee.telemetry import events as t

BASELINE = Path(__file__).with_name("regression_baseline.json")
SEED = 20_261_127
TURNS_PER_CALL = 20
PAUSE_S = 0.5
PATIENCE_S = 60.0
SLOWER_MS = 1.0
"""More than that is a regression: arithmetic differs in the last digit between machines, and in nothing else."""


@dataclass(slots=True)
class KindFigures:
    """All turns of a kind: their latencies, and each stage's, in ms."""

    turns: int = 0
    latencies_ms: list[float] = field(default_factory=list)
    stages_ms: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def as_json(self) -> dict[str, Any]:
        """For the baseline and the report."""
        return {
            "turns": self.turns,
            "p50_ms": _rounded(percentile(self.latencies_ms, 50)),
            "p90_ms": _rounded(percentile(self.latencies_ms, 90)),
            "stages_ms": {
                stage: round(sum(values) / max(len(self.latencies_ms), 1), 3)
                for stage, values in self.stages_ms.items()
            },
        }


def regression(
    turns: Annotated[int, typer.Option(min=TURNS_PER_CALL, help="How many turns.")] = 10_000,
    baseline: Annotated[Path, typer.Option(help="What to compare with.")] = BASELINE,
    json_path: Annotated[
        Path | None, typer.Option("--json", help="Write the figures here as JSON.", show_default=False)
    ] = None,
    write_baseline: Annotated[
        bool, typer.Option("--write-baseline", help="Take today's figures as the baseline.")
    ] = False,
) -> None:
    """Hold the pipeline to its baseline on virtual time; the exit status is 1 if any kind of turn is slower."""
    began = time.perf_counter()
    kinds = play(turns)
    seconds = time.perf_counter() - began
    figures = {kind: found.as_json() for kind, found in kinds.items()}
    if write_baseline:
        baseline.write_text(json.dumps({"turns": turns, "seed": SEED, "kinds": figures}, indent=1) + "\n")
    known = _read(baseline)
    if known["turns"] != turns:
        raise ConfigurationError(f"The baseline is of {known['turns']} turns, not of {turns}.")
    faults = slower(figures, known["kinds"])
    for kind, found in figures.items():
        found["baseline_p50_ms"] = known["kinds"][kind]["p50_ms"]
        found["baseline_p90_ms"] = known["kinds"][kind]["p90_ms"]
    report = {"turns": turns, "seconds": round(seconds, 1), "kinds": figures, "slower": faults}
    write_report(report, json_path)
    _print(figures, faults, seconds)
    if faults:
        raise typer.Exit(1)


def play(turns: int, seed: int = SEED) -> dict[str, KindFigures]:
    """So many turns, by kind."""
    kinds: dict[str, KindFigures] = {kind: KindFigures() for kind in KINDS}
    logging.disable(logging.CRITICAL)  # failures are part of the plan
    try:
        with asyncio.Runner(loop_factory=VirtualLoop) as runner, clocks_of(runner.get_loop()):
            for call in range(turns // TURNS_PER_CALL):
                runner.run(_call(seed, call, partial(_count, kinds)))
    finally:
        logging.disable(logging.NOTSET)
    return kinds


def slower(figures: Mapping[str, Any], known: Mapping[str, Any]) -> list[str]:
    """A sentence for each kind of turn that is slower than the baseline, with the stage that it is due to."""
    faults = []
    for kind, found in figures.items():
        before = known[kind]
        for name in ("p50_ms", "p90_ms"):
            if found[name] is None or before[name] is None:
                continue
            more_ms = found[name] - before[name]
            if more_ms > SLOWER_MS:
                stage, stage_ms = _blamed(found["stages_ms"], before["stages_ms"])
                label = name.removesuffix("_ms").upper()
                faults.append(
                    f"{kind} turns are slower: {label} {before[name]:.1f} → {found[name]:.1f} ms (+{more_ms:.1f}); "
                    f"the stage {stage} takes {stage_ms:.1f} ms more on average"
                )
                break
        if found["turns"] != before["turns"]:
            faults.append(f"there are {found['turns']} {kind} turns, where there were {before['turns']}")
    return faults


def _blamed(stages: Mapping[str, float], before: Mapping[str, float]) -> tuple[str, float]:
    more = {stage: stages.get(stage, 0.0) - before.get(stage, 0.0) for stage in {*stages, *before}}
    stage = max(sorted(more), key=lambda one: more[one])
    return stage, more[stage]


async def _call(seed: int, number: int, note: Callable[[t.TurnOver], None]) -> None:
    """One call, from its greeting to its end."""
    draws = Draws(seed + number)
    stt, line, over = SeededSTT(), SilentLine(), asyncio.Event()
    agent, voice = seeded_agent(draws), SeededTTS(draws)

    def emit(event: t.CallEvent) -> None:
        if isinstance(event, t.TurnOver):
            note(event)
            over.set()

    resources = CascadeResources(
        stt,
        HedgedLLM(SeededModel(draws)),
        voice,
        names={},
        phrases=Phrases(voice),
        experience=Experience(),
    )
    phrases = (*worker_side(agent).phrases, *agent.notices.phrases(agent.language))
    await resources.phrases.record(phrases, name=agent.voice, language=agent.language)
    parts = CallParts(CallSettings(f"call{number}", "here"), agent, resources, emit, line)
    call = Call(parts, lambda made: Cascade(made, resources))
    running = asyncio.create_task(call.run())
    for question in questions_of(seed, number, TURNS_PER_CALL):
        over.clear()
        await ask(question, stt, draws)
        async with asyncio.timeout(PATIENCE_S):
            await over.wait()
        await asyncio.sleep(PAUSE_S)
    line.hang_up()
    await running


def _count(kinds: Mapping[str, KindFigures], turn: t.TurnOver) -> None:
    if turn.kind is None:
        return
    found = kinds[turn.kind]
    found.turns += 1
    if turn.trace is not None:
        found.latencies_ms.append(turn.trace.voice_to_voice_ms)
        for stage, ms in turn.trace.stages_ms.items():
            found.stages_ms[stage].append(ms)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"The baseline {path} can't be read: {error}.") from None


def _print(figures: Mapping[str, Any], faults: Iterable[str], seconds: float) -> None:
    console = Console(highlight=False)
    table = Table(box=None)
    for name in ("turns of kind", "number", "P50 ms", "P90 ms", "baseline P50", "baseline P90"):
        table.add_column(name, justify="left" if name == "turns of kind" else "right")
    for kind, found in figures.items():
        shown = [found[name] for name in ("p50_ms", "p90_ms", "baseline_p50_ms", "baseline_p90_ms")]
        table.add_row(
            kind, str(found["turns"]), *("-" if value is None else f"{value:.1f}" for value in shown)
        )
    console.print(table)
    console.print(f"On virtual time; it took {seconds:.1f} s.")
    for fault in faults:
        console.print(f"[bold red]slower[/] {fault}")
