"""The stand-ins that all tests of the worker share."""

from collections.abc import Iterator

import pytest
from tests.regional.app.running import stand_ins


@pytest.fixture(scope="session")
def providers() -> Iterator[dict[str, str]]:
    """The variables that point a worker to the stand-ins."""
    with stand_ins() as variables:
        yield variables
