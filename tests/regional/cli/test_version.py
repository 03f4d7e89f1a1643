"""`repartee --version`."""

import tomllib
from pathlib import Path

from typer.testing import CliRunner

from repartee.cli.main import application

ROOT = Path(__file__).parents[3]


def test_it_is_the_packages() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    result = CliRunner().invoke(application([]), ["--version"], catch_exceptions=False)
    assert result.output == f"repartee {declared}\n"
    assert result.exit_code == 0
