"""`repartee region`: one regional worker."""

import ipaddress
import logging
import socket
from typing import Annotated

import typer
import uvloop

from repartee.agent.agent import Agent
from repartee.agent.loader import load
from repartee.app.main import create_app
from repartee.app.server import make_server
from repartee.app.services import check_keys
from repartee.app.settings import Settings, read_settings
from repartee.app.worker import WorkerConfig
from repartee.errors import ConfigurationError
from repartee.session.relay_settings import is_speech_to_speech


def region(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", min=0, max=65535)] = 8000,
    agent: Annotated[
        str, typer.Option(help="The agent to serve, as module:name or file.py:name.", show_default=False)
    ] = "",
    allow_anonymous: Annotated[
        bool, typer.Option("--allow-anonymous", help="Sessions need no ticket (on loopback only).")
    ] = False,
    reload: Annotated[
        bool, typer.Option("--reload", help="Load the agent anew whenever its file changes.")
    ] = False,
) -> None:
    """Run one regional worker until it is told to stop (SIGTERM lets its calls end first)."""
    settings = read_settings()
    name = agent or settings.agent
    served = load(name) if name else Agent(instructions="You are a helpful voice assistant.")
    check_keys(settings, relayed=is_speech_to_speech(served.model))
    _check_access(settings, host, allow_anonymous)
    logging.basicConfig(
        level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    for chatty in ("httpx", "httpx2", "httpcore", "httpcore2", "websockets", "uvicorn.error"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    listener = _listen(host, port)
    app = create_app(WorkerConfig(settings, served, allow_anonymous, name if reload else ""))
    address = listener.getsockname()
    typer.echo(f"region {settings.region} on http://{address[0]}:{address[1]}")
    uvloop.run(make_server(app, host=host, port=port).serve(sockets=[listener]))


def _check_access(settings: Settings, host: str, allow_anonymous: bool) -> None:
    if allow_anonymous and not _is_loopback(host):
        raise ConfigurationError(
            f"--allow-anonymous works on loopback only, not on {host}: anyone could place calls at your cost. "
            "Set REPARTEE_TICKET_KEY, and connect through the edge."
        )
    if not allow_anonymous and not settings.ticket_key.get_secret_value():
        raise ConfigurationError(
            "REPARTEE_TICKET_KEY is not set, so nobody could connect. Set it to the edge's key "
            "(openssl rand -base64 32 makes one), or add --allow-anonymous on a machine of your own."
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigurationError(
            f"Cannot listen on {host}:{port}: {reason}. Choose another --port."
        ) from None
