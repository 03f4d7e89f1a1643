"""One rule says which of the vendors' failures are worth another try, and how long they ask to be left alone."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from email.utils import formatdate
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.promptness import DEADLINE_S
from tests.regional.tcp_server import tcp
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from repartee.errors import ProviderError
from repartee.providers.cartesia import CartesiaSettings, CartesiaTTS
from repartee.providers.deepgram import FluxSettings, FluxSTT, NovaSettings, NovaSTT
from repartee.providers.elevenlabs import ElevenLabsSettings, ElevenLabsTTS
from repartee.providers.interfaces import ReplyRequest
from repartee.providers.openai_chat import ChatLLM, ChatSettings
from repartee.providers.openai_realtime import OpenAIRealtime, RealtimeSettings
from repartee.providers.vendor_errors import is_retryable, retry_after_s

PROVIDERS = Path(__file__).parents[3] / "regional" / "repartee"


@pytest.mark.parametrize(
    "status", [None, 408, 409, 425, 429, 500, 502, 503, 529, 1000, 1001, 1006, 1011, 1013]
)
def test_what_passes_by_itself(status: int | None) -> None:
    assert is_retryable(status)


@pytest.mark.parametrize("status", [301, 400, 401, 402, 403, 404, 413, 422, 1003, 1007, 1008, 1009, 1010])
def test_what_does_not(status: int) -> None:
    assert not is_retryable(status)


def test_a_vendors_own_word_says_more_than_a_status() -> None:
    assert not is_retryable(429, "insufficient_quota"), "no try mends an empty account"
    assert not is_retryable(None, None, "invalid_request_error")
    assert not is_retryable(None, "UNPARSABLE_CLIENT_MESSAGE")
    assert is_retryable(1008, "session_expired")
    assert is_retryable(None, "a word of tomorrow's")


@pytest.mark.parametrize(
    ("headers", "asked_s"),
    [
        ({}, None),
        ({"Retry-After": "7"}, 7),
        ({"Retry-After": " 0.5 "}, 0.5),
        ({"Retry-After": "7", "Retry-After-Ms": "250"}, 0.25),
        ({"Retry-After": formatdate(1_000_030, usegmt=True), "Date": formatdate(1_000_000, usegmt=True)}, 30),
        ({"Retry-After": formatdate(1_000_000, usegmt=True), "Date": formatdate(1_000_030, usegmt=True)}, 0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-3"}, None),
        ({"Retry-After-Ms": "x"}, None),
    ],
)
def test_how_long_to_leave_it_alone(headers: dict[str, str], asked_s: float | None) -> None:
    assert retry_after_s(httpx2.Headers(headers)) == asked_s
    assert retry_after_s(Headers(headers)) == asked_s


def test_a_date_without_the_servers_own_counts_from_this_machines_clock() -> None:
    asked_s = retry_after_s(httpx2.Headers({"Retry-After": formatdate(time.time() + 60, usegmt=True)}))
    assert asked_s == pytest.approx(60, abs=2)


def test_no_other_file_judges_a_status() -> None:
    judging = re.compile(r"\b(408|409|429|503|1008|1011)\b|>= ?500")
    found = [
        path.name
        for folder in ("providers", "session")
        for path in (PROVIDERS / folder).rglob("*.py")
        for line in path.read_text().splitlines()
        if judging.search(line.partition("#")[0]) and '"""' not in line
    ]
    assert set(found) - {"vendor_errors.py", "elevenlabs.py"} == set()


Make = Callable[[str], Any]


async def _listen(ears: Any) -> None:
    await ears.listen()


async def _speak(voice: Any) -> None:
    await voice.speak(1)


async def _open(speech: Any) -> None:
    await speech.open()


async def _reply(brain: Any) -> None:
    async for _ in brain.reply(ReplyRequest(messages=({"role": "user", "content": "Hi"},))):
        pass


VENDORS: dict[str, tuple[Make, Callable[[Any], Any]]] = {
    "flux": (lambda url: FluxSTT(FluxSettings(url, "k")), _listen),
    "nova": (lambda url: NovaSTT(NovaSettings(url, "k")), _listen),
    "cartesia": (lambda url: CartesiaTTS(CartesiaSettings(url, "k", "v")), _speak),
    "elevenlabs": (lambda url: ElevenLabsTTS(ElevenLabsSettings(url, "k", "v")), _speak),
    "realtime": (lambda url: OpenAIRealtime(RealtimeSettings(f"{url}/v1", "k")), _open),
    "chat": (lambda url: ChatLLM(ChatSettings(f"{url}/v1", "k", "gpt-4.1-mini")), _reply),
}


