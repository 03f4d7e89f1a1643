"""``repartee standins``: the providers' stand-ins on this machine, for work without keys."""

import asyncio
import contextlib
import gc
import signal
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

console = Console()
problems = Console(stderr=True)


def standins(
    profile: Annotated[
        str,
        typer.Option(
            help="Latency profile: budget, typical, heavy-tail, instant, or the path of a JSON file."
        ),
    ] = "budget",
    light: Annotated[
        bool,
        typer.Option("--light", help="No real speech: levels, a script and a hum. Carries a hundred calls."),
    ] = False,
    script: Annotated[
        Path | None, typer.Option(help="What callers are taken to say in the light mode (JSON).")
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes any free one.")
    ] = 8800,
    workers: Annotated[int, typer.Option(min=1, max=16, help="Processes that recognise speech.")] = 1,
    model: Annotated[
        list[str] | None, typer.Option(help="A language model to serve beside OpenAI's; may be repeated.")
    ] = None,
    telephone: Annotated[
        str | None,
        typer.Option(help="Telephone carriers too, which announce calls to this edge.", metavar="EDGE_URL"),
    ] = None,
) -> None:
    """Run the providers' stand-ins: Deepgram, OpenAI and Cartesia as their SDKs expect them, on one port."""
    from repartee.standins.profiles import ProfileError
    from repartee.standins.script import ScriptError
    from repartee.standins.server import PortTaken, StandInSettings
    from repartee.standins.sphinx import RecognitionUnavailable
    from repartee.standins.synthesiser import SynthesisUnavailable

    settings = StandInSettings(
        profile=profile,
        light=light,
        script=script,
        host=host,
        port=port,
        workers=workers,
        models=tuple(model or ()),
        telephone=telephone,
    )
    try:
        _run(settings)
    except (ProfileError, ScriptError, PortTaken, RecognitionUnavailable, SynthesisUnavailable) as error:
        problems.print(str(error), style="red", markup=False, highlight=False)
        raise typer.Exit(1) from None


def _run(settings: object) -> None:
    with contextlib.suppress(KeyboardInterrupt):
        try:
            import uvloop
        except ImportError:
            asyncio.run(_serve(settings))
        else:
            uvloop.run(_serve(settings))


async def _serve(settings: object) -> None:
    from repartee.standins.profiles import floor_ms
    from repartee.standins.server import StandInSettings, serve

    assert isinstance(settings, StandInSettings)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, stop.set)
    async with serve(settings) as running:
        state = running.state
        mode = "light: words from a script" if settings.light else "real speech"
        console.print(
            f"# Stand-ins for Deepgram, OpenAI and Cartesia ({mode}) on {running.base_url}", highlight=False
        )
        console.print(
            f"# Profile {state.profile.name}: a turn cannot be answered in less than "
            f"{floor_ms(state.profile, 6):.0f} ms.",
            highlight=False,
        )
        for name, value in running.environment().items():
            console.print(f"export {name}={value}", highlight=False, markup=False)
        console.print("# Ctrl-C ends them.", highlight=False)
        # What is loaded by now stays: a full collection over it would hold up every call for tens of milliseconds.
        gc.collect()
        gc.freeze()
        await stop.wait()
