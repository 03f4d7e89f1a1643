"""`repartee demo`: the whole system, and a spoken call through it."""

import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from repartee.client.call import CallOptions
from repartee.client.calling import AskedLine, converse
from repartee.client.dialogue import Turn
from repartee.client.report import call_report, require_answers, turn_report, write_report
from repartee.client.speech import spoken
from repartee.client.telephone import TelephoneWishes
from repartee.client.telephone_visit import telephone_visit
from repartee.client.waterfall import summary_view, turn_view
from repartee.launch.local_system import LocalSystem, SystemOptions
from repartee.launch.whole_system import announce, until_signalled, whole_system
from repartee_edge.tickets import TicketKeys, sign

INTERRUPT_AFTER_MS = 2500.0
QUESTIONS: tuple[tuple[str, float | None], ...] = (
    ("What is the balance of my account?", None),
    ("How do you work?", INTERRUPT_AFTER_MS),
    ("What were my last transactions?", None),
)
"""What is asked, and after how much of its answer the next question interrupts (None: not at all)."""

BY_TELEPHONE: tuple[tuple[str, float | None], ...] = (
    ("What is the balance of my account?", None),
    ("How do you work?", INTERRUPT_AFTER_MS),
    ("What are your opening hours?", None),
)


def demo(
    once: Annotated[
        bool, typer.Option("--once", help="End after the call, instead of serving the page.")
    ] = False,
    json_path: Annotated[
        Path | None, typer.Option("--json", help="Write the turns and their figures.")
    ] = None,
    port: Annotated[int, typer.Option(help="The edge's port; the other parts take those after it.")] = 8787,
    profile: Annotated[str | None, typer.Option(help="The stand-ins' latency profile.")] = None,
    out: Annotated[Path | None, typer.Option(help="Record the call: caller left, agent right.")] = None,
    telephone: Annotated[
        bool, typer.Option("--telephone", help="By telephone, through a carrier's stand-in.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show what every part prints.")] = False,
) -> None:
    """Run the whole system here and place a spoken call through it: three questions, one of which interrupts.

    With --telephone the call comes from a telephone, and goes on with a key, a transfer and an agent that hangs up.
    Exit status 1 when a question was left unanswered.
    """
    console = Console(highlight=False)
    options = SystemOptions(port=port, profile=profile, telephone=telephone)
    report = until_signalled(
        _demo(options, console, once=once, json_path=json_path, out=out, verbose=verbose)
    )
    if report is not None:
        require_answers(report)


async def _demo(
    options: SystemOptions,
    console: Console,
    *,
    once: bool,
    json_path: Path | None,
    out: Path | None,
    verbose: bool,
) -> dict[str, Any]:
    console.print("Starting the providers' stand-ins, two regions and the edge ...", style="dim")
    async with whole_system(options, console, verbose=verbose) as (system, parts):
        report = await _spoken_call(system, console, out)
        write_report(report, json_path)
        if once:
            console.print(Text(f"The browser page was at {system.url}/ (it stays up without --once).", "dim"))
            return report
        announce(system, console)
        raise await parts.first_to_fall()


async def _spoken_call(system: LocalSystem, console: Console, out: Path | None) -> dict[str, Any]:
    """Place the call through the edge and print each turn as it ends."""
    options = CallOptions(url=system.url, api_key=system.api_key, telephone=_telephone(system))
    lines = [AskedLine(spoken(text, options.rate_hz), interrupt) for text, interrupt in QUESTIONS]
    console.print(Text(f"Calling {system.url} ...\n", "dim"))
    shown = 0

    def show(turn: Turn, call_id: str | None) -> None:
        nonlocal shown
        shown += 1
        console.print(turn_view(turn_report(turn, shown, call_id), shown, plain=not console.is_terminal))

    if options.telephone:
        lines = [AskedLine(spoken(text, options.rate_hz), at) for text, at in BY_TELEPHONE]
        over, seen = await telephone_visit(
            options, lines, show, lambda line: console.print(Text(f"{line}\n")), out
        )
    else:
        over, seen = await converse(options, lines, on_turn=show, out=out), {}
    report = {"transport": options.transport, **call_report(over.turns, over.call_id)}
    if seen:
        report["telephone"] = seen
    console.print(summary_view(report))
    return report


def _telephone(system: LocalSystem) -> TelephoneWishes | None:
    if not system.telephone_url:
        return None
    names = dict(zip(system.region_urls, system.region_names, strict=True))
    keys = TicketKeys(system.ticket_key)

    def ticket(url: str) -> str:
        return sign(keys, region=names[url], subject="demo", now=time.time())

    return TelephoneWishes(system.telephone_url, system.region_urls, ticket)
