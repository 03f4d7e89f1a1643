"""Tests against the real services: with keys, for money, and only if asked for (`make live`)."""

import os
from collections.abc import Iterator

import pytest
from tests.live.purse import Purse

collect_ignore_glob = [] if os.environ.get("LIVE_TESTS") == "1" else ["test_*.py"]

FIGURES: list[str] = []


@pytest.fixture(scope="session")
def purse() -> Purse:
    return Purse.of(os.environ)


@pytest.fixture
def figures() -> Iterator[list[str]]:
    """Lines for the summary: figures, and names of models, and nothing else."""
    yield FIGURES


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if FIGURES:
        terminalreporter.section("figures")
        for line in FIGURES:
            terminalreporter.write_line(line)
