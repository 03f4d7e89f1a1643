"""When a provider has been closed, no socket of its is left, whatever was under way on it."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

import pytest
from tests.promptness import measured
from websockets.asyncio.server import ServerConnection, serve

from repartee.errors import PoolTimeout, ProviderError
from repartee.pool.settings import PoolSettings
from repartee.providers.cartesia import CartesiaSettings, CartesiaTTS
from repartee.providers.deepgram import FluxSettings, FluxSTT, NovaSettings, NovaSTT
from repartee.providers.elevenlabs import ElevenLabsSettings, ElevenLabsTTS
from repartee.providers.open_connections import OpenConnections
from repartee.providers.openai_chat import ChatLLM, ChatSettings
from repartee.providers.openai_realtime import OpenAIRealtime, RealtimeSettings
from repartee.providers.socket_dial import open_socket
from repartee.providers.sockets import SocketSettings
from repartee.providers.vendor_errors import DIAL_ERRORS
from repartee.standins.server import Running

POOL = PoolSettings(spare=2, acquire_timeout_s=2.0, young_s=0.0)
SLOTTED = replace(POOL, slots=5)


class Provider(Protocol):
    async def start(self) -> None: ...

    async def wait_warm(self, timeout_s: float) -> None: ...

    async def aclose(self) -> None: ...


PROVIDERS: dict[str, Callable[[str], Provider]] = {
    "flux": lambda url: FluxSTT(FluxSettings(url, "key", pool=POOL)),
    "nova": lambda url: NovaSTT(NovaSettings(url, "key", pool=POOL)),
    "cartesia": lambda url: CartesiaTTS(CartesiaSettings(url, "key", "voice", pool=POOL)),
    "elevenlabs": lambda url: ElevenLabsTTS(ElevenLabsSettings(url, "key", "voice", pool=SLOTTED)),
    "realtime": lambda url: OpenAIRealtime(RealtimeSettings(f"{url}/v1", "key", pool=POOL)),
    "chat": lambda url: ChatLLM(ChatSettings(f"{url}/v1", "key", "stand-in", pool=POOL)),
}


@dataclass
class Dialled:
    """The sockets that this process has connected to others."""

    sockets: list[socket.socket]
    first: asyncio.Event

    @property
    def left(self) -> list[socket.socket]:
        return [one for one in self.sockets if one.fileno() != -1]


@pytest.fixture
async def dialled(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Dialled]:
    loop = asyncio.get_running_loop()
    connect = loop.sock_connect
    found = Dialled([], asyncio.Event())

    async def noted(sock: socket.socket, address: Any) -> None:
        found.sockets.append(sock)
        found.first.set()
        await connect(sock, address)

    monkeypatch.setattr(loop, "sock_connect", noted)
    yield found


@pytest.fixture
async def urls(standins: Running) -> AsyncIterator[Callable[[str], str]]:
    """Where a provider is; ElevenLabs, which has no stand-in, only accepts."""

    async def accept(connection: ServerConnection) -> None:
        await connection.wait_closed()

    async with serve(accept, "127.0.0.1", 0) as server:
        [listener] = server.sockets
        eleven = f"http://127.0.0.1:{listener.getsockname()[1]}"
        yield lambda name: eleven if name == "elevenlabs" else standins.base_url


@pytest.mark.parametrize("name", PROVIDERS)
async def test_nothing_is_left_of_a_provider_that_was_warm(
    urls: Callable[[str], str], dialled: Dialled, name: str
) -> None:
    provider = PROVIDERS[name](urls(name))
    await provider.start()
    await provider.wait_warm(10)
    await provider.aclose()
    assert dialled.sockets
    assert dialled.left == []


@pytest.mark.parametrize("name", PROVIDERS)
async def test_nothing_is_left_of_dials_that_are_cut_short_wherever_they_are(
    urls: Callable[[str], str], dialled: Dialled, name: str
) -> None:
    for turns in range(40):
        provider = PROVIDERS[name](urls(name))
        await provider.start()
        for _ in range(turns):
            await asyncio.sleep(0)
        await provider.aclose()
        assert dialled.left == [], f"after {turns} turns of the loop"
    assert dialled.sockets


@pytest.mark.parametrize("warm", [True, False])
async def test_nothing_is_left_of_streams_dialled_apart(
    standins: Running, dialled: Dialled, warm: bool
) -> None:
    ears = FluxSTT(FluxSettings(standins.base_url, "key", pool=POOL))
    dialling = asyncio.create_task(ears.listen(language="de"))
    if warm:
        await dialling
    else:
        await dialled.first.wait()
    await ears.aclose()
    assert dialled.left == []
    if not warm:
        with pytest.raises(ProviderError, match="are being closed"):
            await dialling
    with pytest.raises(PoolTimeout, match="is closing"):
        await ears.listen(language="de")


async def test_a_probe_leaves_nothing_either(standins: Running, dialled: Dialled) -> None:
    brain = ChatLLM(ChatSettings(f"{standins.base_url}/v1", "key", "stand-in", pool=POOL))
    probing = asyncio.create_task(brain.probe())
    await dialled.first.wait()
    probing.cancel()
    await asyncio.gather(probing, return_exceptions=True)
    await brain.aclose()
    assert dialled.left == []


async def test_a_peer_that_says_no_goodbye_is_not_waited_for_beyond_the_time_limit(dialled: Dialled) -> None:
    async def deaf(connection: ServerConnection) -> None:
        connection.transport.pause_reading()
        await connection.wait_closed()

    async with serve(deaf, "127.0.0.1", 0, close_timeout=0.1) as server:
        [listener] = server.sockets
        owner = OpenConnections(close_timeout_s=0.3)
        settings = SocketSettings(close_timeout_s=30.0)
        url = f"ws://127.0.0.1:{listener.getsockname()[1]}"
        await open_socket(url, {}, settings, owner)
        loop = asyncio.get_running_loop()
        watch, started = measured(), loop.time()
        await owner.aclose()
        took_s = loop.time() - started
        assert dialled.left == []
        assert took_s >= 0.29, "a peer has the time to say goodbye"
        watch.promise(took_s < 0.6, f"dropped after {took_s:.2f} s rather than 0.3 s")
        with pytest.raises(DIAL_ERRORS):
            await open_socket(url, {}, settings, owner)
        assert dialled.left == []
