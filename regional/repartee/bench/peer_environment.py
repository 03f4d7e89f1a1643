"""The environment that Pipecat lives in: made on request, brought up to date, and used only once it is complete.

infra/peers/ says what is in it and what runs in it. Must not know what is measured.
"""

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console

from repartee.bench.rig import Contender
from repartee.errors import VoiceError

PEERS = Path(__file__).parents[3] / "infra" / "peers"
INSTALLED = "installed"
"""A file in an environment that is complete: which Pipecat it has, and the digest of what it was asked to have."""

UNFINISHED = "unfinished"
"""In its place while there is work in progress. What is left behind with it cannot be relied on."""

STEP_S = 1800.0
"""No step of an installation takes longer; pip gives up by itself long before, unless a server trickles."""

SAID_LINES = 6
"""How many of the last lines of a step that failed are shown."""

PIP_INSTALL = (
    "-m",
    "pip",
    "install",
    "--quiet",
    "--no-input",
    "--disable-pip-version-check",
    "--upgrade",
    "-r",
)

CHECK = """
import importlib.metadata, runpy, sys
runpy.run_path(sys.argv[1])
print("Pipecat", importlib.metadata.version("pipecat-ai"))
"""
"""Load the agent without serving it: whatever it imports has to be there."""


class PeerMissing(VoiceError):
    """The peer is not installed, or cannot be."""


def cache_folder(environ: Mapping[str, str]) -> Path:
    """Where the environment is kept unless told otherwise."""
    cache = environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(cache) / "repartee" / "peers" / "pipecat"


def installed(folder: Path, *, stripped: bool = False) -> Contender:
    """Pipecat as a contender; ``stripped`` of what it does by default and a call can do without.

    Raises PeerMissing.
    """
    agent = _agent()
    install = f"Run `repartee bench peers --install --folder {shlex.quote(str(folder))}`."
    python, marker = folder / "bin" / "python", folder / INSTALLED
    if (folder / UNFINISHED).exists():
        raise PeerMissing(f"The installation of Pipecat in {folder} was broken off. {install}")
    if not marker.is_file() or not python.is_file():
        raise PeerMissing(
            f"Pipecat is not installed in {folder}, so there is nothing to compare with. {install}"
        )
    name, _, digest = marker.read_text(encoding="utf-8").partition("\n")
    if digest.strip() != _digest():
        raise PeerMissing(f"What is installed in {folder} is not what {_requirements()} asks for. {install}")
    if stripped:
        name = f"{name}, stripped"
    options = ["--stripped"] if stripped else []
    return Contender(name, lambda port: [str(port), *options], (str(python), str(agent)))


def install_into(folder: Path, console: Console) -> None:
    """Make Pipecat's environment, or bring it up to date, in a folder that is empty or holds one.

    Raises PeerMissing, with what to do.
    """
    agent, python = _agent(), str(folder / "bin" / "python")
    try:
        _begin(folder)
        console.print(f"1/3  Making a Python environment in {folder} …")
        _do(
            [sys.executable, "-m", "venv", str(folder)],
            "Is there room, and does this Python have its venv module (on Debian and Ubuntu: python3-venv)?",
        )
        console.print("2/3  Installing Pipecat there: about 600 MB, which takes some minutes …")
        _do(
            [python, *PIP_INSTALL, str(_requirements())],
            "Can pip reach its package index from here (`pip config list` tells which), and is there 1 GB of room?",
        )
        console.print("3/3  Looking whether its agent can be loaded …")
        name = _do(
            [python, "-c", CHECK, str(agent)],
            f"If Pipecat has changed, {agent} has to follow it; or demand an older one in {_requirements()}.",
        ).splitlines()[-1]
        _finish(folder, name)
    except OSError as error:
        raise PeerMissing(f"Pipecat could not be installed in {folder}: {error.strerror}.") from None
    console.print(f"{name} is installed.")


def _begin(folder: Path) -> None:
    """Mark the folder's environment as unfinished; what a broken-off installation has left there is removed.

    pip takes a package for installed of which a part is missing, so it cannot be completed. Raises PeerMissing if the
    folder holds something else.
    """
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = folder / UNFINISHED
    if (folder / INSTALLED).exists():
        (folder / INSTALLED).replace(unfinished)
    elif unfinished.exists():
        for left in folder.iterdir():
            if left.is_dir() and not left.is_symlink():
                shutil.rmtree(left)
            elif left != unfinished:
                left.unlink()
    elif any(folder.iterdir()):
        raise PeerMissing(
            f"{folder} holds something else: choose an empty --folder for Pipecat, or a new one."
        )
    unfinished.touch()


def _finish(folder: Path, name: str) -> None:
    unfinished = folder / UNFINISHED
    unfinished.write_text(f"{name}\n{_digest()}\n", encoding="utf-8")
    unfinished.replace(folder / INSTALLED)


def _agent() -> Path:
    agent = PEERS / "pipecat_agent.py"
    if not agent.is_file():
        raise PeerMissing("`repartee bench peers` needs infra/peers/ of a source checkout: run it in one.")
    return agent


def _requirements() -> Path:
    return PEERS / "pipecat.txt"


def _digest() -> str:
    return hashlib.sha256(_requirements().read_bytes()).hexdigest()


def _do(command: Sequence[str], advice: str) -> str:
    """Run a step; its output. Raises PeerMissing with its last words and the advice."""
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env=environ, timeout=STEP_S
        )
    except subprocess.TimeoutExpired:
        raise PeerMissing(f"Pipecat could not be installed within {STEP_S / 60:.0f} min. {advice}") from None
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-SAID_LINES:]
        words = "\n".join(f"  {line}" for line in said)
        raise PeerMissing(f"Pipecat could not be installed. {advice} This was said:\n{words}")
    return done.stdout
