"""Where callers are told that a worker is: set, seen by a STUN server, read from ECS."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import cast

import pytest

from repartee.app.webrtc_address import AddressSources, private_address, public_addresses
from repartee.rtc import stun
from repartee.transport.webrtc import stun_client
from repartee.transport.webrtc.stun_client import AddressUnknown, ask_stun

SEEN = ("203.0.113.9", 40_000)
Answers = Callable[[stun.StunMessage], list[bytes]]


def told(request: stun.StunMessage) -> list[bytes]:
    return [stun.success(request, SEEN, None)]


def told_as_servers_of_old_do(request: stun.StunMessage) -> list[bytes]:
    plain = b"\x00\x01" + SEEN[1].to_bytes(2, "big") + bytes([203, 0, 113, 9])
    return [stun.encode(stun.BINDING_SUCCESS, request.transaction_id, {stun.MAPPED_ADDRESS: plain})]


def told_after_rubbish(request: stun.StunMessage) -> list[bytes]:
    forged = stun.StunMessage(request.type, b"another one!", request.attributes)
    return [b"", b"\x01\x01", stun.success(forged, ("192.0.2.66", 1), None), *told(request)]


class StunServer(asyncio.DatagramProtocol):
    """Answers as it is made to; ``loses`` so many requests first."""

    def __init__(self, answers: Answers, loses: int = 0) -> None:
        self._answers = answers
        self._loses = loses

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        request = stun.parse(data)
        assert request is not None and request.type == stun.BINDING_REQUEST
        self._loses -= 1
        if self._loses < 0:
            for answer in self._answers(request):
                self._transport.sendto(answer, addr)


@asynccontextmanager
async def stun_server(answers: Answers = told, loses: int = 0) -> AsyncIterator[int]:
    made, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: StunServer(answers, loses), local_addr=("127.0.0.1", 0)
    )
    try:
        yield made.get_extra_info("sockname")[1]
    finally:
        made.close()


@pytest.mark.parametrize("answers", [told, told_as_servers_of_old_do, told_after_rubbish])
async def test_a_stun_server_tells_the_public_address(answers: Answers) -> None:
    async with stun_server(answers, loses=1) as port:
        sources = AddressSources(stun_server=f"127.0.0.1:{port}", ecs_metadata_uri="http://127.0.0.1:1")
        assert await public_addresses(sources) == [SEEN[0]]


async def test_one_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stun_client, "STUN_S", 0.2)
    async with stun_server(loses=100) as port:
        with pytest.raises(AddressUnknown, match=f"127.0.0.1:{port} does not answer"):
            await ask_stun("127.0.0.1", port)


async def test_what_is_set_goes_before_what_is_found() -> None:
    sources = AddressSources(" 192.0.2.1, 2001:db8::1", stun_server="127.0.0.1:1", own_machine=True)
    assert await public_addresses(sources) == ["192.0.2.1", "2001:db8::1"]


@asynccontextmanager
async def ecs(body: bytes) -> AsyncIterator[str]:
    """The task's metadata (version 4), as ECS serves it."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        found = head.startswith(b"GET /v4/abc/task HTTP/1.1\r\n")
        line = b"HTTP/1.1 %d X\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
        writer.write(line % (200 if found else 404, len(body)) + body)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v4/abc"
    finally:
        server.close()


TASK = {
    "Cluster": "default",
    "Containers": [
        {"Name": "log-router"},
        {"Name": "worker", "Networks": [{"NetworkMode": "awsvpc", "IPv4Addresses": ["10.0.2.61"]}]},
    ],
}


async def test_ecs_tells_the_tasks_address() -> None:
    async with ecs(json.dumps(TASK).encode()) as uri:
        assert await public_addresses(AddressSources(ecs_metadata_uri=uri)) == ["10.0.2.61"]
        assert await private_address(uri) == "10.0.2.61"


@pytest.mark.parametrize("body", [b"", b"[]", b'{"Containers": [{"Networks": []}]}', b'{"Containers": 3}'])
async def test_metadata_without_an_address_is_named(body: bytes) -> None:
    async with ecs(body) as uri:
        with pytest.raises(AddressUnknown, match="ECS does not say the task's address"):
            await public_addresses(AddressSources(ecs_metadata_uri=uri))
