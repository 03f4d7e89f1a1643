"""Two hosts and a bad line between them, on this machine."""

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
from tests.promptness import DEADLINE_S

from repartee.bench.line_quality import LineQuality
from repartee.bench.namespaces import OWN_NAMESPACE, Namespaces, NoNamespaces, lacking, namespaces
from repartee.bench.transport_link import LinkKind, linked

pytestmark = pytest.mark.skipif(lacking() is not None, reason=f"no network namespaces here: {lacking()}")


@pytest.fixture
def hosts() -> Iterator[Namespaces]:
    with namespaces() as made:
        yield made


class Echo(asyncio.Protocol):
    """Says back what is said, and that its caller has gone."""

    def __init__(self) -> None:
        self.gone = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone.set()


async def test_callers_reach_the_worker_over_the_line_alone(hosts: Namespaces) -> None:
    loop, echo = asyncio.get_running_loop(), Echo()
    with hosts.at_worker():
        server = await loop.create_server(lambda: echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
    for rtt_ms in (0.0, 60.0):
        hosts.become(LineQuality(rtt_ms=rtt_ms))
        with hosts.at_callers():
            began = loop.time()
            reader, writer = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", port), DEADLINE_S)
        writer.write(b"hello")
        assert await asyncio.wait_for(reader.read(100), DEADLINE_S) == b"hello"
        assert (loop.time() - began) * 1_000 >= 2 * rtt_ms, "one round trip to connect, one for the answer"
        writer.close()
        await asyncio.wait_for(echo.gone.wait(), DEADLINE_S)
        echo.gone.clear()
    server.close()


def test_the_line_loses_its_share_of_packets(hosts: Namespaces) -> None:
    hosts.become(LineQuality(loss=0.5))
    with hosts.at_worker():
        near = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        near.bind(("127.0.0.1", 0))
    with hosts.at_callers():
        far = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with near, far:
        near.settimeout(1.0)
        for _ in range(200):
            far.sendto(b"x", near.getsockname())
        came = 0
        with pytest.raises(TimeoutError):
            while near.recv(10):
                came += 1
    assert 70 <= came <= 130


def test_nothing_is_left_of_it() -> None:
    def held() -> tuple[int, Path]:
        return len(list(Path("/proc/self/fd").iterdir())), OWN_NAMESPACE.readlink()

    before = held()
    with namespaces() as made, made.at_callers():
        assert OWN_NAMESPACE.readlink() != before[1]
    assert held() == before


def test_without_root_there_are_relays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1_000)
    with linked(LinkKind.auto) as link:
        assert link.kind is LinkKind.relay
    with pytest.raises(NoNamespaces, match="they need root"), linked(LinkKind.namespaces):
        pass
