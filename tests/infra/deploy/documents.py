"""The commands that a document tells its reader to type, in order, and as a reader types them."""

import re
from collections.abc import Iterator
from pathlib import Path

PLACEHOLDER = re.compile(r"^export (?:[A-Z_]+=\.\.\. ?)+$")


def section(document: Path, heading: str) -> str:
    """The text under a heading of the second level, up to the next."""
    _, found, rest = document.read_text().partition(f"\n## {heading}\n")
    assert found, f"{document} has no section {heading}"
    return rest.split("\n## ")[0]


def commands(text: str, domain: str) -> Iterator[str]:
    """The lines of its code blocks that are commands, with the domain put in."""
    blocks = re.findall(r"^```\n((?:(?!```).*\n)+)```|((?:^    .*\n)+)", text, re.MULTILINE)
    for fenced, indented in blocks:
        for line in (fenced or indented).splitlines():
            command = re.sub(r"\s{2,}#.*$", "", line.strip())
            if not command.startswith(("FROM", "COPY", "ENV")):
                yield re.sub(r"<(your )?domain>", domain, command)


def script(text: str, domain: str, have: set[str]) -> str:
    """All of them as one script that ends at the first that fails. What is to be filled in must be in ``have``."""
    lines = ["set -euo pipefail"]
    for command in commands(text, domain):
        if PLACEHOLDER.match(command):
            missing = set(re.findall(r"([A-Z_]+)=", command)) - have
            assert not missing, f"the reader is not told where {missing} come from"
        else:
            assert "..." not in command, f"not to be typed as it is: {command}"
            lines.append(command)
    return "\n".join(lines)
