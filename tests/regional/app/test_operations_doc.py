"""docs/operations.md lists every environment variable, with the default and the meaning that the code gives it."""

import re
from pathlib import Path

from pydantic import SecretStr

from repartee.app.settings import Settings, variable_of
from repartee_edge.settings import SETTING_NAMES

OPERATIONS = Path(__file__).parents[3] / "docs" / "operations.md"


def default_of(field: str) -> str:
    """A setting's default as the table shows it."""
    match Settings.model_fields[field].default:
        case bool(value):
            return "on" if value else "off"
        case float(value):
            return f"{value:g}"
        case SecretStr() | "" | {}:
            return "none"
        case value:
            return str(value)


def rows(title: str) -> list[str]:
    """The rows of the table below this line of the document."""
    text = OPERATIONS.read_text(encoding="utf-8")
    _, found, below = text.partition(f"\n{title}")
    assert found, f"{title} is not in docs/operations.md"
    return re.findall(
        r"^\| `[A-Z0-9_]+` \|.*$", below.partition("\n**")[0].partition("\n## ")[0], re.MULTILINE
    )


def test_a_regions_settings_are_in_the_table_word_for_word() -> None:
    expected = [
        f"| `{variable_of(name)}` | {default_of(name)} | {field.description} |"
        for name, field in Settings.model_fields.items()
    ]
    assert sorted(rows("**A region**")) == sorted(expected)


def test_the_edges_settings_are_in_the_table() -> None:
    named = {row.split("`")[1] for row in rows("**The edge**")}
    assert named == set(SETTING_NAMES)


def test_there_is_one_document_on_operations() -> None:
    assert sorted(path.name for path in OPERATIONS.parent.glob("operations*.md")) == ["operations.md"]
