"""Redirects: refused in words that say where to, and never asked for again of the host that sends them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import pytest
from tests.promptness import DEADLINE_S
from tests.regional.tcp_server import tcp

from repartee.errors import PoolTimeout, ProviderError
from repartee.pool.faults import PoolFault
from repartee.pool.settings import PoolSettings
from repartee.providers import redirects
from repartee.providers.cartesia import CartesiaSettings, CartesiaTTS
from repartee.providers.deepgram import FluxSettings, FluxSTT, NovaSettings, NovaSTT
from repartee.providers.elevenlabs import ElevenLabsSettings, ElevenLabsTTS
from repartee.providers.interfaces import ReplyRequest
from repartee.providers.openai_chat import ChatLLM, ChatSettings
from repartee.providers.openai_realtime import OpenAIRealtime, RealtimeSettings
from repartee.providers.redirects import shown

POOL = PoolSettings(spare=1, backoff_first_s=0.01, backoff_max_s=0.02, acquire_timeout_s=0.3)
REFUSED = (ProviderError, PoolTimeout)
STATUSES = [301, 302, 303, 307, 308]

SOCKETS: dict[str, Callable[[str], Any]] = {
    "flux": lambda url: FluxSTT(FluxSettings(url, "k", pool=POOL)),
    "nova": lambda url: NovaSTT(NovaSettings(url, "k", pool=POOL)),
    "cartesia": lambda url: CartesiaTTS(CartesiaSettings(url, "k", "v", pool=POOL)),
    "elevenlabs": lambda url: ElevenLabsTTS(ElevenLabsSettings(url, "k", "v", pool=POOL)),
    "realtime": lambda url: OpenAIRealtime(RealtimeSettings(f"{url}/v1", "k", pool=POOL)),
}


@dataclass
class Redirecting:
    """A server that answers with a redirect. ``only`` are the methods that it redirects; others are answered."""

    status: int
    location: str
    only: tuple[str, ...] = ("GET", "POST")
    url: str = ""
    asked: list[str] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while head := (await reader.readuntil(b"\r\n\r\n")).decode().lower():
                lengths = [line[15:] for line in head.splitlines() if line.startswith("content-length:")]
                await reader.readexactly(int(lengths[0]) if lengths else 0)
                method, path, _ = head.split(maxsplit=2)
                self.asked.append(f"{method.upper()} {path}")
                if method.upper() in self.only:
                    phrase = HTTPStatus(self.status).phrase
                    answer = f"HTTP/1.1 {self.status} {phrase}\r\nLocation: {self.location}\r\n"
                else:
                    answer = "HTTP/1.1 200 OK\r\n"
                writer.write(f"{answer}Content-Length: 2\r\n\r\n{{}}".encode())


@asynccontextmanager
async def redirecting(
    status: int, location: str, only: tuple[str, ...] = ("GET", "POST")
) -> AsyncIterator[Redirecting]:
    far = Redirecting(status, location, only)
    async with tcp(far.serve) as url:
        far.url = url
        yield far


def brain_at(url: str) -> ChatLLM:
    return ChatLLM(ChatSettings(f"{url}/v1", "k", "m", pool=POOL))


async def reply(brain: ChatLLM) -> None:
    async for _ in brain.reply(ReplyRequest(messages=({"role": "user", "content": "Hi"},))):
        pass


async def until_fault(provider: Any) -> PoolFault:
    """What the pool of a provider that has just been started meets."""
    await provider.start()
    async with asyncio.timeout(DEADLINE_S):
        while (fault := provider.pools()[0].fault) is None:  # noqa: ASYNC110 - the pool's state
            await asyncio.sleep(0.005)
    assert isinstance(fault, PoolFault)
    return fault


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("name", list(SOCKETS))
async def test_an_upgrade_that_is_redirected(name: str, status: int) -> None:
    location = f"{'wss' if status % 2 else 'https'}://other.example/listen?key=k"
    async with redirecting(status, location) as far:
        provider = SOCKETS[name](far.url)
        fault = await until_fault(provider)
        with pytest.raises(REFUSED, match=f"status {status}"):
            await provider.acquire()
        await asyncio.sleep(0.1)  # five of the pool's backoffs
        await provider.aclose()
    scheme = location.partition(":")[0]
    assert f"to {scheme}://other.example/listen (status {status})" in fault.why
    assert "key=k" not in fault.why
    assert fault.status == status
    assert len(far.asked) == 1, "the old host is not asked again"


@pytest.mark.parametrize("status", STATUSES)
async def test_a_warm_up_that_is_redirected_to_another_host(status: int) -> None:
    async with redirecting(status, "https://other.example/v1/models") as far:
        brain = brain_at(far.url)
        fault = await until_fault(brain)
        with pytest.raises(REFUSED, match=r"to https://other\.example/v1/models"):
            await reply(brain)
        await asyncio.sleep(0.1)
        await brain.aclose()
    assert far.asked == ["GET /v1/models"]
    assert "Set OPENAI_BASE_URL to where it redirects" in fault.do


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("location", ["https://other.example/v1/chat/completions", "/v2/chat/completions"])
async def test_a_request_that_is_redirected_while_the_list_of_models_is_not(
    status: int, location: str
) -> None:
    async with redirecting(status, location, only=("POST",)) as far:
        brain = brain_at(far.url)
        await brain.start()
        await brain.wait_warm(DEADLINE_S)
        for _ in range(2):
            with pytest.raises(ProviderError, match="redirects are not followed") as raised:
                await reply(brain)
            assert not raised.value.retryable
        await brain.aclose()
    posts = [asked for asked in far.asked if asked.startswith("POST")]
    assert posts[0] == "POST /v1/chat/completions"
    assert "POST /v2/chat/completions" not in posts


async def test_a_list_of_models_that_is_elsewhere_on_the_same_host_does_no_harm() -> None:
    """The request that a call makes decides, as it does for a list that a key may not see."""
    async with redirecting(302, "/login", only=("GET",)) as far:
        brain = brain_at(far.url)
        await brain.start()
        await brain.wait_warm(DEADLINE_S)
        assert "POST /v1/chat/completions" in far.asked
        assert brain.pools()[0].fault is None
        await brain.aclose()


async def test_a_redirect_that_may_pass_is_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redirects, "BELIEVED_S", 0.05)
    async with redirecting(302, "https://other.example/") as far:
        ears = FluxSTT(FluxSettings(far.url, "k", pool=POOL))
        await ears.start()
        async with asyncio.timeout(DEADLINE_S):
            while len(far.asked) < 3:  # noqa: ASYNC110 - the far end's
                await asyncio.sleep(0.005)
        await ears.aclose()


@pytest.mark.parametrize(
    ("location", "said"),
    [
        ("https://me:secret@other.example/a?b=c#d", "https://other.example/a"),
        ("/there", "https://api.example.com/there"),
        (None, "https://api.example.com/v1"),
    ],
)
def test_what_may_be_secret_in_an_address_is_left_out(location: str | None, said: str) -> None:
    assert shown(location, "https://api.example.com/v1") == said
