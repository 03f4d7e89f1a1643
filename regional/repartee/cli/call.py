"""`repartee call`: place a call from the terminal, with questions that are spoken or played from files."""

import asyncio
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer
from rich.console import Console

from repartee.client.call import CallOptions
from repartee.client.calling import AskedLine, converse
from repartee.client.dialogue import Turn
from repartee.client.report import call_report, require_answers, turn_report, write_report
from repartee.client.speech import Question, recorded, spoken
from repartee.client.telephone import TelephoneWishes
from repartee.client.telephone_ticket import EdgeTickets
from repartee.client.waterfall import summary_view, turn_view
from repartee.launch.exposure import KNOWN_KEY
from repartee.launch.local_system import STANDINS_PORT_OFFSET

DEFAULT_URL = "ws://127.0.0.1:8787/v1/voice/session"
DEFAULT_QUESTION = "What are your opening hours?"


def call(
    url: Annotated[str, typer.Option(help="Where to call.", metavar="WS_URL")] = DEFAULT_URL,
    say: Annotated[list[str] | None, typer.Option(help="A question to speak; may be repeated.")] = None,
    wav: Annotated[
        list[Path] | None,
        typer.Option(help="A recorded question; may be repeated, asked after the spoken ones."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Record the call: you left, the agent right.")] = None,
    json_path: Annotated[
        Path | None, typer.Option("--json", help="Write the turns and their figures.")
    ] = None,
    key: Annotated[str, typer.Option(envvar="REPARTEE_API_KEY", help="The API key.")] = KNOWN_KEY,
    base64_audio: Annotated[bool, typer.Option("--base64", help="Send audio in JSON, not binary.")] = False,
    webrtc: Annotated[bool, typer.Option("--webrtc", help="Call by WebRTC.")] = False,
    tcp: Annotated[bool, typer.Option("--tcp", help="By WebRTC over TCP, as where UDP is blocked.")] = False,
    telephone: Annotated[
        str | None,
        typer.Option(help="Dial this number at `repartee up --telephone --regions 1`.", metavar="NUMBER"),
    ] = None,
    media_via: Annotated[
        str | None,
        typer.Option(help="With --webrtc: send media to this relay.", metavar="HOST:PORT"),
    ] = None,
) -> None:
    """Place a call: ask, listen to each answer to its end, and show where the time went.

    Exit status 1 when a question was left unanswered.
    """
    options = CallOptions(
        url=url,
        api_key=key,
        binary_audio=not base64_audio,
        webrtc=webrtc or tcp or media_via is not None,
        tcp=tcp,
        media_via=None if media_via is None else _relay(media_via),
        telephone=None if telephone is None else _telephone(url, key, telephone),
    )
    questions = _questions(say or [], wav or [], options.rate_hz)
    console = Console(highlight=False)
    numbered = iter(range(1, len(questions) + 1))

    def show(turn: Turn, call_id: str | None) -> None:
        number = next(numbered)
        console.print(turn_view(turn_report(turn, number, call_id), number, plain=not console.is_terminal))

    lines = [AskedLine(question) for question in questions]
    over = asyncio.run(converse(options, lines, on_turn=show, out=out))
    report = {"transport": options.transport, **call_report(over.turns, over.call_id)}
    console.print(summary_view(report))
    write_report(report, json_path)
    require_answers(report)


def _telephone(url: str, key: str, dialled: str) -> TelephoneWishes:
    """On the network that stands beside the edge at ``url``."""
    edge, tickets = urlsplit(url), EdgeTickets(url, key)
    network = f"http://{edge.hostname}:{(edge.port or 80) + STANDINS_PORT_OFFSET}/telephone/"
    return TelephoneWishes(network, [tickets.region()], tickets.ticket, dialled)


def _relay(said: str) -> tuple[str, int]:
    host, _, port = said.rpartition(":")
    if not host or not port.isdigit():
        raise typer.BadParameter("a relay is host:port, as in 127.0.0.1:9000", param_hint="--media-via")
    return host, int(port)


def _questions(say: list[str], wav: list[Path], rate_hz: int) -> list[Question]:
    texts = say if say or wav else [DEFAULT_QUESTION]
    return [spoken(text, rate_hz) for text in texts] + [recorded(path, rate_hz) for path in wav]
