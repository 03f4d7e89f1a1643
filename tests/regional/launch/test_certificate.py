"""``repartee up --tls``: a certificate made for the occasion, and the TLS in front of the edge."""

import asyncio
import ssl
import stat
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from repartee.launch.certificate import make_certificate, tls_in_front
from repartee.launch.local_system import SystemOptions, local_system


async def echo(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send(message)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_a_wss_client_that_trusts_the_certificate_has_a_call(
    tmp_path: Path, unused_tcp_port: int, host: str
) -> None:
    files = make_certificate(tmp_path)
    trusted = ssl.create_default_context(cafile=str(files[0]))
    async with serve(echo, "127.0.0.1", 0) as behind:
        inner = next(iter(behind.sockets)).getsockname()[1]
        async with tls_in_front("127.0.0.1", unused_tcp_port, inner, files):
            async with connect(f"wss://{host}:{unused_tcp_port}/", ssl=trusted, proxy=None) as socket:
                await socket.send(b"x" * 200_000)
                assert await socket.recv() == b"x" * 200_000
            with pytest.raises(ssl.SSLCertVerificationError):
                await connect(f"wss://{host}:{unused_tcp_port}/", proxy=None)
            await asyncio.sleep(0)  # the refused handshake's connection ends


def test_nobody_else_reads_the_key(tmp_path: Path) -> None:
    _, key = make_certificate(tmp_path)
    assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_the_edge_itself_stays_on_this_machine(tmp_path: Path) -> None:
    system = local_system(SystemOptions(port=9000, tls=True), {}, tmp_path)
    [edge] = [part for stage in system.stages for part in stage if part.name == "edge"]
    assert list(edge.command[:5]) == ["edge", "--host", "127.0.0.1", "--port", "9012"]
    assert system.url == "https://127.0.0.1:9000"
