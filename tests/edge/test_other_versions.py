"""The edge with other versions of the libraries it reaches into: it serves, and one warning says what is lacking."""

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import websockets
from tests.altered import altered
from tests.edge.conftest import API_KEY, StartRegion, edge_env
from tests.free_ports import free_port
from tests.promptness import DEADLINE_S
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

SIGNS_OVER_A_SOCKET = """
import repartee_edge.lean_jwt
import asyncio, json, sys, threading, urllib.request
import jwt
from http.server import BaseHTTPRequestHandler, HTTPServer
from repartee_edge.tickets import TicketKeys, sign, verify

KEYS = TicketKeys("a key for tests that is long enough for anybody")

class Signing(BaseHTTPRequestHandler):
    def do_GET(self):
        body = sign(KEYS, region="near", subject="me", now=1000.0).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

server = HTTPServer(("127.0.0.1", 0), Signing)
threading.Thread(target=server.serve_forever, daemon=True).start()
token = urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/").read().decode()
ticket = verify(KEYS, token, region="near", now=1001.0)
server.shutdown()
print(json.dumps({"subject": ticket.subject, "lean": getattr(jwt, "PyJWKClient", True) is None}))
"""


def signed_with(other: Path) -> tuple[str, str]:
    """What a program that signs and verifies a ticket prints with these packages found first, and its warnings."""
    edge = Path(__file__).parents[2] / "edge"
    ran = subprocess.run(
        [sys.executable, "-c", SIGNS_OVER_A_SOCKET],
        env={"PYTHONPATH": f"{other}:{edge}"},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=True,
    )
    return ran.stdout.strip(), ran.stderr


@pytest.mark.parametrize(
    "renamed",
    [{"jwks_client": "key_sets"}, {"PyJWKClient": "KeySetClient"}],
    ids=["its HTTP client in another module", "its HTTP client under another name"],
)
def test_without_the_insides_of_pyjwt(renamed: dict[str, str], tmp_path: Path) -> None:
    output, warnings = signed_with(altered(tmp_path, "jwt", renamed))
    assert output == '{"subject": "me", "lean": false}'
    assert warnings.count("cannot be imported without its HTTP client; importing it whole") == 1


def test_with_the_version_that_is_installed_pyjwt_is_lean(tmp_path: Path) -> None:
    assert signed_with(tmp_path) == ('{"subject": "me", "lean": true}', "")


@pytest.fixture
async def edge(
    start_region: StartRegion, tmp_path: Path
) -> AsyncIterator[tuple[str, asyncio.subprocess.Process]]:
    """The authority and the process of an edge with another uvicorn, in front of a region that echoes."""
    env, port = edge_env(await start_region("near")), free_port()
    regions = tmp_path / "regions.json"
    regions.write_text(env.pop("REPARTEE_REGIONS"))
    renamed = {"handle_websocket_upgrade": "upgrade_to_websocket", "server_state": "shared_state"}
    other = altered(tmp_path / "other", "uvicorn", renamed)
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).parent / "repartee"),
        *("edge", "--port", str(port), "--regions", str(regions)),
        env={**env, "PATH": os.environ["PATH"], "PYTHONPATH": str(other)},
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(DEADLINE_S), httpx.AsyncClient(timeout=DEADLINE_S) as http:
            while True:
                with contextlib.suppress(httpx.TransportError):
                    if (await http.get(f"http://127.0.0.1:{port}/healthz")).status_code == 200:
                        break
                await asyncio.sleep(0.05)
        yield f"127.0.0.1:{port}", process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await asyncio.wait_for(process.wait(), DEADLINE_S)


async def test_without_the_insides_of_uvicorn_sessions_are_passed_on_by_messages(
    edge: tuple[str, asyncio.subprocess.Process],
) -> None:
    authority, process = edge
    bearer = {"Authorization": f"Bearer {API_KEY}"}
    url = f"ws://{authority}/v1/voice/session"
    async with asyncio.timeout(DEADLINE_S):
        async with connect(url, additional_headers=bearer, subprotocols=[Subprotocol("realtime")]) as call:
            assert call.subprotocol == "realtime"
            assert call.response is not None and call.response.headers["x-repartee-region"] == "near"
            assert await call.recv() == '{"region": "near"}'
            for message in ("words", b"\x00\x01" * 480, "é" * 70_000, b""):
                await call.send(message)
                assert await call.recv() == message
            await call.send("bye")
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await call.recv()
            assert closed.value.rcvd is not None
            assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4321, "as asked")
        async with connect(url, additional_headers=bearer) as call:
            await call.recv()
            await call.send("crash")
            with pytest.raises(websockets.ConnectionClosed):
                await call.recv()
        with pytest.raises(websockets.InvalidStatus) as refused:
            async with connect(url, additional_headers={"Authorization": "Bearer nobody"}):
                pass
        assert refused.value.response.status_code == 401
        process.terminate()
        assert process.stderr is not None
        said = (await process.stderr.read()).decode()
    assert said.count("sessions are passed on message by message") == 1
    assert said.count("connections are served by uvicorn's own HTTP") == 1
