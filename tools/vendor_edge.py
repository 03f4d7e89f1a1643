"""Vendor the Worker's packages without a network: ``python tools/vendor_edge.py``.

``pywrangler sync`` does this where it can download an interpreter for Pyodide. Here the same packages, at the
versions that requirements/dev.txt pins, are copied from this environment into ``python_modules/``, and pywrangler is
told that nothing is left to sync. Only pure Python packages can be vendored so.
"""

import argparse
import shutil
import sys
import tomllib
from importlib.metadata import Distribution, distribution
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# pywrangler adds this one by itself to what pyproject.toml lists.
MANAGED = "workers-runtime-sdk"
SKIPPED_SUFFIXES = {".pyc", ".pyi", ".pth", ".typed"}


def main() -> int:
    parser = argparse.ArgumentParser(description="Vendor the Worker's packages without a network.")
    parser.add_argument("--into", type=Path, default=ROOT, help="folder that holds wrangler.toml")
    into: Path = parser.parse_args().into
    target = into / "python_modules"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = [dependency.split(">")[0].split("=")[0].strip() for dependency in project["dependencies"]]
    shutil.rmtree(target, ignore_errors=True)
    for name in [*names, MANAGED]:
        found = distribution(name)
        copied = sum(_copy(found, str(path), target) for path in found.files or ())
        print(f"{found.metadata['Name']} {found.version}: {copied} files")
    for folder in (target, into / ".venv-workers"):
        folder.mkdir(exist_ok=True)
        (folder / ".synced").write_text(distribution("workers-py").version)
    return 0


def _copy(found: Distribution, path: str, folder: Path) -> bool:
    source = Path(str(found.locate_file(path)))
    outside = path.startswith("..") or ".dist-info" in path or "__pycache__" in path
    if outside or source.suffix in SKIPPED_SUFFIXES:
        return False
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    return True


if __name__ == "__main__":
    sys.exit(main())
