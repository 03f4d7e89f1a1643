"""Providers that take a connection and end it, or refuse it: how often they are dialled, and what is said of them.

The far ends are real servers that count connections. The pool's settings are those that a region uses.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import pytest
from tests.promptness import DEADLINE_S, Machine, measured
from tests.regional.tcp_server import tcp
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from repartee.pool.figures import PoolFigures
from repartee.providers.cartesia import CartesiaSettings, CartesiaTTS
from repartee.providers.cartesia_stt import InkSettings, InkSTT
from repartee.providers.deepgram import FluxSettings, FluxSTT, NovaSettings, NovaSTT
from repartee.providers.deepgram_tts import FluxTTS, FluxTTSSettings
from repartee.providers.elevenlabs import ElevenLabsSettings, ElevenLabsTTS
from repartee.providers.openai_chat import ChatLLM, ChatSettings
from repartee.providers.openai_realtime import OpenAIRealtime, RealtimeSettings

WATCHED_S = 3.0
"""How long a provider is watched; after its first second, two dials a second are the most."""

TOLD_S = 2.0
RECOVERED_S = 5.0
RECOVERS = 1011
"""After this one a provider is given its health back; the others would only take longer to say the same."""

IDLE_CPU = 0.02
ON_THE_WAY_S = 0.02
"""Dials a second apart may arrive so much closer to each other; pool/test_policy_storms holds when they start."""


@dataclass
class FarEnd:
    """A provider's server: when it was connected to, and what was asked of it."""

    url: str = ""
    times: list[float] = field(default_factory=list)
    requests: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    machine: Machine = field(default_factory=measured)

    def count(self) -> None:
        self.times.append(time.monotonic())

    def busiest_second(self) -> int:
        """The most dials in any second after the first."""
        late = [at for at in self.times if at - self.times[0] >= 1]
        span_s = 1 - ON_THE_WAY_S
        return max((sum(1 for at in late if begin <= at < begin + span_s) for begin in late), default=0)

    def promises_two_a_second(self) -> None:
        """Where others take the processors, dials a second apart can arrive within one."""
        self.machine.promise(self.busiest_second() <= 2, f"{self.busiest_second()} dials in a second")


