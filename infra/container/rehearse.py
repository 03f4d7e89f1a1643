"""Run the Dockerfile's own steps without Docker: python infra/container/rehearse.py [-- COMMAND...]

Reads the Dockerfile and carries out its COPY, ENV, RUN and USER steps at the very paths they name, in a mount
namespace of its own where /src and /opt are empty. Then runs COMMAND (`repartee --help` by default) as the image
would: as user 10001 without capabilities, on a read-only file system with an empty /tmp.

It needs Linux, root (for the namespace) and Python of the version that the Dockerfile names. It can't show what
belongs to the base image: steps with apt-get are named and left out.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = ROOT / "infra" / "container" / "Dockerfile"
INSIDE = "REPARTEE_REHEARSAL"
PYTHON = Path("/opt/python")


def instructions(text: str) -> list[tuple[str, str]]:
    """The Dockerfile's instructions, in order: word and the rest, continued lines joined."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    pairs = [line.partition(" ") for line in joined.splitlines()]
    return [(word.upper(), rest.strip()) for word, _, rest in pairs]


def run(*command: str) -> None:
    subprocess.run(command, check=True)


def mount_empty_folders() -> None:
    """Empty /src and /opt, and this interpreter at /opt/python, where any user can reach it."""
    for folder in (Path("/src"), Path("/opt")):
        folder.mkdir(exist_ok=True)
        run("mount", "-t", "tmpfs", "tmpfs", str(folder))
    PYTHON.mkdir()
    run("mount", "--bind", sys.base_prefix, str(PYTHON))


def copy(arguments: list[str], folder: Path) -> None:
    """COPY of files and folders from the repository; COPY --from is where it was already."""
    if arguments[0].startswith("--from="):
        return
    *sources, target_name = arguments
    target = folder / target_name
    for name in sources:
        source = ROOT / name
        into = target / source.name if target_name.endswith("/") else target
        into.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, into, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, into)


def build(steps: list[tuple[str, str]], env: dict[str, str]) -> list[str]:
    """Carry out the steps; returns the command that the image would start with."""
    folder, entry = Path("/"), ["repartee"]
    for word, rest in steps:
        if word == "WORKDIR":
            folder = Path(rest)
        elif word == "ENV":
            for name, value in (item.split("=", 1) for item in shlex.split(rest)):
                env[name] = value.replace("$PATH", env["PATH"])
        elif word == "COPY":
            copy(shlex.split(rest), folder)
        elif word == "RUN" and "apt-get" in rest:
            print(f"left out: RUN {rest}", flush=True)
        elif word == "RUN":
            print(f"RUN {rest}", flush=True)
            subprocess.run(["sh", "-c", rest], check=True, cwd=folder, env=env)
        elif word == "USER":
            env["REHEARSAL_USER"] = rest
    return entry


def start(command: list[str], env: dict[str, str]) -> int:
    """Run ``command`` as the image's user, on a read-only root with an empty /tmp. Returns its exit status."""
    user, group = env.pop("REHEARSAL_USER").split(":")
    run("mount", "-t", "tmpfs", "tmpfs", "/tmp")
    for mounted in ("/src", "/opt", "/"):
        run("mount", "-o", "remount,bind,ro", mounted)
    drop = ["setpriv", "--reuid", user, "--regid", group, "--clear-groups", "--bounding-set", "-all"]
    print(f"as {user}:{group}, root read-only: {shlex.join(command)}", flush=True)
    return subprocess.run(
        [*drop, "--inh-caps", "-all", *command], check=False, cwd="/tmp", env=env
    ).returncode


def main() -> int:
    text = DOCKERFILE.read_text()
    wanted = re.findall(r"python:(\d+\.\d+)-", text)[0]
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    if here != wanted:
        print(
            f"The image has Python {wanted}, this is {here}: run this with python{wanted}.", file=sys.stderr
        )
        return 2
    if os.environ.get(INSIDE) != "1":
        if os.geteuid() != 0:
            print("A mount namespace needs root: run this with sudo.", file=sys.stderr)
            return 2
        inside = {**os.environ, INSIDE: "1"}
        command = ["unshare", "--mount", sys.executable, __file__, *sys.argv[1:]]
        return subprocess.run(command, check=False, env=inside).returncode
    mount_empty_folders()
    env = {"PATH": f"{PYTHON}/bin:/usr/local/bin:/usr/bin:/bin", "LD_LIBRARY_PATH": f"{PYTHON}/lib"}
    env |= {name: os.environ[name] for name in os.environ if name.startswith(("PIP_", "REPARTEE_"))}
    env |= {name: os.environ[name] for name in os.environ if name.endswith(("_API_KEY", "_BASE_URL"))}
    env.pop(INSIDE)
    entry = build(instructions(text), env)
    given = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else [*entry, "--help"]
    return start(given, env)


if __name__ == "__main__":
    sys.exit(main())
