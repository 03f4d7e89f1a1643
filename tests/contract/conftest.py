"""One worker for all contract tests: the light stand-ins' ears and voice, and the model that calls tools."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from openai import AsyncOpenAI
from tests.regional.app.running import Region, region, stand_ins


@pytest.fixture(scope="session")
def providers() -> Iterator[dict[str, str]]:
    """The variables that point a worker to the stand-ins."""
    with stand_ins() as light, stand_ins(light=False) as model:
        yield {**light, "OPENAI_BASE_URL": model["OPENAI_BASE_URL"]}


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def worker(providers: dict[str, str]) -> AsyncIterator[Region]:
    """A worker in this process, on a real socket."""
    async with region(providers) as running:
        yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def openai(worker: Region) -> AsyncIterator[AsyncOpenAI]:
    """OpenAI's own client, pointed at the worker."""
    async with AsyncOpenAI(api_key="dev", websocket_base_url=f"ws://127.0.0.1:{worker.port}/v1") as client:
        yield client
