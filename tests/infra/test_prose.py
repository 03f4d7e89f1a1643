"""Phrases that no native speaker would write stay out of the documentation, docstrings, messages and comments."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

PHRASES = re.compile(r"\b(is|are) told\b(?! apart)|\bbe had\b|\bof ours\b|(?<!`)\bdoings\b", re.I)

CLEAN = (
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "docs",
    "edge",
    "examples",
    "infra",
    "regional",
    "terraform",
    "tools",
)
KINDS = (".py", ".md", ".js", ".mjs", ".tf", ".toml", ".yaml", ".yml", ".html", ".css")

NO_NOUN = re.compile(r"(a|an|one|the)? ?([\w-]+ )?[\w-]+'s?\.(\s|$)", re.I)
"""How a class docstring begins that says whose the thing is, and not what: "One call's."."""


def read() -> list[str]:
    command = ["git", "ls-files", "-z", *CLEAN]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return sorted(name for name in listed.split("\0") if name.endswith(KINDS) and (ROOT / name).is_file())


def test_everything_is_read() -> None:
    names = read()
    folders = {name.split("/")[2] for name in names if name.startswith("regional/repartee/")}
    there = {path.name for path in (ROOT / "regional" / "repartee").iterdir() if any(path.glob("*.py"))}
    assert there <= folders
    assert any(name.startswith("docs/decisions/") for name in names)


@pytest.mark.parametrize("name", read())
def test_these_phrases_stay_out(name: str) -> None:
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if PHRASES.search(line)] == []


@pytest.mark.parametrize("name", [name for name in read() if name.endswith(".py")])
def test_a_class_docstring_says_what_the_class_is(name: str) -> None:
    assert list(without_a_noun((ROOT / name).read_text(encoding="utf-8"))) == []


def without_a_noun(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef) and NO_NOUN.match(ast.get_docstring(node) or ""):
            yield node.name


@pytest.mark.parametrize(
    ("said", "is_found"),
    [
        ("One call's.", True),
        ("One call's. Times are seconds.", True),
        ("A telephone call's.", True),
        ("The settings of one call.", False),
        ("Keeps one call's summary.", False),
    ],
)
def test_a_class_docstring_without_a_noun_is_noticed(said: str, is_found: bool) -> None:
    assert bool(list(without_a_noun(f'class A:\n    """{said}"""\n'))) is is_found
