"""Whatever keeps a caller's words is among what `repartee calls erase` walks: tables, and files that code writes."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from repartee.launch.erasing import KEEPERS
from repartee.store.schema import Table
from repartee.store.tables import TABLES

PACKAGE = Path(__file__).parents[2] / "regional" / "repartee"

OF_NO_CALLER = {
    "transitions": "names of tools and weights",
    "opt_outs": "the wish not to be called, which stays",
}
"""Tables that an erasure leaves, and what is in them."""

WRITES = {
    "app/call_audio/audio_files.py": "recordings",
    "app/call_audio/encoder.py": "recordings",
    "store/recording_places.py": "recordings",
    "telemetry/turn_log.py": "latencies, without words or callers",
    "cli/calls.py": "what its user asks for",
    "cli/doctor.py": "what its user asks for",
    "cli/route.py": "what its user asks for",
    "launch/certificate.py": "a certificate",
    "launch/local_system.py": "regions of this machine",
}
"""What writes files, and what it writes: a keeper of erasing's, or what holds nothing of callers."""

APART = ("standins", "client", "bench")
"""The other ends of the line, and what measures."""


def written_in(tree: ast.Module) -> Iterator[int]:
    """The lines that write a file."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        modes = [
            one.value for one in node.args if isinstance(one, ast.Constant) and isinstance(one.value, str)
        ]
        opens = name == "open" and any(
            set(mode) <= set("rwaxb+t") and set(mode) & set("wax+") for mode in modes
        )
        if opens or name in (
            "write_text",
            "write_bytes",
            "copyfile",
            "copy",
            "mkstemp",
            "NamedTemporaryFile",
        ):
            if name == "copy" and not (isinstance(node.func, ast.Attribute) and _is_shutil(node.func.value)):
                continue
            yield node.lineno


def _is_shutil(value: ast.expr) -> bool:
    return isinstance(value, ast.Name) and value.id == "shutil"


def test_every_table_is_erased_by_its_caller_or_holds_nothing_of_callers() -> None:
    assert "tables" in KEEPERS
    without = {table.name for table in TABLES if table.subject is None}
    assert without <= OF_NO_CALLER.keys()


def test_every_table_that_code_declares_is_among_those_that_are_walked() -> None:
    declared = {
        node.args[0].value
        for file in PACKAGE.rglob("*.py")
        if Table.__module__ in (code := file.read_text(encoding="utf-8"))
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", "") == Table.__name__
        and node.args
        and isinstance(node.args[0], ast.Constant)
    }
    assert declared == {table.name for table in TABLES}


def test_every_file_that_code_writes_is_erased_or_holds_nothing_of_callers() -> None:
    found = {
        file.relative_to(PACKAGE).as_posix()
        for file in PACKAGE.rglob("*.py")
        if file.relative_to(PACKAGE).parts[0] not in APART
        and any(written_in(ast.parse(file.read_text(encoding="utf-8"))))
    }
    assert found == WRITES.keys()
    assert "recordings" in KEEPERS


@pytest.mark.parametrize(
    "code",
    [
        "open('x', 'w')",
        "path.open('ab')",
        "path.write_text(words)",
        "shutil.copyfile(a, b)",
        "open(p, mode='r')",
    ],
)
def test_what_writes_is_seen(code: str) -> None:
    assert bool(list(written_in(ast.parse(code)))) is ("mode" not in code)
