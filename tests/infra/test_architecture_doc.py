"""docs/architecture.md sends a newcomer to files and names that are there."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

QUESTIONS = [
    "when a turn is over?",
    "what is said as a filler?",
    "who gets a pooled socket?",
    "where does a vendor's 429 go?",
    "what closes a call that does not read?",
    "how is the first piece cut?",
    "which region gets a caller?",
    "how is the history cut after a barge-in?",
    "who counts call slots?",
    "where are vendors' exceptions translated?",
    "where is a metric defined?",
    "where is a vendor added?",
    "where is a transport added?",
    "where is an exporter added?",
]


def rows() -> dict[str, tuple[str, str]]:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    section = text.partition("## Where is…\n")[2].partition("\n## ")[0]
    found = re.findall(r"^\| (.+?) \| `([^`]+)` \| (.+) \|$", section, re.M)
    return {question: (path, what) for question, path, what in found}


def names_in(path: Path) -> set[str]:
    """A module's classes, functions and constants, and its classes' methods as ``Class.method``."""
    names: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            inner = [each for each in node.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)]
            names |= {f"{node.name}.{each.name}" for each in inner}
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {each.id for each in targets if isinstance(each, ast.Name)}
    return names


def test_each_question_has_its_row() -> None:
    assert list(rows()) == QUESTIONS


@pytest.mark.parametrize("question", QUESTIONS)
def test_the_file_and_the_name_are_there(question: str) -> None:
    path, what = rows()[question]
    [first, *_] = re.findall(r"`([^`]+)`", what)
    assert (ROOT / path).is_file(), path
    assert first in names_in(ROOT / path), f"{path} has no {first}"
    for other in re.findall(r"`(\w+)`", what):
        folder = (ROOT / path).parent
        assert any(other in names_in(file) for file in folder.glob("*.py")), f"{folder} has no {other}"


def test_every_module_that_is_named_is_there() -> None:
    """A name with a folder, as `turn/machine`, is a module or a folder."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    homes = [ROOT / "regional" / "repartee", ROOT / "edge" / "repartee_edge", ROOT / "edge", ROOT]
    named = set(re.findall(r"`([a-z_]+/[a-z_/]+)`", text))
    missing = {
        name
        for name in named
        if not any((home / f"{name}.py").is_file() or (home / name).is_dir() for home in homes)
    }
    assert missing == set()
