"""`repartee calls`: what regions have kept of their calls. Reads the store itself: no worker has to run."""

import asyncio
import json
import os
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from repartee.app.recording_settings import RecordingSettings
from repartee.errors import ConfigurationError
from repartee.launch.call_table import print_call, print_calls
from repartee.launch.erasing import Erasing, erase_caller
from repartee.launch.kept_calls import kept_here
from repartee.store.call_records import call_with, calls_between
from repartee.store.call_views import record_of, summary_of
from repartee.store.interfaces import Store
from repartee.store.opening import open_store
from repartee.store.schema import Row

SINCE = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd])")
UNIT_S = {"s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
NOTHING = (
    "No calls are kept here. A region keeps them unless REPARTEE_RECORDS=off; DATABASE_URL or REPARTEE_STORE_FILE "
    "say where, if it is not this user's own file."
)

Json = Annotated[Path | None, typer.Option("--json", help="Write this here as JSON.", show_default=False)]
Since = Annotated[
    str,
    typer.Option(help="Calls from then on, as 30m, 12h, 7d or 2026-11-27T10:00.", show_default=False),
]
Agent = Annotated[str, typer.Option(help="Of this agent only.", show_default=False)]


def list_calls(
    limit: Annotated[int, typer.Option(help="How many calls at most.", min=1, max=10_000)] = 20,
    since: Since = "",
    agent: Agent = "",
    caller: Annotated[str, typer.Option(help="Of this caller only.", show_default=False)] = "",
    json_path: Json = None,
) -> None:
    """List the latest calls, the newest first."""
    where = {name: value for name, value in (("agent", agent), ("caller", caller)) if value}
    calls = asyncio.run(_listed(since_s(since, time.time()), where, limit))
    if json_path is not None:
        _write(json_path, json.dumps({"calls": calls}, indent=2) + "\n")
    print_calls(calls, Console(highlight=False))


def show(
    call_id: Annotated[str, typer.Argument(help="The call's id, as `repartee calls list` has it.")],
    json_path: Json = None,
) -> None:
    """Show one call: its figures, and what happened in it, in order."""
    record = asyncio.run(_whole(call_id))
    if json_path is not None:
        _write(json_path, json.dumps(record, indent=2, ensure_ascii=False) + "\n")
    print_call(record, Console(highlight=False))


def export(
    out: Annotated[Path | None, typer.Option(help="Write here instead of standard output.")] = None,
    since: Since = "",
    agent: Agent = "",
) -> None:
    """Write whole records, a line of JSON each, the newest first."""
    lines = asyncio.run(_exported(since_s(since, time.time()), {"agent": agent} if agent else {}))
    text = "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines)
    if out is None:
        typer.echo(text, nl=False)
    else:
        _write(out, text)
        typer.echo(f"{len(lines)} calls in {out}")


def erase(
    caller: Annotated[str, typer.Option(help="The caller, as the records name them.")],
) -> None:
    """Delete all that any table keeps of a caller."""
    gone = asyncio.run(_erased(caller))
    told = ", ".join(f"{count} of {table}" for table, count in sorted(gone.items()) if count)
    typer.echo(f"Deleted: {told}." if told else f"Nothing is kept of {caller}.")


def since_s(text: str, now: float) -> float | None:
    """A time in seconds since 1970, from ``2h`` (ago) or a date; None if there is none. Raises ConfigurationError."""
    if not text:
        return None
    if found := SINCE.fullmatch(text.strip()):
        return now - float(found[1]) * UNIT_S[found[2]]
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(
            f"--since {text!r} is no time. Write 30m, 12h or 7d (ago), or 2026-11-27T10:00."
        ) from None
    return at.timestamp()


@asynccontextmanager
async def _stores() -> AsyncIterator[list[Store]]:
    opened: list[Store] = []
    try:
        opened += [await open_store(settings) for settings in kept_here(os.environ)]
        if not opened:
            raise ConfigurationError(NOTHING)
        yield opened
    finally:
        for store in opened:
            await store.aclose()


async def _listed(since: float | None, where: Row, limit: int) -> list[dict[str, Any]]:
    async with _stores() as stores:
        found = [
            row for one in stores for row in await calls_between(one, since, None, where=where, limit=limit)
        ]
    found.sort(key=_newest_first)
    now = time.time()
    return [summary_of(row, now) for row in found[:limit]]


async def _whole(call_id: str) -> dict[str, Any]:
    async with _stores() as stores:
        for store in stores:
            if found := await call_with(store, call_id):
                return record_of(*found, time.time())
    raise ConfigurationError(f"No call {call_id} is kept here. `repartee calls list` has those that are.")


async def _exported(since: float | None, where: Row) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = []
    async with _stores() as stores:
        for store in stores:
            for call in await calls_between(store, since, None, where=where):
                found = await call_with(store, str(call["call_id"]))
                lines += [record_of(*found, time.time())] if found else []
    return sorted(lines, key=lambda line: str(line["started_at"]), reverse=True)


async def _erased(caller: str) -> dict[str, int]:
    gone: dict[str, int] = {}
    erasing = Erasing(RecordingSettings())
    async with _stores() as stores:
        for store in stores:
            for table, count in (await erase_caller(store, caller, erasing)).items():
                gone[table] = gone.get(table, 0) + count
    return gone


def _newest_first(row: Row) -> float:
    started_at = row["started_at"]
    assert isinstance(started_at, float)
    return -started_at


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{path} can't be written: {error.strerror}.") from None
