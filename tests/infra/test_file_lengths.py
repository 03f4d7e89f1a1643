"""A file of code has 400 lines at most, and holds one idea. Data, documents and lock files may be longer."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
MOST_LINES = 400
CODE = (".py", ".js", ".mjs", ".ts", ".tf")

DATA = {"edge/repartee_edge/colos.py"}
"""Tables that are written as code."""


def too_long() -> set[str]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    files = [name for name in listed.stdout.split("\0") if name.endswith(CODE) and (ROOT / name).is_file()]
    return {
        name for name in files if len((ROOT / name).read_text(encoding="utf-8").splitlines()) > MOST_LINES
    }


def test_no_file_of_code_is_over_400_lines() -> None:
    assert too_long() - DATA == set()
