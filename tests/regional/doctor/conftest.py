"""Stand-ins for the doctor to examine, and a port for its region."""

import socket
from collections.abc import Iterator

import pytest
from tests.regional.app.running import stand_ins


@pytest.fixture(scope="module")
def providers() -> Iterator[dict[str, str]]:
    with stand_ins() as variables:
        yield variables


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
