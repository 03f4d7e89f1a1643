"""A call's turns as the JSON that other programs read."""

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from repartee.client.dialogue import Turn
from repartee.errors import VoiceError
from repartee.latency.kinds import ANSWERED_AT_ONCE, TurnKind, kind_of


def percentile(values: Iterable[float], percent: float) -> float | None:
    """Linear between the nearest ranks; None without values."""
    ordered = sorted(values)
    if not ordered:
        return None
    position = (len(ordered) - 1) * percent / 100
    low = int(position)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (position - low)


def turn_report(turn: Turn, number: int, call_id: str | None) -> dict[str, Any]:
    """One turn; ``number`` counts from 1 and stands in where the server gave no turn id."""
    latency = turn.latency or {}
    stages = {name: round(ms, 1) for name, ms in turn.stages_ms().items()}
    if stages:
        stages = {"capture": 0.0, **stages, "playback": 0.0}  # a recording goes out and is heard as it comes
    return {
        "call_id": latency.get("call_id") or call_id,
        "turn_id": latency.get("turn_id", number),
        "question": turn.question,
        "heard_as": turn.heard_as,
        "answer": turn.answer,
        "answered": turn.answered_at_s is not None and turn.failed is None,
        "fault": turn.failed,
        "voice_to_voice_ms": _rounded(turn.voice_to_voice_ms),
        "stages_ms": stages,
        "interrupted": turn.interrupted or bool(latency.get("interrupted")),
        "filler_ms": latency.get("filler_ms"),
        "prefetch": latency.get("prefetch"),
        "kind": kind_of_turn(turn),
        "region": latency.get("region"),
        "providers": latency.get("providers"),
    }


def kind_of_turn(turn: Turn) -> TurnKind | None:
    """What kind of turn the server says it was, or its stages show; None without an answer."""
    if turn.apologised:
        return "apology"
    if turn.latency is None:
        return "plain" if turn.answered_at_s is not None else None
    return kind_of(turn.latency.get("stages_ms") or {}, turn.latency.get("prefetch"))


def call_report(turns: Sequence[Turn], call_id: str | None) -> dict[str, Any]:
    """The whole call: its turns, P50 and P90 of the voice-to-voice latency of those that waited for no tool (null if
    there were none), and the same and P99 of each kind."""
    of_kind: dict[TurnKind, list[float]] = {}
    for turn in turns:
        kind, ms = kind_of_turn(turn), turn.voice_to_voice_ms
        if kind is not None and ms is not None:
            of_kind.setdefault(kind, []).append(ms)
    figures = [ms for kind, each in of_kind.items() if kind in ANSWERED_AT_ONCE for ms in each]
    return {
        "turns": [turn_report(turn, number, call_id) for number, turn in enumerate(turns, 1)],
        "p50_ms": _rounded(percentile(figures, 50)),
        "p90_ms": _rounded(percentile(figures, 90)),
        "kinds": {
            kind: {"turns": len(each)}
            | {f"p{percent}_ms": _rounded(percentile(each, percent)) for percent in (50, 90, 99)}
            for kind, each in of_kind.items()
        },
    }


def _rounded(ms: float | None) -> float | None:
    return None if ms is None else round(ms, 1)


def write_report(report: dict[str, Any], path: Path | None) -> None:
    """Write a report as JSON, if a path is given. Raises VoiceError when that cannot be done."""
    if path is None:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(report, indent=2, ensure_ascii=False) + os.linesep)
    except OSError as error:
        raise VoiceError(f"{path} cannot be written: {error.strerror or error}.") from None


def require_answers(report: dict[str, Any]) -> None:
    """Raises VoiceError when a turn went unanswered."""
    turns = report["turns"]
    what = [f"“{turn['question']}” ({turn['fault']})" for turn in turns if not turn["answered"]]
    if what:
        raise VoiceError(f"{len(what)} of {len(turns)} questions went unanswered: {', '.join(what)}.")
