"""`repartee region`: one regional worker."""

import os
import socket
from typing import Annotated

import typer
import uvloop

from repartee.app.exporting import check_exporters
from repartee.app.keeping import check_store
from repartee.app.main import create_app
from repartee.app.processes.parent import Descriptors, Processes
from repartee.app.server import make_server
from repartee.app.settings import MOST_WORKERS, Settings, read_settings
from repartee.app.vendors_in_use import check_keys
from repartee.app.worker import WorkerParts
from repartee.errors import ConfigurationError
from repartee.launch.exposure import check_exposure, is_loopback
from repartee.launch.region_process import RegionProcess
from repartee.launch.region_setup import other_agents, served_agent, set_up_logging
from repartee.providers.own import own_stages
from repartee.relay.settings import is_speech_to_speech


def region(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", min=0, max=65535)] = 8000,
    agent: Annotated[
        str, typer.Option(help="The agent to serve, as module:name or file.py:name.", show_default=False)
    ] = "",
    allow_anonymous: Annotated[
        bool, typer.Option("--allow-anonymous", help="Sessions need no ticket (on loopback only).")
    ] = False,
    loopback_only: Annotated[
        bool,
        typer.Option(
            "--loopback-only", help="Serve this machine's own pages only, as --allow-anonymous does."
        ),
    ] = False,
    reload: Annotated[
        bool, typer.Option("--reload", help="Load the agent anew whenever its file changes.")
    ] = False,
    workers: Annotated[
        int | None,
        typer.Option(
            help="How many processes share the port and the calls, one for each core; 0: as many as there are cores "
            "here. REPARTEE_WORKERS, or 1, if not given.",
            min=0,
            max=MOST_WORKERS,
            show_default=False,
        ),
    ] = None,
) -> None:
    """Run one regional worker until a signal stops it (SIGTERM lets its calls end first)."""
    settings = read_settings()
    count = (settings.workers if workers is None else workers) or usable_cores()
    name, served = served_agent(settings, agent)
    check_keys(
        settings,
        language=served.language,
        relayed=is_speech_to_speech(served.model),
        own=own_stages(served),
    )
    _check_access(settings, host, allow_anonymous)
    set_up_logging(settings)
    uvloop.run(check_store(settings))
    check_exporters(settings)
    listener = _listen(host, port)
    address = listener.getsockname()
    started = f"region {settings.region} on http://{address[0]}:{address[1]}"
    if count > 1:
        typer.echo(f"{started} · {count} processes")
        options = (host, address[1], name, allow_anonymous, loopback_only, reload)
        raise typer.Exit(uvloop.run(_several(settings, count, listener, options)))
    typer.echo(started)
    watched = name if reload else ""
    parts = WorkerParts(settings, served, allow_anonymous, loopback_only, watched, name, other_agents(name))
    app = create_app(parts)
    uvloop.run(make_server(app, host=host, port=port).serve(sockets=[listener]))


async def _several(
    settings: Settings, count: int, listener: socket.socket, options: tuple[str, int, str, bool, bool, bool]
) -> int:
    def command(index: int, given: Descriptors) -> list[str]:
        return RegionProcess(index, given, *options).command()

    return await Processes(settings, count, command, listener).run()


def usable_cores() -> int:
    """The processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _check_access(settings: Settings, host: str, allow_anonymous: bool) -> None:
    check_exposure(host)
    if allow_anonymous and not is_loopback(host):
        raise ConfigurationError(
            f"--allow-anonymous works on loopback only, not on {host}: anyone could place calls at your cost. "
            "Set REPARTEE_TICKET_KEY, and connect through the edge."
        )
    if not allow_anonymous and not settings.ticket_key.get_secret_value():
        raise ConfigurationError(
            "REPARTEE_TICKET_KEY is not set, so nobody could connect. Set it to the edge's key "
            "(openssl rand -base64 32 makes one), or add --allow-anonymous on a machine of your own."
        )


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigurationError(
            f"Cannot listen on {host}:{port}: {reason}. Choose another --port."
        ) from None
