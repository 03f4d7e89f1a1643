"""`repartee bench turns`: recorded people through the turn-taking, in the clear and in noise."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from repartee.bench.conditions import CONDITIONS, heard_in
from repartee.bench.recordings import RecordedTurn, read_recordings
from repartee.bench.turn_trial import POLICIES, Policy, Trial, run_trial
from repartee.client.report import write_report
from repartee.errors import VoiceError

OFF_MS = 100.0
WITHOUT_NOISE = ("clean", "telephone")


def turns(
    recordings: Annotated[
        Path,
        typer.Option(help="A folder of WAV files with a turns.json that says where speech lies in them."),
    ],
    conditions: Annotated[str, typer.Option(help=f"With commas, of: {', '.join(CONDITIONS)}.")] = ",".join(
        CONDITIONS
    ),
    policy: Annotated[str, typer.Option(help=f"How turns end: {', '.join(POLICIES)}.")] = "nova",
    json_path: Annotated[Path | None, typer.Option("--json", help="Write the figures.")] = None,
) -> None:
    """Play recorded turns through the worker's turn-taking, with a scripted recogniser that hears perfectly.

    Tells how many turns are cut off, spoken over or lose their last word, how long after its end a turn is taken for
    over, and how far off the time is at which its speech was found to have ended: every latency starts there. A clock
    of its own: the figures are the same on any machine.
    """
    report = measure(read_recordings(recordings), _conditions(conditions), policy)
    write_report(report, json_path)
    console = Console(highlight=False)
    console.print(_table(report))


def measure(recorded: Sequence[RecordedTurn], conditions: Sequence[str], policy: str) -> dict[str, Any]:
    """The JSON that other programs read; shares are from 0 to 1. Raises VoiceError for an unknown policy."""
    if policy not in POLICIES:
        raise VoiceError(f"There is no policy {policy}: use one of {', '.join(POLICIES)}.")
    figures: dict[str, Any] = {}
    noisy: list[Trial] = []
    for condition in conditions:
        figures[condition], trials = _figures(recorded, condition, POLICIES[policy])
        noisy += trials if condition not in WITHOUT_NOISE else []
    return {"policy": policy, "conditions": figures, "in_noise": _end_figures(noisy) if noisy else None}


def _conditions(names: str) -> list[str]:
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    unknown = [name for name in wanted if name not in CONDITIONS]
    if unknown or not wanted:
        raise VoiceError(f"--conditions {names}: use some of {', '.join(CONDITIONS)}, with commas.")
    return wanted


def _figures(
    recorded: Sequence[RecordedTurn], condition: str, policy: Policy
) -> tuple[dict[str, Any], list[Trial]]:
    heard = [heard_in(turn, condition, recorded) for turn in recorded]
    trials = [run_trial(turn, line, policy) for turn, line in zip(recorded, heard, strict=True)]
    figures = _summary(trials)
    if policy.endpointing is not None:
        without = [
            run_trial(turn, line, policy, word_times=False)
            for turn, line in zip(recorded, heard, strict=True)
        ]
        figures["without_word_times"] = _end_figures(without)
    return figures, trials


def _summary(trials: Sequence[Trial]) -> dict[str, Any]:
    delays = [(trial.final.at_s - trial.turn.ends_s) * 1000 for trial in trials if trial.final]
    return {
        "turns": len(trials),
        "cut_off": _share([trial.cut_off for trial in trials]),
        "spoken_over": _share([trial.spoken_over for trial in trials]),
        "last_words_lost": _share([trial.last_word_lost for trial in trials]),
        "delay_ms": _percentiles(delays, 50, 90),
        **_end_figures(trials),
    }


def _end_figures(trials: Sequence[Trial]) -> dict[str, Any]:
    """How far off the end of speech is. What a latency is reported too long by is what its start is too early."""
    found = [
        ((end.speech_ended_s - trial.turn.ends_s) * 1000, end.certain)
        for trial in trials
        if (end := trial.final) is not None and end.speech_ended_s is not None
    ]
    errors = [error for error, _ in found]
    apart = [abs(error) for error in errors]
    return {
        "speech_end_error_ms": _percentiles(errors, 10, 50, 90),
        "off_by_100": _share([ms > OFF_MS for ms in apart]),
        "reported_minus_measured_ms": {
            **_percentiles([-error for error in errors], 50, 90),
            "absolute": _percentiles(apart, 50, 90),
        },
        "uncertain": _share([not certain for _, certain in found]),
        "off_by_100_of_certain": _share([abs(error) > OFF_MS for error, certain in found if certain]),
    }


def _share(cases: Sequence[bool]) -> float:
    return round(sum(cases) / len(cases), 3) if cases else 0.0


def _percentiles(values: Sequence[float], *percents: int) -> dict[str, float | None]:
    return {
        f"p{percent}": round(float(np.percentile(values, percent)), 1) if values else None
        for percent in percents
    }


def _table(report: dict[str, Any]) -> Table:
    view = Table(
        "condition", "cut off", "spoken over", "last word lost", "delay P50/P90",
        "speech end off by P10/P50/P90", "> 100 ms", "without word times",
        box=None, header_style="bold",
    )  # fmt: skip
    for name, told in report["conditions"].items():
        error, without = told["speech_end_error_ms"], told.get("without_word_times")
        view.add_row(
            name,
            *(f"{told[key]:.0%}" for key in ("cut_off", "spoken_over", "last_words_lost")),
            "/".join(_ms(told["delay_ms"][key]) for key in ("p50", "p90")) + " ms",
            "/".join(_ms(error[key]) for key in ("p10", "p50", "p90")) + " ms",
            f"{told['off_by_100']:.0%}",
            f"{without['off_by_100']:.0%}" if without else "",
        )
    return view


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f}"
