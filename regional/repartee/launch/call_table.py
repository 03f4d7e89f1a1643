"""How calls are shown in a terminal: a table of them, and one with what happened in it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text


def print_calls(calls: Sequence[Mapping[str, Any]], console: Console) -> None:
    """One line a call."""
    if not calls:
        console.print("No calls.")
        return
    grid = Grid(box=None, pad_edge=False)
    for name in ("call", "started", "agent", "caller", "over", "region"):
        grid.add_column(name, no_wrap=name == "call")
    for name in ("seconds", "turns", "unanswered", "cost"):
        grid.add_column(name, justify="right")
    grid.add_column("ended")
    for call in calls:
        grid.add_row(
            call["call_id"],
            call["started_at"][:19].replace("T", " "),
            call["agent"],
            call["caller"] or "-",
            call["transport"],
            call["region"],
            f"{call['seconds']:.0f}",
            str(call["turns"]),
            str(call["unanswered"]),
            _cost(call["cost"]),
            call["ended"],
        )
    console.print(grid)


def print_call(record: Mapping[str, Any], console: Console) -> None:
    """A call's head, and its timeline."""
    console.print(Text(f"call {record['call_id']}", "bold"))
    told = {
        "agent": f"{record['agent']} ({record['version']})",
        "caller": record["caller"] or "-",
        "over": f"{record['transport']} to {record['region']}",
        "vendors": ", ".join(f"{stage} {name}" for stage, name in record["vendors"].items()),
        "started": record["started_at"],
        "length": f"{record['seconds']:.1f} s, {record['turns']} turns, {record['interruptions']} interruptions",
        "ended": record["ended"],
        "cost": _cost(record["cost"]),
    }
    for name, value in told.items():
        console.print(Text.assemble((f"  {name:<9}", "dim"), value))
    console.print()
    for entry in record["timeline"]:
        console.print(Text.assemble((f"  {entry['at'][11:23]} ", "dim"), *_line(entry)))


def _cost(cost: float | None) -> str:
    return "-" if cost is None else f"{cost:.4f}"


def _line(entry: Mapping[str, Any]) -> list[str | tuple[str, str]]:
    show = _LINES.get(entry["event"])
    return show(entry) if show else [str(entry["event"])]


def _turn(entry: Mapping[str, Any]) -> list[str | tuple[str, str]]:
    head = f"turn {entry['turn_id']} {entry['outcome']}"
    if "voice_to_voice_ms" not in entry:
        return [(head, "yellow")]
    stages = ", ".join(f"{stage} {ms:.0f}" for stage, ms in entry["stages_ms"].items())
    late = "red" if entry["over_budget"] else "green"
    return [f"{head} ", (f"{entry['voice_to_voice_ms']:.0f} ms", late), f" {entry['kind']}: {stages}"]


def _said(entry: Mapping[str, Any]) -> list[str | tuple[str, str]]:
    style = "cyan" if entry["who"] == "caller" else "magenta"
    return [(f"{entry['who']}: ", style), entry["text"], " …" if entry["interrupted"] else ""]


def _tool(entry: Mapping[str, Any]) -> list[str | tuple[str, str]]:
    head = f"tool {entry['tool']}({entry.get('arguments', '…')}) {'ok' if entry['ok'] else 'failed'}"
    guess = f", prefetch {entry['prefetch']}" if entry["prefetch"] else ""
    gave = f" → {entry['result']}" if "result" in entry else ""
    return [f"{head} after {entry['waited_ms']:.0f} ms{guess}{gave}"]


_LINES: Mapping[str, Callable[[Mapping[str, Any]], list[str | tuple[str, str]]]] = {
    "turn": _turn,
    "said": _said,
    "tool": _tool,
    "interruption": lambda entry: [(f"interrupted after {entry['heard_ms']:.0f} ms", "yellow")],
    "provider_failed": lambda entry: [(f"{entry['vendor']} failed ({entry['stage']})", "red")],
    "line_troubled": lambda entry: [(f"the line: {entry['trouble']}", "red")],
    "author_fault": lambda entry: [(f"{entry['function']}: {entry['error']} at {entry['place']}", "red")],
}
