"""pyproject.toml names what the code imports, and nothing else: what comes with another package may go with it."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
OURS = {"repartee", "repartee_edge", "tests", "deployment", "generate_log_lines"}
DRIVERS = ROOT / "tests" / "clients" / "drivers"
"""Of clients that others wrote: they run in an environment of their own."""

ELSEWHERE = {"js", "workers", "pipecat", "loguru"}
"""What the Workers' runtime has, and what the benchmark of other frameworks sets up for itself."""

NEVER_IMPORTED = {
    "audioop-lts",  # the standard library's audioop, where that has none
    "editables",
    "hatchling",
    "pytest-timeout",
    "pytest-xdist",
    "rotel",  # a program
    "ruff",
    "tf",  # asked for by name, where it can be had
    "types-pyyaml",
    "uv",
    "workers-py",
}


def distribution(requirement: str) -> str:
    found = re.match(r"[A-Za-z0-9_.-]+", requirement)
    assert found, requirement
    return re.sub(r"[-_.]+", "-", found[0]).lower()


def declared(*lists: Iterable[str]) -> set[str]:
    return {distribution(requirement) for each in lists for requirement in each}


EXTRAS, GROUPS = PROJECT["project"]["optional-dependencies"], PROJECT["dependency-groups"]
RUN = declared(PROJECT["project"]["dependencies"], *EXTRAS.values())
ALL = (RUN | declared(*GROUPS.values())) - OURS


def imported(*folders: str) -> Iterator[tuple[str, Path]]:
    """The distributions that the files of these folders import, each with the file."""
    known = packages_distributions()
    for folder in folders:
        for path in (ROOT / folder).rglob("*.py"):
            if DRIVERS in path.parents:
                continue
            for name in _modules(path):
                top = name.partition(".")[0]
                if top not in sys.stdlib_module_names | OURS | ELSEWHERE:
                    assert top in known, f"{path} imports {top}, which is not installed"
                    found = {distribution(each) for each in known[top]}
                    # Several have a part of a name such as opentelemetry: those that are declared count.
                    yield from ((each, path) for each in (found & ALL or found))


def _modules(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


def test_what_the_product_imports_is_what_it_declares() -> None:
    assert [
        (name, str(path)) for name, path in imported("regional", "edge", "infra") if name not in RUN
    ] == []


def test_what_tools_and_tests_import_is_declared() -> None:
    assert [(name, str(path)) for name, path in imported("tools", "tests") if name not in ALL] == []


def test_what_is_declared_is_imported() -> None:
    assert (
        ALL - {name for name, _ in imported("regional", "edge", "infra", "tools", "tests")} == NEVER_IMPORTED
    )
