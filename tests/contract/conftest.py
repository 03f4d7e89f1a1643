"""One worker for all contract tests: the light stand-ins' ears and voice, and the model that calls tools."""

from collections.abc import AsyncIterator

import pytest_asyncio
from openai import AsyncOpenAI
from tests.regional.app.running import Region, region, stand_ins


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def worker() -> AsyncIterator[Region]:
    """A worker in this process, on a real socket."""
    with stand_ins() as providers, stand_ins(light=False) as model:
        async with region({**providers, "OPENAI_BASE_URL": model["OPENAI_BASE_URL"]}) as running:
            yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def openai(worker: Region) -> AsyncIterator[AsyncOpenAI]:
    """OpenAI's own client, pointed at the worker."""
    async with AsyncOpenAI(api_key="dev", websocket_base_url=f"ws://127.0.0.1:{worker.port}/v1") as client:
        yield client
