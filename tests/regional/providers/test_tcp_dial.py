"""Addresses that do not answer: what a dial to a provider costs then, over real sockets and on both kinds of loop."""

import asyncio
import json
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
import uvloop
from tests.promptness import DEADLINE_S, measured
from tests.regional.tcp_server import tcp
from websockets.asyncio.server import ServerConnection, serve

from repartee.errors import ProviderError
from repartee.providers.connecting import Endpoint, UrlConnector
from repartee.providers.http_pool import LineConnector, WarmUp
from repartee.providers.open_connections import OpenConnections
from repartee.providers.sockets import SocketSettings, tls_context
from repartee.providers.tcp_dial import ATTEMPT_DELAY_S, connected
from repartee.providers.vendor_errors import VendorErrors

SLACK_S = 0.2
HOST = "two.example"
ERRORS = VendorErrors("openai", "llm", "OpenAI")
V4, V6 = (socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")

Family = tuple[socket.AddressFamily, str]
Address = tuple[Any, Any, int, str, tuple[Any, ...]]


def info(family: Family, port: int) -> Address:
    return (family[0], socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (family[1], port))


@contextmanager
def hole(family: Family) -> Iterator[Address]:
    """An address that answers nothing: a listener whose queue is full, so that SYNs are dropped."""
    with ExitStack() as stack:
        try:
            listener = stack.enter_context(socket.socket(family[0]))
            listener.bind((family[1], 0))
        except OSError:
            pytest.skip(f"this machine has no {family[1]}")
        listener.listen(0)
        for _ in range(6):
            filler = stack.enter_context(socket.socket(family[0]))
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        probe = stack.enter_context(socket.socket(family[0]))
        probe.settimeout(0.3)
        try:
            probe.connect(listener.getsockname())
        except TimeoutError:
            yield info(family, listener.getsockname()[1])
        else:
            pytest.skip("a full queue drops nothing on this system")


@contextmanager
def live(family: Family) -> Iterator[Address]:
    with socket.socket(family[0]) as listener:
        listener.bind((family[1], 0))
        listener.listen(8)
        yield info(family, listener.getsockname()[1])


@contextmanager
def refusing(family: Family) -> Iterator[Address]:
    """An address where nothing listens."""
    with socket.socket(family[0]) as bound:
        bound.bind((family[1], 0))
        yield info(family, bound.getsockname()[1])


def run(kind: type[Any], addresses: list[Address], body: Callable[[], Awaitable[Any]]) -> Any:
    """On a loop of this kind, whose every name has these addresses."""

    class Loop(kind):  # type: ignore[misc]
        async def getaddrinfo(self, host: Any, port: Any, **more: Any) -> list[Address]:
            if host == HOST:
                return addresses
            numeric: list[Address] = await super().getaddrinfo(host, port, **more)
            return numeric

    async def bounded() -> Any:
        async with asyncio.timeout(DEADLINE_S):
            return await body()

    with asyncio.Runner(loop_factory=Loop) as runner:
        return runner.run(bounded())


@pytest.fixture(params=[asyncio.SelectorEventLoop, uvloop.Loop], ids=["asyncio", "uvloop"])
def kind(request: pytest.FixtureRequest) -> type[Any]:
    loop: type[Any] = request.param
    return loop


@pytest.fixture(autouse=True)
def nothing_is_left_behind() -> None:
    """In place of the folder's own: the loops are made here."""


def test_the_delay_is_the_rfcs() -> None:
    assert ATTEMPT_DELAY_S == 0.25


@pytest.mark.parametrize(("dead", "alive"), [(V6, V4), (V4, V6), (V4, V4)])
def test_a_dead_first_address_costs_one_delay(kind: type[Any], dead: Family, alive: Family) -> None:
    async def body() -> tuple[float, Any]:
        began = time.monotonic()
        with await connected(HOST, 443) as made:
            return time.monotonic() - began, made.getpeername()

    with hole(dead) as first, live(alive) as second:
        machine = measured()
        took_s, peer = run(kind, [first, second], body)
        assert peer[:2] == second[4]
    machine.promise(took_s <= ATTEMPT_DELAY_S + SLACK_S, f"it took {took_s:.3f} s")


@pytest.mark.parametrize(("dead", "alive"), [(V6, V4), (V4, V6)])
def test_the_families_take_turns(kind: type[Any], dead: Family, alive: Family) -> None:
    """Three dead addresses of one family come first in the list, but the other's is tried second."""

    async def body() -> tuple[float, Any]:
        began = time.monotonic()
        with await connected(HOST, 443) as made:
            return time.monotonic() - began, made.getpeername()

    with hole(dead) as one, hole(dead) as two, hole(dead) as three, live(alive) as last:
        machine = measured()
        took_s, peer = run(kind, [one, two, three, last], body)
        assert peer[:2] == last[4]
    machine.promise(took_s <= ATTEMPT_DELAY_S + SLACK_S, f"it took {took_s:.3f} s")


def test_an_address_that_refuses_costs_no_delay(kind: type[Any]) -> None:
    async def body() -> float:
        began = time.monotonic()
        (await connected(HOST, 443)).close()
        return time.monotonic() - began

    with refusing(V4) as first, live(V4) as second:
        machine = measured()
        took_s = run(kind, [first, second], body)
    machine.promise(took_s < ATTEMPT_DELAY_S, f"it took {took_s:.3f} s")


def http(url: str, timeout_s: float) -> LineConnector:
    warm_up = WarmUp(f"{url}/models", {}, ERRORS, url, dict, lambda *_: False, timeout_s=timeout_s)
    return LineConnector(warm_up, tls_context, OpenConnections(1.0))


def web_socket(url: str, timeout_s: float) -> UrlConnector:
    endpoint = Endpoint.of(url, ERRORS, SocketSettings(open_timeout_s=timeout_s))
    return UrlConnector(endpoint, url.replace("http", "ws", 1), {})


@pytest.mark.parametrize("connector", [http, web_socket])
@pytest.mark.parametrize("end", [hole, refusing])
def test_when_all_are_dead_the_error_names_the_host_within_the_time_limit(
    kind: type[Any], end: Any, connector: Callable[[str, float], LineConnector | UrlConnector]
) -> None:
    async def body() -> tuple[float, str]:
        began = time.monotonic()
        with pytest.raises(ProviderError) as raised:
            await connector(f"http://{HOST}:8080", 0.6).dial(urgent=True)
        assert raised.value.retryable
        return time.monotonic() - began, str(raised.value)

    with end(V6) as first, end(V4) as second:
        machine = measured()
        took_s, said = run(kind, [first, second], body)
    assert f"{HOST}:8080" in said
    machine.promise(took_s <= 0.6 + SLACK_S, f"it took {took_s:.3f} s")


def test_a_line_for_http_is_warmed_at_the_live_address(kind: type[Any]) -> None:
    asked: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        body = json.dumps({"object": "list", "data": []}).encode()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
        await reader.read()

    addresses: list[Address] = []

    async def body() -> None:
        async with tcp(answer) as url:
            addresses.append(info(V4, int(url.rpartition(":")[2])))
            line = await http(f"http://{HOST}:8080", 5.0).dial(urgent=False)
            assert line.has_answered
            line.close()

    with hole(V6) as first:
        addresses.append(first)
        run(kind, addresses, body)
    assert f"host: {HOST}:8080".encode() in asked[0].lower()


def test_a_web_socket_is_opened_at_the_live_address(kind: type[Any]) -> None:
    addresses: list[Address] = []

    async def echo(connection: ServerConnection) -> None:
        async for message in connection:
            await connection.send(message)

    async def body() -> bytes:
        async with serve(echo, sock=_listener()) as server:
            addresses.append(info(V4, next(iter(server.sockets)).getsockname()[1]))
            connection = await web_socket(f"http://{HOST}:8080", 5.0).dial(urgent=False)
            said: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
            connection.socket.listen(said.set_result)
            connection.socket.push("hello")
            heard = await said
            await connection.socket.close()
            return heard

    with hole(V6) as first:
        addresses.append(first)
        assert run(kind, addresses, body) == b"hello"


def _listener() -> socket.socket:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    return listener
