"""Imports only go down the floors of docs/architecture.md, and never in a circle."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from repartee.cli.main import BENCH, COMMANDS

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "regional" / "repartee"

FLOORS = [
    {"cli"},
    {"bench", "doctor"},
    {"launch"},
    {"app"},
    {"session"},
    {"transport"},
    {"telemetry"},
    {"agent"},
    {"providers"},
    {"pool", "store"},
    {"turn", "relay", "rtc", "audio", "wire", "latency", "errors"},
]
"""From the top down."""

APART = {"client", "standins"}
"""The other ends of the line: who calls, and whom the worker calls."""

GENERATORS = {
    f"repartee.bench.{name}"
    for name in ("interruption", "lean_socket", "load", "short_call", "telephone_load")
}
"""What places the benchmarks' calls: the calling side too."""

PURE_TOPS = {"turn", "relay", "rtc", "audio", "wire", "latency", "errors"}

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
    parts = {part_of(name) for name in MODULES} - {"", *APART}
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


@pytest.mark.parametrize("name", sorted(name for name in MODULES if part_of(name) not in {"rtc", "client"}))
def test_only_the_webrtc_transport_drives_the_media_floor(name: str) -> None:
    """Its sockets and timers are the transport's; the calling side has its own. The codec is anybody's."""
    used = {imported for imported in own_imports(name) if part_of(imported) == "rtc"} - {"repartee.rtc.opus"}
    assert not used or name.startswith("repartee.transport.webrtc"), name


DATABASES = {"aiosqlite", "asyncpg", "psycopg", "sqlalchemy", "sqlite3"}


@pytest.mark.parametrize("name", sorted(MODULES))
def test_only_the_store_knows_databases(name: str) -> None:
    used = {imported.split(".")[0] for imported, _ in imports(name)} & DATABASES
    assert not used or part_of(name) == "store", f"{name} must leave {', '.join(used)} to the store"


CALLING = {name for name in MODULES if part_of(name) == "client"} | GENERATORS


@pytest.mark.parametrize("name", sorted(CALLING))
def test_the_calling_side_knows_nothing_of_the_worker(name: str) -> None:
    """It may share the pure floor with it, so that what it measures is measured the same way."""
    allowed = {*APART, *PURE_TOPS}
    known = {part_of(imported) for imported in own_imports(name) - GENERATORS} - {""}
    assert known <= allowed


@pytest.mark.parametrize("name", sorted(MODULES))
def test_nobody_but_the_command_line_imports_the_calling_side(name: str) -> None:
    if part_of(name) in {"client", "cli", "bench"}:
        return
    assert "client" not in {part_of(imported) for imported in own_imports(name)}


@pytest.mark.parametrize("name", sorted(name for name in MODULES if part_of(name) == "standins"))
def test_the_far_end_of_the_wire_shares_no_code_with_what_calls_it(name: str) -> None:
    known = {imported for imported, _ in imports(name) if imported.startswith(("repartee.", "repartee_edge"))}
    assert {part_of(imported) for imported in known} <= {"standins"}


@pytest.mark.parametrize("name", sorted(MODULES))
def test_only_commands_and_callers_know_the_stand_ins(name: str) -> None:
    if part_of(name) in {"standins", "client", "cli", "bench"}:
        return
    assert "standins" not in {part_of(imported) for imported in own_imports(name)}


REPORTS = {"aws", "fleet"}
FOLDERS = {*REPORTS, "call_audio", "carriers", "dashboard", "processes", "page"}
"""Of ``app``; ``dashboard`` and ``page`` have no Python in them."""


def folder_of(name: str) -> str:
    """The folder of ``app`` that a module is in."""
    parts = name.split(".")
    return parts[2] if parts[1:2] == ["app"] and len(parts) > 3 else ""


def test_what_stands_beside_the_calls_has_folders_of_its_own() -> None:
    found = {
        path.name for path in (PACKAGE / "app").iterdir() if path.is_dir() and path.name != "__pycache__"
    }
    assert found == FOLDERS


@pytest.mark.parametrize("name", sorted(name for name in MODULES if folder_of(name) in REPORTS))
def test_reports_know_nothing_of_each_other_or_of_several_processes(name: str) -> None:
    known = {folder_of(imported) for imported in own_imports(name)} & FOLDERS
    assert known <= {folder_of(name)}


def test_the_command_line_is_one_file_a_command() -> None:
    files = {path.stem for path in (PACKAGE / "cli").glob("*.py")} - {"__init__", "main"}
    assert files == {*COMMANDS, "calls"}
    assert {name: command.module for name, command in COMMANDS.items()} == {
        name: f"repartee.cli.{name}" for name in COMMANDS
    }


def test_a_measurement_is_a_file_of_the_benchmarks() -> None:
    assert {name: command.module for name, command in BENCH.items()} == {
        name: f"repartee.bench.{name.replace('-', '_')}" for name in BENCH
    }
    assert all(command.module in MODULES for command in BENCH.values())


def test_the_older_name_of_the_stand_ins_gives_the_same_modules() -> None:
    """In a process of its own, as scripts use it: with `infra` on the path."""
    program = "from standins import sphinx_worker; print(sphinx_worker.__name__)"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "infra")}
    command = [sys.executable, "-W", "error", "-c", program]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert ran.stdout.strip() == "repartee.standins.sphinx_worker", ran.stderr
