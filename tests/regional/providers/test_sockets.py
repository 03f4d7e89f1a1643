"""What is pushed arrives: frames as RFC 6455 has them, of every size, in order."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.promptness import DEADLINE_S
from websockets.asyncio.server import ServerConnection, serve

from repartee.providers import socket_dial
from repartee.providers.open_connections import OpenConnections
from repartee.providers.socket_dial import open_socket
from repartee.providers.sockets import SocketSettings

SIZES = [0, 1, 125, 126, 127, 65_535, 65_536, 200_000]


@pytest.fixture(params=[True, False], ids=["pushed", "by tasks"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways of reading: where the library passes frames on, and where it does not."""
    monkeypatch.setattr(socket_dial, "can_push", lambda: request.param)


@pytest.fixture
async def owner() -> AsyncIterator[OpenConnections]:
    sockets = OpenConnections(close_timeout_s=1.0)
    yield sockets
    await sockets.aclose()


async def test_messages_of_every_size_arrive_whole_and_in_order(owner: OpenConnections) -> None:
    got: asyncio.Queue[str | bytes] = asyncio.Queue()

    async def take(connection: ServerConnection) -> None:
        async for message in connection:
            got.put_nowait(message)

    async with serve(take, "127.0.0.1", 0, max_size=None) as server:
        [listener] = server.sockets
        port = listener.getsockname()[1]
        socket = await open_socket(
            f"ws://127.0.0.1:{port}", {}, SocketSettings(max_unsent_bytes=2**24), owner
        )
        sent: list[str | bytes] = []
        for size in SIZES:
            sent += [bytes(n % 251 for n in range(size)), "é" * (size // 2)]
            assert all(socket.push(message) for message in sent[-2:])
        async with asyncio.timeout(DEADLINE_S):
            assert [await got.get() for _ in sent] == sent
        await socket.close()
        assert socket.push(b"too late") is False


async def test_who_waits_for_room_never_loses_a_connection_to_its_own_limit(owner: OpenConnections) -> None:
    """480 kB for a peer that reads slowly: twice what may wait."""
    got = 0
    everything = asyncio.Event()

    async def take(connection: ServerConnection) -> None:
        nonlocal got
        async for message in connection:
            got += len(message)
            await asyncio.sleep(0)
            if got >= 480_000:
                everything.set()

    async with serve(take, "127.0.0.1", 0, max_size=None, max_queue=1) as server:
        [listener] = server.sockets
        socket = await open_socket(f"ws://127.0.0.1:{listener.getsockname()[1]}", {}, SocketSettings(), owner)
        for _ in range(100):
            async with asyncio.timeout(DEADLINE_S):
                while not socket.has_room:  # noqa: ASYNC110
                    await asyncio.sleep(0.001)
            assert socket.push(bytes(4_800))
        async with asyncio.timeout(DEADLINE_S):
            await everything.wait()
        await socket.close()


async def test_one_long_message_is_no_sign_of_a_peer_that_does_not_read_but_more_after_it_is(
    owner: OpenConnections,
) -> None:
    async def sleep(connection: ServerConnection) -> None:
        await connection.wait_closed()

    async with serve(sleep, "127.0.0.1", 0, max_size=None, max_queue=1) as server:
        [listener] = server.sockets
        socket = await open_socket(f"ws://127.0.0.1:{listener.getsockname()[1]}", {}, SocketSettings(), owner)
        assert socket.push(bytes(2**24))
        assert socket.is_open and not socket.has_room
        assert socket.push(bytes(1)) is False
        await socket.wait_closed()
