"""A class's name says which it is: no two have the same, in regional, edge and infra."""

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_no_two_classes_have_one_name() -> None:
    """But for those that begin with an underscore: they are seen in their own module only."""
    places: dict[str, list[str]] = defaultdict(list)
    for top in ("regional", "edge", "infra"):
        for path in (ROOT / top).rglob("*.py"):
            if "node_modules" in path.parts or "python_modules" in path.parts:
                continue
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    places[node.name].append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert len(places) > 400, "they were found"
    assert {name: where for name, where in places.items() if len(where) > 1} == {}
