"""Frames to providers are laid out and masked by `websockets`, whose work that is: doing it here saved 1.6 % of a
call's CPU time (docs/decisions/5-own-sockets.md)."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PROVIDERS = ROOT / "regional" / "repartee" / "providers"
FRAMING = {"serialize", "apply_mask", "mask", "masked", "struct"}
"""What code that lays out frames uses."""

TAKES_OFF = {"websockets_insides.py"}
"""Has the library's function that takes the mask off what clients send."""


def used(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.alias(name=name):
                found.add(name)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.arg(arg=name):
                found.add(name)
    return found


@pytest.mark.parametrize("path", sorted(PROVIDERS.rglob("*.py")), ids=lambda path: path.stem)
def test_no_vendors_code_lays_out_or_masks_a_frame(path: Path) -> None:
    allowed = {"apply_mask"} if path.name in TAKES_OFF else set()
    assert used(path) & (FRAMING - allowed) == set()


def test_the_library_lays_out_and_masks_what_is_sent() -> None:
    assert {"send_text", "send_binary", "data_to_send"} <= used(PROVIDERS / "sockets.py")


def test_the_decision_says_what_it_would_save() -> None:
    decision = (ROOT / "docs" / "decisions" / "5-own-sockets.md").read_text(encoding="utf-8")
    said = " ".join(decision.split())
    [saved] = re.findall(r"mask frames to providers ourselves, which saved (\d+\.\d) % of a call's CPU", said)
    assert float(saved) < 2
