"""The turn log: one JSON line for every turn that wanted an answer, in a file or on standard output."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

import msgspec

from repartee.telemetry.events import CallEvent, TurnOver


class TurnLog:
    """Implements :class:`~repartee.telemetry.stream.Exporter`. ``close`` closes ``out``, if that is wanted."""

    def __init__(self, out: TextIO, close: Callable[[], None] = lambda: None) -> None:
        self._out = out
        self._close = close

    def export(self, event: CallEvent) -> None:
        """Write the turn's line. Raises OSError."""
        if isinstance(event, TurnOver):
            # One write: lines of others on the same output must not come in between.
            self._out.write(msgspec.json.encode(turn_line(event)).decode() + "\n")
            self._out.flush()

    def close(self) -> None:
        """Close the file."""
        self._close()


def turn_line(turn: TurnOver) -> dict[str, object]:
    """What stands in a turn's line."""
    named = {"call_id": turn.call_id, "turn_id": turn.turn_id, "region": turn.region}
    return {**named, **turn_figures(turn)}


def turn_figures(turn: TurnOver) -> dict[str, object]:
    """A turn's own figures."""
    line: dict[str, object] = {
        "providers": turn.providers,
        "outcome": turn.outcome,
        "kind": turn.kind,
        "first": turn.first,
    }
    if trace := turn.trace:
        line |= {
            "voice_to_voice_ms": trace.voice_to_voice_ms,
            "stages_ms": trace.stages_ms,
            "speculative": trace.speculative,
            "filler_ms": trace.filler_ms,
            "prefetch": trace.prefetch,
            "over_budget": trace.over_budget,
            "speech_end_certain": trace.speech_end_certain,
        }
    return line


def open_turn_log(path: str) -> TurnLog:
    """To this file, appended to; to standard output if no path is given. Raises OSError."""
    if not path:
        return TurnLog(sys.stdout)
    file = Path(path).open("a", encoding="utf-8")  # noqa: SIM115
    return TurnLog(file, file.close)
