"""Imports only go down the floors of docs/architecture.md, and never in a circle."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "regional" / "repartee"

FLOORS = [
    {"cli"},
    {"app"},
    {"session"},
    {"transport"},
    {"agent"},
    {"providers"},
    {"pool", "store"},
    {"turn", "relay", "audio", "wire", "latency", "errors"},
]
"""From the top down. ``client`` stands apart: it is the other end of the line."""

PURE_TOPS = {"turn", "relay", "audio", "wire", "latency", "errors"}

IMPURE = {
    "asyncio",
    "datetime",
    "httpx",
    "logging",
    "os",
    "pathlib",
    "random",
    "socket",
    "starlette",
    "subprocess",
    "threading",
    "time",
    "websockets",
}
"""What the bottom floor does without: tasks, sockets, clocks, the environment, logs."""


def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = ["repartee", *path.relative_to(PACKAGE).with_suffix("").parts]
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imports(name: str) -> Iterator[tuple[str, bool]]:
    """What a module imports, by its full name, and whether that is only for the type checker."""
    tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, id(node) in typing_only
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} imports relatively"
            assert node.module
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield (inner if inner in MODULES else node.module), id(node) in typing_only


def own_imports(name: str) -> set[str]:
    """The modules of this package that a module needs to run."""
    return {
        imported for imported, typing_only in imports(name) if imported in MODULES and not typing_only
    } - {name}


def part_of(name: str) -> str:
    """The package or module right below ``repartee``."""
    return name.split(".")[1] if "." in name else ""


def floor_of(part: str) -> int | None:
    return next((number for number, parts in enumerate(FLOORS) if part in parts), None)


def test_every_part_has_its_floor() -> None:
    parts = {part_of(name) for name in MODULES} - {"", "client"}
    assert {part for part in parts if floor_of(part) is None} == set()


@pytest.mark.parametrize("name", sorted(MODULES))
def test_imports_only_go_down(name: str) -> None:
    floor = floor_of(part_of(name))
    if floor is None:
        return
    for imported, _ in imports(name):
        below = floor_of(part_of(imported)) if imported.startswith("repartee.") else None
        assert below is None or below >= floor, f"{name} must not know {imported}: that is a floor above"


def test_there_are_no_circles() -> None:
    try:
        TopologicalSorter({name: own_imports(name) for name in MODULES}).prepare()
    except CycleError as error:
        pytest.fail(f"imports go in a circle: {' -> '.join(error.args[1])}")


@pytest.mark.parametrize("name", sorted(name for name in MODULES if part_of(name) in PURE_TOPS))
def test_the_bottom_floor_is_pure(name: str) -> None:
    foreign = {imported.split(".")[0] for imported, _ in imports(name)}
    assert foreign & IMPURE == set()


DATABASES = {"aiosqlite", "asyncpg", "psycopg", "sqlalchemy", "sqlite3"}


@pytest.mark.parametrize("name", sorted(MODULES))
def test_only_the_store_knows_databases(name: str) -> None:
    used = {imported.split(".")[0] for imported, _ in imports(name)} & DATABASES
    assert not used or part_of(name) == "store", f"{name} must leave {', '.join(used)} to the store"


@pytest.mark.parametrize("name", sorted(name for name in MODULES if part_of(name) == "client"))
def test_the_calling_side_knows_nothing_of_the_worker(name: str) -> None:
    """It may share the pure floor with it, so that what it measures is measured the same way."""
    allowed = {"client", *PURE_TOPS}
    known = {part_of(imported) for imported in own_imports(name)} - {""}
    assert known <= allowed


@pytest.mark.parametrize("name", sorted(MODULES))
def test_nobody_but_the_command_line_imports_the_calling_side(name: str) -> None:
    if part_of(name) in {"client", "cli"}:
        return
    assert "client" not in {part_of(imported) for imported in own_imports(name)}