class Refusing:
    """A vendor's server that refuses everything with one status, and counts."""

    def __init__(self, status: int, headers: dict[str, str]) -> None:
        self.status, self.headers = status, headers
        self.times: list[float] = []
        self.url = ""

    def upgrade(self, connection: ServerConnection, request: Request) -> Response:
        self.times.append(time.monotonic())
        phrase = HTTPStatus(self.status).phrase
        return Response(self.status, phrase, Headers({**self.headers, "Content-Length": "2"}), b"no")

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while head := (await reader.readuntil(b"\r\n\r\n")).decode().lower():
                lengths = [line[15:] for line in head.splitlines() if line.startswith("content-length:")]
                await reader.readexactly(int(lengths[0]) if lengths else 0)
                self.times.append(time.monotonic())
                body = json.dumps({"error": {"message": "no"}}).encode()
                more = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
                start = f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}\r\n"
                writer.write(f"{start}{more}Content-Length: {len(body)}\r\n\r\n".encode() + body)


@asynccontextmanager
async def refusing(vendor: str, status: int, headers: dict[str, str]) -> AsyncIterator[Refusing]:
    far = Refusing(status, headers)

    async def nobody(connection: ServerConnection) -> None:
        raise AssertionError("it was refused")

    if vendor == "chat":
        async with tcp(far.answer) as far.url:
            yield far
        return
    async with serve(nobody, "127.0.0.1", 0, process_request=far.upgrade) as server:
        far.url = f"http://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
        yield far


@pytest.mark.parametrize("status", [401, 402, 404, 429, 503])
@pytest.mark.parametrize("vendor", list(VENDORS))
async def test_each_vendors_refusals_are_judged_alike(vendor: str, status: int) -> None:
    make, ask = VENDORS[vendor]
    async with refusing(vendor, status, {"Retry-After": "2"}) as far:
        provider = make(far.url)
        with pytest.raises(ProviderError) as caught:
            await asyncio.wait_for(ask(provider), DEADLINE_S)
        assert caught.value.status == status
        assert caught.value.retryable is (status in (429, 503))
        assert caught.value.retry_after_s == pytest.approx(2, abs=0.5)
        await provider.aclose()


@pytest.mark.parametrize(("code", "retryable"), [(1000, True), (1008, False), (1011, True)])
@pytest.mark.parametrize("vendor", ["flux", "realtime"])
async def test_each_vendors_goodbyes_are_judged_alike(vendor: str, code: int, retryable: bool) -> None:
    async def leave(connection: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            await connection.close(code, "no more")

    make, ask = VENDORS[vendor]
    async with serve(leave, "127.0.0.1", 0) as server:
        provider = make(f"http://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}")
        with pytest.raises(ProviderError, match=f"{code} no more") as caught:
            await asyncio.wait_for(ask(provider), DEADLINE_S)
        assert (caught.value.status, caught.value.retryable) == (code, retryable)
        await provider.aclose()


@pytest.mark.parametrize("vendor", list(VENDORS))
async def test_the_next_dial_waits_as_long_as_the_vendor_asks(vendor: str) -> None:
    make, ask = VENDORS[vendor]
    async with refusing(vendor, 429, {"Retry-After": "2"}) as far:
        provider = make(far.url)
        await provider.start()
        async with asyncio.timeout(DEADLINE_S):
            while not provider.pools()[0].fault:  # noqa: ASYNC110 - the pool's state
                await asyncio.sleep(0.01)
            asked = time.monotonic()
            with pytest.raises(ProviderError) as caught:
                await ask(provider)
            assert caught.value.retry_after_s is not None, "a caller is told, and does not dial"
            while far.times[-1] - far.times[0] < 1.0:  # noqa: ASYNC110 - the far end's count
                await asyncio.sleep(0.01)
        at_once = [at for at in far.times if at - far.times[0] < 1.0]
        assert far.times[len(at_once)] - at_once[-1] >= 1.9
        assert time.monotonic() - asked >= 1.5
        await provider.aclose()
