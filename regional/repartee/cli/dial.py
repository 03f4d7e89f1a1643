"""`repartee dial`: have an agent call somebody by telephone, or everybody on a list."""

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from repartee.client.dialling import DialRow, DialWishes, dial_list, dial_one, never_call
from repartee.client.faults import CallFailed
from repartee.client.report import write_report
from repartee.launch.exposure import KNOWN_KEY

DEFAULT_URL = "http://127.0.0.1:8787"


def dial(
    number: Annotated[str | None, typer.Argument(help="Whom to call, such as +15550123.")] = None,
    agent: Annotated[str, typer.Option(help="The agent that is to talk.", metavar="NAME")] = "",
    csv: Annotated[
        Path | None, typer.Option(help="Call everybody on this list: a column `to`; others are metadata.")
    ] = None,
    on_machine: Annotated[
        Literal["hang_up", "message", "ignore"], typer.Option(help="What to do with an answering machine.")
    ] = "hang_up",
    message: Annotated[str, typer.Option(help="What to leave on an answering machine.")] = "",
    from_number: Annotated[str, typer.Option("--from", help="The number to call from.")] = "",
    never: Annotated[
        str | None, typer.Option(help="Call nobody: put this number on the list of those who are not to be.")
    ] = None,
    url: Annotated[str, typer.Option(help="The edge.")] = DEFAULT_URL,
    key: Annotated[str, typer.Option(envvar="REPARTEE_API_KEY", help="The API key.")] = KNOWN_KEY,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write what became of it.")] = None,
) -> None:
    """Have an agent call by telephone.

    A list can be taken up again: who was called stands beside it, in FILE.progress. Exit status 1 when somebody was
    not called.
    """
    console = Console(highlight=False)
    wishes = DialWishes(url, key, agent, from_number, on_machine, message)
    if never is not None:
        asyncio.run(never_call(wishes, never))
        console.print(f"{never} is not called any more.", markup=False)
    elif csv is not None:

        def tell(row: DialRow, what: str) -> None:
            console.print(f"{row.place:>5}  {row.to:<16} {what}", markup=False)

        summary = asyncio.run(dial_list(wishes, csv, tell))
        write_report(asdict(summary), json_path)
        refused = ", ".join(f"{count} {code}" for code, count in summary.refused.items()) or "none"
        console.print(
            f"Placed: {summary.placed}. Refused: {refused}. Left for later: {summary.left}. "
            f"Done before: {summary.before}."
        )
        if summary.left:
            raise CallFailed(f"{summary.left} were not called: run this again.")
    elif number is not None:
        placed = asyncio.run(dial_one(wishes, number))
        write_report(dict(placed), json_path)
        console.print(f"Calling {placed['to']} from {placed['from']}: {placed['call_id']}", markup=False)
    else:
        raise typer.BadParameter("name a number, or a list with --csv")
