"""Vendor the Worker's packages into ``python_modules/``: ``python3 tools/vendor_edge.py``.

`wrangler.toml` names this as the build command, so that no ``wrangler deploy`` (nor a dry run) uploads a Worker
without them: it vendors, or fails and says what to do. The versions are those that ``requirements/dev.txt`` pins;
they are copied from this environment or from ``.venv`` where these have them, which needs no network; else pip
fetches them, checked against the pinned hashes. What is there already in the right version stays. Only pure Python
packages can be vendored so.

Exit status 1 if a package could not be vendored; ``python_modules/`` is then as it was.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

MINIMUM = (3, 11)
if sys.version_info < MINIMUM:
    sys.exit(f"tools/vendor_edge.py needs Python 3.11 or newer, and python3 is {sys.version.split()[0]}.")

import tomllib  # noqa: E402 - an older Python does not have it

ROOT = Path(__file__).resolve().parent.parent
PINS = ROOT / "requirements" / "dev.txt"
VENV_PYTHON = ROOT / ".venv" / "bin" / "python"
# The Worker's entry imports this one; pyproject.toml does not list it, because pywrangler adds it by itself.
MANAGED = "workers-runtime-sdk"
# What each package is imported by: the sign that it is there.
IMPORTED_AS = {"pyjwt": "jwt", MANAGED: "workers"}
SKIPPED_SUFFIXES = {".pyc", ".pyi", ".pth", ".typed"}
PIP_TIMEOUT_S = 120


def main() -> int:
    parser = argparse.ArgumentParser(description="Vendor the Worker's packages into python_modules/.")
    parser.add_argument("--into", type=Path, default=ROOT, help="folder that holds wrangler.toml")
    into: Path = parser.parse_args().into
    try:
        pins = {name: _pin(name) for name in _names()}
        versions = {name: re.findall(r"==(\S+)", pin)[0] for name, pin in pins.items()}
        if _vendored(into, versions):
            return 0
        if not _installed_here(versions) and _hand_over():
            os.execv(VENV_PYTHON, [str(VENV_PYTHON), *sys.argv])
        _vendor(into, pins, versions)
    except VendoringError as error:
        print(f"The Worker's packages could not be vendored. {error}", file=sys.stderr)
        return 1
    return 0


class VendoringError(Exception):
    """A package can't be vendored; the message says why and what to do."""


def _names() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [*(re.split(r"[<>=~ ;\[]", each)[0].lower() for each in project["dependencies"]), MANAGED]


def _pin(name: str) -> str:
    """The entry of a package in the pinned requirements, hashes included."""
    found = re.search(rf"^{re.escape(name)}==\S+.*?(?=^\S|\Z)", PINS.read_text(), re.MULTILINE | re.DOTALL)
    if found is None:
        raise VendoringError(f"{PINS.relative_to(ROOT)} does not pin {name}: run make requirements.")
    lines = (line.split("#")[0].rstrip() for line in found[0].splitlines())
    return "\n".join(line for line in lines if line.strip())


def _vendored(into: Path, versions: dict[str, str]) -> bool:
    """Whether python_modules/ holds these versions, from here or from ``pywrangler sync``."""
    target, record = into / "python_modules", _record(into)
    if not all((target / IMPORTED_AS.get(name, name)).is_dir() for name in versions):
        return False
    if record.is_file() and json.loads(record.read_text()) == versions:
        return True
    folders = (f"{name.replace('-', '_')}-{version}.dist-info" for name, version in versions.items())
    return all((target / folder).is_dir() for folder in folders)


def _record(into: Path) -> Path:
    return into / ".venv-workers" / "vendored.json"


def _installed_here(versions: dict[str, str]) -> bool:
    try:
        return all(distribution(name).version == version for name, version in versions.items())
    except PackageNotFoundError:
        return False


def _hand_over() -> bool:
    """Whether .venv's Python should do it instead of this one."""
    return VENV_PYTHON.exists() and Path(sys.prefix).resolve() != (ROOT / ".venv").resolve()


def _vendor(into: Path, pins: dict[str, str], versions: dict[str, str]) -> None:
    target = into / "python_modules"
    with tempfile.TemporaryDirectory(dir=into, prefix=".vendoring-") as folder:
        fresh = Path(folder) / "python_modules"
        fresh.mkdir()
        if _installed_here(versions):
            for name in versions:
                found = distribution(name)
                copied = sum(_copy(found, str(path), fresh) for path in found.files or ())
                print(f"{name} {versions[name]}: {copied} files")
        else:
            _fetch(fresh, pins, Path(folder) / "requirements.txt")
        shutil.rmtree(target, ignore_errors=True)
        fresh.rename(target)
    _record(into).parent.mkdir(exist_ok=True)
    _record(into).write_text(json.dumps(versions))
    _tell_pywrangler(into)


def _copy(found: Distribution, path: str, folder: Path) -> bool:
    source = Path(str(found.locate_file(path)))
    outside = path.startswith("..") or ".dist-info" in path or "__pycache__" in path
    if outside or source.suffix in SKIPPED_SUFFIXES:
        return False
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    return True


def _fetch(target: Path, pins: dict[str, str], requirements: Path) -> None:
    requirements.write_text("\n".join(pins.values()) + "\n")
    print("Fetching the Worker's packages ...", flush=True)
    options = ["--quiet", "--no-deps", "--no-compile", "--only-binary", ":all:", "--require-hashes"]
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        *options,
        "--target",
        str(target),
        "-r",
        str(requirements),
    ]
    advice = "Run make check first: it sets up .venv, and they are copied from there."
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=PIP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise VendoringError(f"pip did not end within {PIP_TIMEOUT_S} s. {advice}") from None
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["nothing"]
        raise VendoringError(f"pip ended with {done.returncode} and said: {said[-1]}\n{advice}")
    for extra in [*target.rglob("__pycache__"), *target.glob("*.dist-info"), target / "bin"]:
        shutil.rmtree(extra, ignore_errors=True)
    for file in target.rglob("*"):
        if file.suffix in SKIPPED_SUFFIXES:
            file.unlink()


def _tell_pywrangler(into: Path) -> None:
    """Where pywrangler is installed, have it find nothing left to sync."""
    try:
        version = distribution("workers-py").version
    except PackageNotFoundError:
        return
    for folder in (into / "python_modules", into / ".venv-workers"):
        (folder / ".synced").write_text(version)


if __name__ == "__main__":
    sys.exit(main())
