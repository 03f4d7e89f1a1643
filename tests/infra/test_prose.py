"""Phrases that no native speaker would write stay out of the documentation, docstrings, messages and comments."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

PHRASES = re.compile(r"\b(is|are) told\b|\bbe had\b|\bof ours\b|\bdoings\b", re.I)

CLEAN = ("README.md", "CONTRIBUTING.md", "edge", "infra", "tools", "docs")
CLEAN_IN_REGIONAL = ("app", "cli", "doctor", "launch")
"""What has been read. The other folders of the worker follow."""

STILL_THERE = {"docs/decisions/7-speech-to-speech.md", "docs/decisions/6-no-resampling.md"}


def read() -> list[str]:
    folders = [*CLEAN, *(f"regional/repartee/{name}" for name in CLEAN_IN_REGIONAL)]
    command = ["git", "ls-files", "-z", *folders]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    kept = (".py", ".md", ".js", ".tf")
    return [name for name in listed.split("\0") if name.endswith(kept) and (ROOT / name).is_file()]


@pytest.mark.parametrize("name", sorted(set(read()) - STILL_THERE))
def test_these_phrases_stay_out(name: str) -> None:
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if PHRASES.search(line)] == []
