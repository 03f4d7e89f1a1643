"""Where the deployment's files are, and the programs that may be here to check them."""

import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
INFRA = ROOT / "infra"


def program(name: str, where: str) -> str:
    """The path of `name`, or a skip that says what did not run for want of it."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed ({where}): its checks did not run")
    return found
