"""The stand-ins that all tests of the worker share."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from tests.regional.app.running import EcsAgent, stand_ins


@pytest.fixture(scope="session")
def providers() -> Iterator[dict[str, str]]:
    """The variables that point a worker to the stand-ins."""
    with stand_ins() as variables:
        yield variables


@pytest.fixture
async def agent() -> AsyncIterator[EcsAgent]:
    """What ECS gives each container."""
    standin = EcsAgent()
    server = await asyncio.start_server(standin.serve, "127.0.0.1", 0)
    standin.uri = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/api/task-1"
    yield standin
    server.close()