@asynccontextmanager
async def sockets(
    say: Callable[[ServerConnection], Any], refuse: tuple[int, dict[str, str]] | None = None
) -> AsyncIterator[FarEnd]:
    """A WebSocket server that has ``say`` for each connection, or refuses the upgrade."""
    far = FarEnd()

    def answer(connection: ServerConnection, request: Request) -> Response | None:
        far.count()
        if refuse is None:
            return None
        status, headers = refuse
        return Response(status, HTTPStatus(status).phrase, Headers({**headers, "Content-Length": "2"}), b"no")

    async def handle(connection: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            await say(connection)

    async with serve(handle, "127.0.0.1", 0, process_request=answer) as server:
        far.url = f"http://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
        yield far


Answer = Callable[[str, str], tuple[str, dict[str, Any], str]]
"""Of a method and a path: the status line's end, the body, further header lines."""


@asynccontextmanager
async def http(answer: Answer, version: str = "1.1") -> AsyncIterator[FarEnd]:
    far = FarEnd()

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far.count()
        closes = False
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while not closes:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                method, path = head.split()[:2]
                length = next(
                    (
                        int(line[15:])
                        for line in head.lower().splitlines()
                        if line.startswith("content-length:")
                    ),
                    0,
                )
                asked = json.loads(await reader.readexactly(length) or b"{}")
                far.requests.append((method, path, asked))
                status, said, more = answer(method, path)
                body = json.dumps(said)
                closes = version == "1.0" or "close" in more
                writer.write(
                    f"HTTP/{version} {status}\r\nContent-Length: {len(body)}\r\n{more}\r\n{body}".encode()
                )

    async with tcp(one) as base:
        far.url = f"{base}/v1"
        yield far


@asynccontextmanager
async def pooled(provider: Any) -> AsyncIterator[Callable[[], PoolFigures]]:
    await provider.start()
    try:
        yield lambda: provider.pools()[0]
    finally:
        await provider.aclose()


async def until_fault(figures: Callable[[], PoolFigures]) -> PoolFigures:
    async with asyncio.timeout(DEADLINE_S):
        while figures().fault is None:  # noqa: ASYNC110 - the pool's state
            await asyncio.sleep(0.01)
    return figures()


async def until_usable(figures: Callable[[], PoolFigures]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not figures().usable:  # noqa: ASYNC110 - the pool's state
            await asyncio.sleep(0.01)


SOCKETS: dict[str, Callable[[str], Any]] = {
    "cartesia": lambda url: CartesiaTTS(CartesiaSettings(url, "k", "v", prime_text="")),
    "ink-2": lambda url: InkSTT(InkSettings(url, "k")),
    "flux-tts": lambda url: FluxTTS(FluxTTSSettings(url, "k", "flux-alexis-en")),
    "elevenlabs": lambda url: ElevenLabsTTS(ElevenLabsSettings(url, "k", "v")),
    "flux": lambda url: FluxSTT(FluxSettings(url, "k")),
    "nova": lambda url: NovaSTT(NovaSettings(url, "k")),
    "realtime": lambda url: OpenAIRealtime(RealtimeSettings(url, "k")),
}
GREETINGS = {
    "ink-2": {"type": "connected", "request_id": "a"},
    "flux-tts": {"type": "Connected", "request_id": "a"},
    "flux": {"type": "Connected", "request_id": "a", "sequence_id": 0},
    "realtime": {"type": "session.created", "session": {}},
}


@pytest.mark.parametrize("code", [1000, 1008, 1011])
@pytest.mark.parametrize("name", list(SOCKETS))
async def test_a_socket_that_is_closed_after_the_upgrade(
    name: str, code: int, caplog: pytest.LogCaptureFixture
) -> None:
    ill = True

    async def say(connection: ServerConnection) -> None:
        if name in GREETINGS:
            await connection.send(json.dumps(GREETINGS[name]))
        if ill:
            await connection.close(code, "no more credit")
        await connection.wait_closed()

    began = time.time()
    async with sockets(say) as far, pooled(SOCKETS[name](far.url)) as figures:
        await asyncio.sleep(1)
        used_s = time.process_time()
        await asyncio.sleep(WATCHED_S - 1)
        used_s = time.process_time() - used_s
        far.promises_two_a_second()
        # Both ends of it, and what else this process does.
        far.machine.promise(used_s <= IDLE_CPU * (WATCHED_S - 1), f"{used_s:.3f} s of CPU")
        now = figures()
        assert (now.warm, now.usable) == (False, False)
        assert f"{code} no more credit" in str(now.last_error)
        assert now.fault is not None and now.fault.do
        [line] = [record for record in caplog.records if "cannot connect to" in record.getMessage()]
        far.machine.promise(line.created - began <= TOLD_S, f"told after {line.created - began:.1f} s")
        if code == RECOVERS:
            ill, healed = False, time.monotonic()
            await until_usable(figures)
            took_s = time.monotonic() - healed
            far.machine.promise(took_s <= RECOVERED_S, f"back after {took_s:.1f} s")


async def test_what_elevenlabs_says_before_it_closes_is_passed_on() -> None:
    async def say(connection: ServerConnection) -> None:
        fault = {"message": "This key has used up its quota", "error": "quota_exceeded", "code": 1008}
        await connection.send(json.dumps(fault))
        await connection.close(1008)

    async with sockets(say) as far, pooled(SOCKETS["elevenlabs"](far.url)) as figures:
        found = await until_fault(figures)
        assert "quota_exceeded: This key has used up its quota" in str(found.last_error)
        assert found.fault is not None and "balance" in found.fault.do


async def test_a_flux_stream_that_begins_with_an_error() -> None:
    async def say(connection: ServerConnection) -> None:
        fault = {"type": "Error", "sequence_id": 0, "code": "INTERNAL_SERVER_ERROR", "description": "sorry"}
        await connection.send(json.dumps(fault))
        await connection.close(1011)

    async with sockets(say) as far, pooled(SOCKETS["flux"](far.url)) as figures:
        await asyncio.sleep(WATCHED_S)
        far.promises_two_a_second()
        assert "INTERNAL_SERVER_ERROR sorry" in str(figures().last_error)


@pytest.mark.parametrize(
    ("status", "headers", "why", "do"),
    [
        (402, {"dg-error": "Project is out of credits"}, "Project is out of credits", "balance"),
        (401, {"dg-error": "Invalid credentials."}, "Invalid credentials.", "DEEPGRAM_API_KEY"),
        (404, {}, "status 404", "DEEPGRAM_BASE_URL"),
    ],
)
async def test_an_upgrade_that_is_refused(
    status: int, headers: dict[str, str], why: str, do: str, caplog: pytest.LogCaptureFixture
) -> None:
    await refused_upgrades("flux", status, headers, (why, do))
    assert caplog.text.count("cannot connect to deepgram") == 1


@pytest.mark.parametrize(("status", "do"), [(402, "balance"), (429, "limits"), (503, "status page")])
async def test_every_vendors_quota_limit_and_outage(status: int, do: str) -> None:
    """All at once, as they have nothing to do with each other."""
    await asyncio.gather(*(refused_upgrades(name, status, {}, (f"status {status}", do)) for name in SOCKETS))


async def refused_upgrades(name: str, status: int, headers: dict[str, str], said: tuple[str, str]) -> None:
    async def say(connection: ServerConnection) -> None:
        raise AssertionError("it was refused")

    async with sockets(say, (status, headers)) as far, pooled(SOCKETS[name](far.url)) as figures:
        started = time.monotonic()
        found = await until_fault(figures)
        assert found.fault is not None
        assert said[0] in found.fault.why
        assert said[1] in found.fault.do
        await asyncio.sleep(started + WATCHED_S - time.monotonic())
        far.promises_two_a_second()


def brain(url: str) -> ChatLLM:
    return ChatLLM(ChatSettings(url, "k", "gpt-4.1-mini"))


@pytest.mark.parametrize(
    ("status", "why"), [("503 Service Unavailable", "503"), ("429 Too Many Requests", "429")]
)
@pytest.mark.parametrize("more", ["", "Connection: close\r\n"], ids=["kept", "closed"])
async def test_a_model_that_is_out_of_order(
    status: str, why: str, more: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        http(lambda method, path: (status, {"error": {"message": "sorry"}}, more)) as far,
        pooled(brain(far.url)) as figures,
    ):
        await asyncio.sleep(WATCHED_S)
        far.promises_two_a_second()
        assert (figures().warm, figures().usable) == (False, False)
        assert why in str(figures().last_error) and "sorry" in str(figures().last_error)
    assert caplog.text.count("cannot connect to openai") == 1


@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_a_model_whose_server_keeps_no_connection_is_ready_and_dialled_on_demand(version: str) -> None:
    more = "" if version == "1.0" else "Connection: close\r\n"
    async with (
        http(lambda method, path: ("200 OK", {"data": []}, more), version) as far,
        pooled(brain(far.url)) as figures,
    ):
        await asyncio.sleep(WATCHED_S)
        assert far.busiest_second() == 0
        assert (figures().warm, figures().fault) == (True, None)


async def test_a_model_whose_server_hangs_up_at_once() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far.count()

    far = FarEnd()
    async with tcp(hang_up) as base, pooled(brain(f"{base}/v1")) as figures:
        await asyncio.sleep(WATCHED_S)
        far.promises_two_a_second()
        assert figures().fault is not None
        assert not figures().warm


@pytest.mark.parametrize("refused", ["403 Forbidden", "401 Unauthorized", "404 Not Found"])
async def test_a_key_that_may_not_list_models_but_may_chat_is_no_bad_key(refused: str) -> None:
    def answer(method: str, path: str) -> tuple[str, dict[str, Any], str]:
        return (refused, {"error": {"message": "no scope"}}, "") if method == "GET" else ("200 OK", {}, "")

    async with http(answer) as far, pooled(brain(far.url)) as figures:
        async with asyncio.timeout(DEADLINE_S):
            while not figures().warm:  # noqa: ASYNC110 - the pool's state
                await asyncio.sleep(0.01)
        assert figures().fault is None
        posts = [(path, asked) for method, path, asked in far.requests if method == "POST"]
        path, asked = posts[0]
        assert path == "/v1/chat/completions", "as a call's"
        assert asked["model"] == "gpt-4.1-mini"
        assert asked["stream"] is True
        assert asked["messages"][0]["role"] == "user"
        assert len(posts) <= 4, "no more than the first dials, which begin together"


@pytest.mark.parametrize(
    ("status", "do"),
    [("401 Unauthorized", "OPENAI_API_KEY"), ("403 Forbidden", "OPENAI_API_KEY"), ("404 Not Found", "/v1")],
)
async def test_what_a_call_would_be_refused_is_told_within_two_seconds(status: str, do: str) -> None:
    async with (
        http(lambda method, path: (status, {"error": {"message": "not for you"}}, "")) as far,
        pooled(brain(far.url)) as figures,
    ):
        machine = measured()
        started = time.monotonic()
        found = await until_fault(figures)
        machine.promise(time.monotonic() - started < 2, "told within 2 s")
        assert found.fault is not None
        assert "not for you" in found.fault.why
        assert do in found.fault.do


async def test_a_model_whose_server_never_answers_is_named_within_the_time_limit() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with tcp(silent) as base, pooled(brain(f"{base}/v1")) as figures:
        machine = measured()
        started = time.monotonic()
        found = await until_fault(figures)
        machine.promise(time.monotonic() - started < 6, "named within the time limit of a dial")
        assert "nothing received" in str(found.last_error)
