"""The `repartee` command: which commands there are. A command's module is imported only when it is the one asked for,
so that help is quick and a part that is not installed breaks nothing else.
"""

import importlib
import importlib.metadata
import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from repartee.errors import VoiceError


@dataclass(frozen=True, slots=True)
class Subcommand:
    """A command: where its function is, and its line in the list of commands."""

    module: str
    function: str
    help: str


COMMANDS: Mapping[str, Subcommand] = {
    "up": Subcommand("repartee.cli.up", "up", "Run the whole system on this machine."),
    "demo": Subcommand(
        "repartee.cli.demo", "demo", "Run the whole system and place a spoken call through it."
    ),
    "call": Subcommand("repartee.cli.call", "call", "Place a call from the terminal."),
    "dial": Subcommand("repartee.cli.dial", "dial", "Have an agent call somebody by telephone."),
    "region": Subcommand("repartee.cli.region", "region", "Run one regional worker."),
    "standins": Subcommand("repartee.cli.standins", "standins", "Run the providers' stand-ins."),
    "edge": Subcommand("repartee.cli.edge", "edge", "Run the router, self-hosted."),
    "route": Subcommand("repartee.cli.route", "route", "Tell which region a caller is sent to, and why."),
    "doctor": Subcommand(
        "repartee.cli.doctor", "doctor", "Check keys, providers and settings; say what to do."
    ),
}
BENCH: Mapping[str, Subcommand] = {
    "latency": Subcommand(
        "repartee.bench.latency", "latency", "Voice-to-voice latency of one worker under calls."
    ),
    "density": Subcommand(
        "repartee.bench.density", "density", "How many calls one core holds within 500 ms."
    ),
    "peers": Subcommand("repartee.bench.peers", "peers", "The same calls through Pipecat."),
    "transport": Subcommand(
        "repartee.bench.transport", "transport", "The same calls over each transport, telephone streams too."
    ),
    "barge-in": Subcommand("repartee.bench.barge_in", "barge_in", "How soon an interrupted agent is silent."),
    "endurance": Subcommand("repartee.bench.endurance", "endurance", "Many calls, one after the other."),
    "regression": Subcommand(
        "repartee.bench.regression", "regression", "10,000 turns on virtual time, against a baseline."
    ),
    "turns": Subcommand(
        "repartee.bench.turns", "turns", "Recorded people through the turn-taking, in noise."
    ),
    "recording": Subcommand("repartee.bench.recording", "recording", "What recording a call costs."),
    "encoding": Subcommand("repartee.bench.encoding", "encoding", "What cheaper encoding saves and costs."),
    "tools": Subcommand("repartee.bench.tools", "tools", "What a tool adds to a turn."),
    "routing": Subcommand(
        "repartee.bench.routing", "routing", "The world's callers against sets of regions."
    ),
}
CALLS: Mapping[str, Subcommand] = {
    "list": Subcommand("repartee.cli.calls", "list_calls", "The latest calls."),
    "show": Subcommand("repartee.cli.calls", "show", "One call, with all that happened in it."),
    "export": Subcommand("repartee.cli.calls", "export", "Whole records, a line of JSON each."),
    "erase": Subcommand("repartee.cli.calls", "erase", "All that is kept of a caller."),
}
BENCH_NEEDS = ("espeakng_loader", "pocketsphinx")
"""The packages of the extra `bench`, as they are imported."""


class CommandUnavailable(VoiceError):
    """A command's own dependencies are missing."""


def main() -> None:
    """The entry point. A fault that is the user's to mend ends in one sentence and exit status 1."""
    words = [word for word in sys.argv[1:] if not word.startswith("-")]
    try:
        application(words)()
    except VoiceError as error:
        console = Console(stderr=True, highlight=False, soft_wrap=True)
        console.print(Text.assemble(("error ", "bold red"), str(error)))
        sys.exit(1)


def _tell_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"repartee {importlib.metadata.version('repartee')}")
        raise typer.Exit


def application(words: Sequence[str]) -> typer.Typer:
    """The commands, of which only the one that ``words`` name has been imported."""
    first, second = [*words, "", ""][:2]
    app = typer.Typer(
        name="repartee",
        help="Voice agents that answer in under half a second.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    app.callback()(_options)
    for name, command in COMMANDS.items():
        _register(app, name, command, wanted=name == first)
    if first == "bench":
        _check_bench()
    groups = (("bench", BENCH, "Measure."), ("calls", CALLS, "Look at the records of calls."))
    for group, commands, told in groups:
        made = typer.Typer(no_args_is_help=True)
        for name, command in commands.items():
            _register(made, name, command, wanted=(first, second) == (group, name))
        app.add_typer(made, name=group, help=told)
    return app


def _options(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_tell_version, help="Tell the version.")
    ] = False,
) -> None:
    """Voice agents that answer in under half a second."""


def _check_bench() -> None:
    missing = [name for name in BENCH_NEEDS if importlib.util.find_spec(name) is None]
    if missing:
        raise CommandUnavailable(
            f"`repartee bench` needs {' and '.join(missing)}: install the extra with `pip install 'repartee[bench]'`."
        )


def _register(app: typer.Typer, name: str, command: Subcommand, *, wanted: bool) -> None:
    if wanted:
        app.command(name)(_imported(name, command))
    else:
        app.command(name, help=command.help)(lambda: None)


def _imported(name: str, command: Subcommand) -> Callable[..., object]:
    try:
        function: Callable[..., object] = getattr(importlib.import_module(command.module), command.function)
    except ImportError as error:
        raise CommandUnavailable(
            f"`repartee {name}` cannot run here: {error}. "
            "Install everything it needs with `pip install 'repartee[regional,standins]'`."
        ) from error
    return function
