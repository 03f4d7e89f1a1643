"""Draws a turn's stages for the terminal: each where it happened in time, beside the budget.

Owns the drawing and the stages' names in words; must not know how a figure came about.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

BUDGET_MS = 500.0
BAR_COLUMNS = 40
EIGHTHS = " ▏▎▍▌▋▊▉█"


@dataclass(frozen=True, slots=True)
class StageLook:
    """A stage in words, its colour, and the most it may take by the latency budget (None: it has no row there)."""

    words: str
    colour: str
    at_most_ms: float | None


STAGES: Mapping[str, StageLook] = {
    "end_of_turn": StageLook("end of turn", "cyan", 150),
    "llm": StageLook("model", "blue", 200),
    "tool": StageLook("tool", "yellow", None),
    "chunk": StageLook("first words", "bright_blue", None),
    "tts": StageLook("voice", "magenta", 180),
    "hold": StageLook("turn confirmed", "yellow", None),
    "lead_in": StageLook("silent lead-in", "bright_black", None),
    "network": StageLook("network", "green", 160),
}


NOTHING_HERE = ("capture", "playback")
"""What a call from the terminal adds nothing to is not drawn."""


def waterfall(stages_ms: Mapping[str, float], *, plain: bool = False) -> Table:
    """One row a stage, in the order of time."""
    total = sum(stages_ms.values())
    scale = BAR_COLUMNS / max(BUDGET_MS, total)
    table = Table.grid(padding=(0, 1))
    table.add_column(width=15)
    table.add_column(width=BAR_COLUMNS + 1)
    table.add_column(width=7, justify="right")
    start = 0.0
    for name, ms in stages_ms.items():
        if name in NOTHING_HERE and not ms:
            continue
        look = STAGES.get(name) or StageLook(name.replace("_", " "), "white", None)
        over = look.at_most_ms is not None and ms > look.at_most_ms
        bar = _bar(start * scale, max(ms, 0) * scale, look.colour, BUDGET_MS * scale, plain=plain)
        figure = Text(f"{ms:.0f} ms", style="bold red" if over else "")
        table.add_row(Text(look.words, style=look.colour), bar, figure)
        start += max(ms, 0)
    return table


def turn_view(turn: Mapping[str, Any], number: int, *, plain: bool = False) -> RenderableType:
    """A turn as in the JSON of `demo` and `call`: what was said, and where the time went."""
    rows: list[RenderableType] = [_said(turn, number)]
    if turn["voice_to_voice_ms"] is None:
        return Group(*rows, Text(""))
    if turn["stages_ms"]:
        rows.append(Padding(waterfall(turn["stages_ms"], plain=plain), (1, 0, 0, 2)))
    rows += [Padding(_total(turn), (0, 0, 0, 2)), Text("")]
    return Group(*rows)


def summary_view(report: Mapping[str, Any]) -> Text:
    """P50 and P90 of a call beside the budget."""
    if report["p50_ms"] is None:
        if report.get("kinds"):
            return Text("Every answer waited for a tool: there is no latency to hold to the budget.")
        if any(turn["answered"] for turn in report["turns"]):
            return Text("Every answer began before its question was over: there is no latency to tell.")
        return Text("Nothing was answered.", style="bold red")
    p50, p90 = (f"{report[key]:.0f} ms" for key in ("p50_ms", "p90_ms"))
    good = report["p90_ms"] < BUDGET_MS
    summary = Text.assemble(
        ("Voice to voice  ", "bold"),
        ("of turns that waited for no tool  ", "dim") if "tool" in report.get("kinds", {}) else "",
        f"P50 {p50}   P90 ",
        (p90, "bold green" if good else "bold red"),
        (f"   budget {BUDGET_MS:.0f} ms at P90", "dim"),
    )
    for number, turn in enumerate(report["turns"], 1):
        if turn["filler_ms"] is not None:
            waited = (
                f"\nTurn {number} waited for a tool: something was said after {turn['filler_ms']:.0f} ms."
            )
            summary.append(waited, style="dim")
    return summary


def _said(turn: Mapping[str, Any], number: int) -> Table:
    table = Table.grid(padding=(0, 1))
    table.add_row(Text(str(number), "bold"), Text("You", "dim"), Text(turn["question"], "bold"))
    table.add_row("", Text("Agent", "dim"), _answer(turn))
    return table


def _answer(turn: Mapping[str, Any]) -> Text:
    text = Text(str(turn["answer"]).strip() or "(no answer)", style="" if turn["answered"] else "bold red")
    if turn["interrupted"]:
        text.append("  (interrupted)", style="yellow")
    return text


def _total(turn: Mapping[str, Any]) -> Text:
    ms = turn["voice_to_voice_ms"]
    notes = [f"filler after {turn['filler_ms']:.0f} ms"] if turn.get("filler_ms") is not None else []
    notes += [f"prefetch {turn['prefetch']}"] if turn.get("prefetch") else []
    style = "bold green" if ms < BUDGET_MS else "bold red"
    return Text.assemble(
        (f"{'voice to voice':15} ", "bold"), (f"{ms:.0f} ms", style), ("   " + ", ".join(notes), "dim")
    )


def _bar(start: float, length: float, colour: str, budget: float, *, plain: bool) -> Text:
    """A bar from ``start``, ``length`` columns long, with the budget's mark where it falls."""
    first = int(start)
    cells = [" "] * (BAR_COLUMNS + 1)
    if plain:
        drawn = "#" * max(1, round(start + length) - first) if length else ""
    else:
        eighths = max(1, round((start - first + length) * 8)) if length else 0
        drawn = EIGHTHS[8] * (eighths // 8) + (EIGHTHS[eighths % 8] if eighths % 8 else "")
    end = min(first + len(drawn), len(cells))
    cells[first:end] = drawn[: end - first]
    mark = min(int(budget), BAR_COLUMNS)
    marked = cells[mark] == " "
    if marked:
        cells[mark] = "|" if plain else "│"
    text = Text("".join(cells), style=colour)
    if marked:
        text.stylize("dim white", mark, mark + 1)
    return text
