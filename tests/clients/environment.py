"""The clients' own environment: what they need is not the project's, and it would not all fit.

``make test-clients`` names its folder in REPARTEE_CLIENTS and has this make what is missing there: a part for
Python's clients and one for Node's. A part that cannot be made is left out, with a line that says why. OpenAI's two
clients are the project's own dependencies, and run without it.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
ASKED_FOR = {"python": HERE / "requirements.txt", "node_modules": HERE / "package.json"}
"""The parts, by their folders, and the file that says what belongs in each."""

INSTALLING_S = 1200
"""How long one part may take."""


def folder() -> Path | None:
    """Where the environment is, or is to be."""
    named = os.environ.get("REPARTEE_CLIENTS")
    return Path(named).absolute() if named else None


def has(part: str) -> bool:
    """Whether this part is complete, and what is asked for now."""
    where = folder()
    marker = where / f"{part}.installed" if where else None
    return marker is not None and marker.is_file() and marker.read_text() == _digest(part)


def make(part: str, where: Path) -> None:
    """Make a part anew. Raises OSError or subprocess.SubprocessError."""
    shutil.rmtree(where / part, ignore_errors=True)
    where.mkdir(parents=True, exist_ok=True)
    if part == "python":
        venv.create(where / part, with_pip=True)
        pip = [str(where / part / "bin" / "python"), "-m", "pip", "install", "--quiet", "-r"]
        _run([*pip, str(ASKED_FOR[part])], where)
    else:
        shutil.copy(ASKED_FOR[part], where)
        _run(["npm", "install", "--no-audit", "--no-fund", "--loglevel=error"], where)
    (where / f"{part}.installed").write_text(_digest(part))


def main() -> None:
    """Make the parts that are missing; a line for each that cannot be made."""
    where = folder()
    if where is None:
        sys.exit("REPARTEE_CLIENTS has to name a folder for the clients: run make test-clients")
    for part, asked_for in ASKED_FOR.items():
        if has(part):
            continue
        print(f"Setting up the clients of {asked_for.name} in {where} (some minutes, once) ...", flush=True)
        try:
            make(part, where)
        except (OSError, subprocess.SubprocessError) as error:
            print(f"The clients of {asked_for.name} are left out: {_reason(error)}", flush=True)


def _digest(part: str) -> str:
    return hashlib.sha256(ASKED_FOR[part].read_bytes()).hexdigest()


def _run(command: Sequence[str], where: Path) -> None:
    subprocess.run(command, check=True, cwd=where, capture_output=True, text=True, timeout=INSTALLING_S)


def _reason(error: OSError | subprocess.SubprocessError) -> str:
    """In one line. What pip and npm say last is not why, what they call an error is."""
    if isinstance(error, FileNotFoundError):
        return f"{error.filename} is missing"
    if isinstance(error, subprocess.CalledProcessError):
        lines = [line.strip() for line in str(error.stderr).splitlines() if line.strip()]
        wrong = [line for line in lines if "error" in line.lower()] or lines
        return wrong[0] if wrong else f"{error.cmd[0]} ended with {error.returncode}"
    return str(error)


if __name__ == "__main__":
    main()
