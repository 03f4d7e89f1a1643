"""Write the table in docs/log.md: every line that a worker or an edge may log, in its two halves.

A line says what happened and, after a semicolon, what is being done about it. Run after one was added or changed::

    python tools/generate_log_lines.py          # write
    python tools/generate_log_lines.py --check  # exit 1 if the table is out of step with the code
"""

import argparse
import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("edge", "regional")
TABLE = ROOT / "docs" / "log.md"

LEVELS = {
    "info": "info",
    "warning": "warning",
    "error": "error",
    "critical": "critical",
    "exception": "error",
    "log": "any",
}
"""A logger's methods, and the level of what they log. Lines for whoever debugs the program are left out."""

HALVES = "; "
"""Between what happened and what is being done about it."""

_FILLED_IN = re.compile(r"%[-+ #0]*\d*(\.\d+)?[a-zA-Z]")
_PLACE = re.compile(r"(<!-- log lines -->\n)(.*?)(<!-- /log lines -->)", re.DOTALL)


@dataclass(frozen=True, slots=True, order=True)
class LogLine:
    """One call of a logger. ``text`` is None where it is no literal, so that nobody can look it up."""

    module: str
    number: int
    level: str
    text: str | None

    @property
    def halves(self) -> tuple[str, str]:
        """What happened, what is being done about it; the second is empty where it is not said."""
        happened, _, done = (self.text or "").partition(HALVES)
        return happened, done

    @property
    def is_whole(self) -> bool:
        """Both halves say something in words of their own."""
        return all(re.search(r"[a-z]{2}", _FILLED_IN.sub("", half)) for half in self.halves)


def lines_in(source: str, module: str) -> Iterator[LogLine]:
    """The lines that a module may log, in its order."""
    tree = ast.parse(source)
    loggers = {"logging"} | {name for node in ast.walk(tree) for name in _names_of_loggers(node)}
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=method), args=[first, *_]):
                if name in loggers and method in LEVELS:
                    text = first.value if isinstance(first, ast.Constant) else None
                    yield LogLine(
                        module, node.lineno, LEVELS[method], text if isinstance(text, str) else None
                    )


def _names_of_loggers(node: ast.AST) -> list[str]:
    match node:
        case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call(func=ast.Attribute(attr="getLogger"))):
            return [name]
    return []


def all_lines() -> list[LogLine]:
    """Those of the worker, the stand-ins and the edge."""
    found: list[LogLine] = []
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            if not {"python_modules", "node_modules"} & {*path.parts}:
                source = path.read_text(encoding="utf-8")
                found += lines_in(source, path.relative_to(ROOT / folder).with_suffix("").as_posix())
    return sorted(found)


def table() -> str:
    """As Markdown, a row a line."""
    rows = ["| what happened | what is being done about it | level | module |", "|---|---|---|---|"]
    for line in all_lines():
        happened, done = (_FILLED_IN.sub("…", half).replace("|", "\\|") for half in line.halves)
        rows.append(f"| {happened} | {done} | {line.level} | `{line.module}` |")
    return "\n".join(rows) + "\n"


def written() -> str:
    """The page as it should be."""
    text = TABLE.read_text(encoding="utf-8")
    if not _PLACE.search(text):
        raise LookupError(f"{TABLE.name} has no place for the table")
    return _PLACE.sub(lambda found: found[1] + table() + found[3], text)


def main() -> None:
    """Write, or check."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--check", action="store_true", help="change nothing, exit 1 if anything would change"
    )
    checks = parser.parse_args().check
    if written() == TABLE.read_text(encoding="utf-8"):
        return
    if checks:
        sys.exit(f"docs/log.md is out of step with the code: run {sys.argv[0]}")
    TABLE.write_text(written(), encoding="utf-8")


if __name__ == "__main__":
    main()
