"""A server of the stand-ins for each test, and the official SDKs' clients for it."""

import importlib
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from cartesia import AsyncCartesia
from deepgram import AsyncDeepgramClient
from deepgram.environment import DeepgramClientEnvironment
from openai import AsyncOpenAI
from tests.promptness import DEADLINE_S

from repartee.standins.server import Running, StandInSettings, serve

with warnings.catch_warnings():
    # The SDK loads these late, and they use names that websockets has deprecated.
    warnings.simplefilter("ignore", DeprecationWarning)
    for module in ("deepgram.listen.v1.client", "deepgram.listen.v2.client", "websockets.legacy.client"):
        importlib.import_module(module)


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    """The light mode without delays."""
    async with serve(StandInSettings(profile="instant", light=True)) as server:
        yield server


@pytest.fixture
def deepgram() -> Callable[..., AsyncDeepgramClient]:
    """Makes a Deepgram client for a server."""

    def make(server: Running, key: str = "key") -> AsyncDeepgramClient:
        ws = server.base_url.replace("http", "ws", 1)
        environment = DeepgramClientEnvironment(base=server.base_url, production=ws, agent=ws, agent_rest=ws)
        return AsyncDeepgramClient(api_key=key, environment=environment)

    return make


@pytest.fixture
def openai() -> Callable[..., AbstractAsyncContextManager[AsyncOpenAI]]:
    """Opens an OpenAI client for a server."""

    @asynccontextmanager
    async def make(server: Running, key: str = "key") -> AsyncIterator[AsyncOpenAI]:
        async with AsyncOpenAI(
            api_key=key, base_url=f"{server.base_url}/v1", max_retries=0, timeout=DEADLINE_S
        ) as client:
            yield client

    return make


@pytest.fixture
def cartesia() -> Callable[..., AbstractAsyncContextManager[AsyncCartesia]]:
    """Opens a Cartesia client for a server."""

    @asynccontextmanager
    async def make(server: Running, key: str = "key") -> AsyncIterator[AsyncCartesia]:
        ws = server.base_url.replace("http", "ws", 1)
        async with AsyncCartesia(api_key=key, base_url=server.base_url, websocket_base_url=ws) as client:
            yield client

    return make
