"""`repartee up`: a whole system on this machine, until Ctrl-C."""

import os
from typing import Annotated

import typer
from rich.console import Console

from repartee.launch.kept_calls import fresh_store
from repartee.launch.local_system import SystemOptions
from repartee.launch.whole_system import announce, until_signalled, whole_system


def up(
    port: Annotated[int, typer.Option(help="The edge's port; the regions take the ones after it.")] = 8787,
    regions: Annotated[int, typer.Option(help="How many regional workers to run.")] = 2,
    agent: Annotated[
        str | None, typer.Option(help="The agent, as module:name.", metavar="MODULE:NAME")
    ] = None,
    profile: Annotated[str | None, typer.Option(help="The stand-ins' latency profile.")] = None,
    host: Annotated[
        str, typer.Option(help="The edge's address: 0.0.0.0 for other machines too, with a key of your own.")
    ] = "127.0.0.1",
    tls: Annotated[
        bool, typer.Option("--tls", help="Over https and wss, with a certificate made for the occasion.")
    ] = False,
    telephone: Annotated[
        bool, typer.Option("--telephone", help="With telephone carriers, and a telephone to call from.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show what every part prints.")] = False,
) -> None:
    """Run the whole system on this machine: providers' stand-ins, regions and the edge.

    On loopback only, unless --host says otherwise. A provider whose API key is set is used itself, instead of its
    stand-in. An agent's file is loaded anew whenever it changes. `repartee calls` shows what was said, until the next
    start.
    """
    store_file = fresh_store(port, os.environ)
    options = SystemOptions(port, regions, agent, profile, host, tls, telephone, store_file)
    until_signalled(_up(options, Console(highlight=False), verbose))


async def _up(options: SystemOptions, console: Console, verbose: bool) -> None:
    async with whole_system(options, console, verbose=verbose) as (system, parts):
        announce(system, console)
        raise await parts.first_to_fall()
