"""Runs a whole system on this machine until Ctrl-C, and shows what its parts say."""

import asyncio
import re
import signal
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.text import Text

from repartee.agent.author_faults import AUTHOR_LOG, TRACE_MARK
from repartee.app.reload import ANNOUNCEMENT
from repartee.launch.certificate import make_certificate, tls_in_front
from repartee.launch.local_system import LocalSystem, SystemOptions, environment, local_system
from repartee.launch.processes import Parts, running
from repartee.pool.faults import FAULT_WORDS

T = TypeVar("T")

PASSING = re.compile(r"[0-9a-f]{4,}(-[0-9a-f]+)*")
"""What differs from one refusal to the next of the same kind: request ids."""


@asynccontextmanager
async def whole_system(
    options: SystemOptions, console: Console, *, verbose: bool = False
) -> AsyncIterator[tuple[LocalSystem, Parts]]:
    """Run a system while the block lasts. Raises PartFailed and ConfigurationError."""
    with tempfile.TemporaryDirectory(prefix="repartee-") as folder:
        system = local_system(options, environment(), Path(folder))
        show = prefixed(console) if verbose else announcements(console)
        async with running(system.stages, show) as parts, _front(options, Path(folder)) as certificate:
            yield replace(system, certificate=certificate), parts


@asynccontextmanager
async def _front(options: SystemOptions, folder: Path) -> AsyncIterator[Path | None]:
    """TLS in front of the edge, if it is wanted; the file of its certificate."""
    if not options.tls:
        yield None
        return
    files = make_certificate(folder)
    async with tls_in_front(options.host, options.port, options.edge_address[1], files):
        yield files[0]


def announce(system: LocalSystem, console: Console) -> None:
    """Say what is running and where to talk to it."""
    providers = ", ".join(system.real_providers) or "none: stand-ins speak for all of them"
    console.print(f"[bold]Repartee is up[/]: edge, {' and '.join(system.region_names)}.")
    console.print(f"  Talk to it   [bold cyan]{system.url}/[/]")
    console.print(f"  Dashboard    [bold cyan]{system.url}/dashboard[/]")
    console.print(
        f"  Sessions     {system.url.replace('http', 'ws', 1)}/v1/voice/session   (API key {system.api_key})"
    )
    console.print(f"  Providers    {providers}")
    if system.telephone_url:
        console.print(f"  Telephone    [bold cyan]{system.telephone_url}[/]   (its keypad dials +1 555 0199)")
    if system.certificate:
        console.print(
            f"  Certificate  {system.certificate}   (SSL_CERT_FILE=… or NODE_EXTRA_CA_CERTS=… has a client trust it)",
            soft_wrap=True,
        )
    console.print("  Ctrl-C ends it.")


def until_signalled(work: Coroutine[Any, Any, T]) -> T | None:
    """Run ``work``; Ctrl-C, SIGTERM and a closed terminal end it in good order (the result is then None)."""
    return asyncio.run(_until_signalled(work))


async def _until_signalled(work: Coroutine[Any, Any, T]) -> T | None:
    task = asyncio.create_task(work)
    loop = asyncio.get_running_loop()
    asked = False

    def end() -> None:
        nonlocal asked
        asked = True
        task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, end)
    try:
        return await task
    except asyncio.CancelledError:
        if not asked:
            raise
        return None


def announcements(console: Console) -> Callable[[str, str], None]:
    """Prints what the first part that has anything to say to whoever edits the agent says, what the agent's functions
    raise, and which provider cannot be connected to, and nothing else."""
    speaker: list[str] = []
    faults: set[str] = set()
    tracing = ""

    def show(name: str, line: str) -> None:
        nonlocal tracing
        _, found, failure = line.partition(f"{AUTHOR_LOG}: ")
        if found or (name == tracing and line.startswith(TRACE_MARK)):
            tracing = name
            mark = ("✗ ", "bold red") if found else ""
            console.print(Text.assemble(mark, failure or line), soft_wrap=True)
            return
        _, found, fault = line.partition(FAULT_WORDS)
        if found:
            kind = PASSING.sub("", fault)
            if kind not in faults:  # every region meets the same
                faults.add(kind)
                console.print(
                    Text.assemble(("✗ ", "bold red"), f"{FAULT_WORDS.capitalize()}{fault}"), soft_wrap=True
                )
            return
        if not line.startswith(ANNOUNCEMENT):
            return
        if not speaker:
            speaker.append(name)
        if name == speaker[0]:  # every region says the same of the same file
            console.print(Text(line), soft_wrap=True)

    return show


def prefixed(console: Console) -> Callable[[str, str], None]:
    """Prints a part's line after its name."""

    def show(name: str, line: str) -> None:
        console.print(Text.assemble((f"{name:>16} │ ", "dim"), line), soft_wrap=True)

    return show
