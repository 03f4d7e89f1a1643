"""TURN: callers get servers with credentials that age out, as coturn checks them and as Cloudflare gives them."""

import asyncio
import base64
import hashlib
import hmac
import json
import re
import shutil
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.contract.test_webrtc import SDP, an_offer, asking
from tests.promptness import DEADLINE_S
from tests.regional.app.running import TICKET_KEY, region

from repartee.app.settings import read_settings
from repartee.app.turn_servers import servers_in
from repartee.errors import ConfigurationError
from repartee_edge import tickets

PATH = "/v1/realtime/ice_servers"
SECRET = "a secret that coturn knows"
URLS = "turn:turn.example.com:3478?transport=udp, turns:turn.example.com:443?transport=tcp"
COTURN = {"REPARTEE_TURN_URLS": URLS, "REPARTEE_TURN_SECRET": SECRET}


def coturn_accepts(username: str, credential: str, now: float) -> bool:
    """What coturn does with `use-auth-secret`."""
    expires_at = int(username.partition(":")[0])
    digest = hmac.new(SECRET.encode(), username.encode(), hashlib.sha1).digest()
    return expires_at > now and credential == base64.b64encode(digest).decode()


async def test_credentials_are_coturns_and_age_out(providers: dict[str, str]) -> None:
    settings = {**providers, **COTURN, "REPARTEE_TURN_CREDENTIALS_S": "600"}
    async with region(settings) as worker, asking(worker) as client:
        answer = await client.get(PATH)
        assert answer.headers["cache-control"] == "no-store"
        (servers,) = answer.json()["iceServers"]
        assert servers["urls"] == URLS.split(", ")
        now = time.time()
        assert coturn_accepts(servers["username"], servers["credential"], now)
        assert not coturn_accepts(servers["username"], servers["credential"], now + 601)
        assert abs(answer.json()["expires_at"] - now - 600) < 5
        begun = await client.post("/v1/realtime/whip", content=an_offer(), headers=SDP)
        links = begun.headers.get_list("link")
        assert [link.partition(";")[0] for link in links] == [f"<{url}>" for url in servers["urls"]]
        named = re.search(
            r'rel="ice-server"; username="(.+?)"; credential="(.+?)"; credential-type="password"', links[0]
        )
        assert named and coturn_accepts(named[1], named[2], now)
        assert (await client.delete(begun.headers["location"])).status_code == 200


async def test_without_servers_the_list_is_empty(providers: dict[str, str]) -> None:
    async with region(providers) as worker, asking(worker) as client:
        assert (await client.get(PATH)).json()["iceServers"] == []


async def test_whoever_may_call_may_ask_and_keeps_the_ticket(providers: dict[str, str]) -> None:
    settings = {**providers, **COTURN, "REPARTEE_TICKET_KEY": TICKET_KEY}
    async with region(settings, allow_anonymous=False) as worker, asking(worker) as client:
        assert (await client.get(PATH)).status_code == 401
        keys = tickets.TicketKeys(TICKET_KEY)
        ticket = tickets.sign(keys, region="local", subject="acme", now=time.time())
        mine = {"X-Repartee-Ticket": ticket}
        username = (await client.get(PATH, headers=mine)).json()["iceServers"][0]["username"]
        assert username.endswith(":acme")
        begun = await client.post("/v1/realtime/whip", content=an_offer(), headers={**SDP, **mine})
        assert begun.status_code == 201, "asking does not use a ticket up"


CLOUDFLARES = {
    "iceServers": [
        {"urls": ["stun:stun.cloudflare.com:3478", "stun:stun.cloudflare.com:53"]},
        {
            "urls": [
                "turn:turn.cloudflare.com:3478?transport=udp",
                "turn:turn.cloudflare.com:53?transport=udp",
                "turns:turn.cloudflare.com:443?transport=tcp",
            ],
            "username": "bc91b63e2b5d759f8eb9f3b58062439e",
            "credential": "ebd71f1d3edbc2b0edae3cd5a6d82284",
        },
    ]
}


@asynccontextmanager
async def cloudflare(
    status: int = 201, body: bytes = json.dumps(CLOUDFLARES).encode()
) -> AsyncIterator[dict[str, str]]:
    """A stand-in of Cloudflare's endpoint that checks what it is asked; the settings that lead to it."""
    asked: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        size = int(re.search(r"(?i)content-length: (\d+)", head)[1])  # type: ignore[index]
        wish = json.loads(await reader.readexactly(size))
        asked.append(head.partition("\r\n")[0])
        right = "authorization: bearer token-1\r\n" in head.lower() and wish == {"ttl": 3600}
        line = b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
        writer.write(line % (status if right else 401, len(body)) + body)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield {
            "REPARTEE_TURN_CLOUDFLARE_URL": f"http://127.0.0.1:{port}",
            "REPARTEE_TURN_CLOUDFLARE_KEY": "key-1",
            "REPARTEE_TURN_CLOUDFLARE_TOKEN": "token-1",
        }
        assert asked == ["POST /v1/turn/keys/key-1/credentials/generate-ice-servers HTTP/1.1"]
    finally:
        server.close()


async def test_cloudflares_credentials_are_handed_on(providers: dict[str, str]) -> None:
    async with (
        cloudflare() as settings,
        region({**providers, **settings}) as worker,
        asking(worker) as client,
    ):
        stun, turn = (await client.get(PATH)).json()["iceServers"]
    assert stun == {"urls": ["stun:stun.cloudflare.com:3478"]}, "browsers wait in vain for port 53"
    assert [":53?" in url for url in turn["urls"]] == [False, False]
    assert turn["credential"] == "ebd71f1d3edbc2b0edae3cd5a6d82284"


@pytest.mark.parametrize(
    ("status", "body"), [(500, b"{}"), (201, b"<html>"), (201, b"{}"), (201, b'{"iceServers": [3]}')]
)
async def test_where_cloudflare_fails_calls_go_on_without(
    providers: dict[str, str], status: int, body: bytes
) -> None:
    async with cloudflare(status, body) as far_end:
        settings = {**providers, **COTURN, **far_end}
        async with region(settings) as worker, asking(worker) as client:
            assert len((await client.get(PATH)).json()["iceServers"]) == 1, "coturn's are still there"


def test_what_could_break_a_header_is_no_answer() -> None:
    with pytest.raises(ValueError, match="none"):
        servers_in({"iceServers": {"urls": "turn:a", "username": 'a"\r\nX: y', "credential": "b"}})
    assert [servers.urls for servers in servers_in({"iceServers": {"urls": "turn:a:3478"}})] == [
        ["turn:a:3478"]
    ]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"REPARTEE_TURN_URLS": "turn:a"}, "REPARTEE_TURN_SECRET"),
        ({"REPARTEE_TURN_URLS": "https://a", "REPARTEE_TURN_SECRET": "x"}, "turn: or turns:"),
        ({"REPARTEE_TURN_CLOUDFLARE_KEY": "a"}, "REPARTEE_TURN_CLOUDFLARE_TOKEN"),
        ({"REPARTEE_TURN_CLOUDFLARE_URL": "ftp://a"}, "http"),
    ],
)
def test_settings_that_cannot_work_stop_the_start(settings: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        read_settings(settings)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@pytest.mark.skipif(
    shutil.which("turnserver") is None, reason="coturn is not installed (apt-get install coturn)"
)
async def test_coturn_itself_accepts_them(providers: dict[str, str], tmp_path: Path) -> None:
    """And refuses others: its own client allocates a relay with what a caller is given."""
    port, secret = _free_port(), SECRET.replace(" ", "_")
    options = (
        f"-n -L 127.0.0.1 -E 127.0.0.1 -p {port} --use-auth-secret --static-auth-secret={secret} -r test"
    )
    files = f"-b {tmp_path}/db --pidfile {tmp_path}/pid -l {tmp_path}/log"
    server = await asyncio.create_subprocess_exec(
        "turnserver",
        *f"{options} {files} --no-tls --no-dtls --no-cli --allow-loopback-peers".split(),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        settings = {
            "REPARTEE_TURN_URLS": f"turn:127.0.0.1:{port}",
            "REPARTEE_TURN_SECRET": secret,
        }
        async with region({**providers, **settings}) as worker, asking(worker) as client:
            given: dict[str, Any] = (await client.get(PATH)).json()["iceServers"][0]
        assert await _allocates(port, given["username"], given["credential"])
        assert not await _allocates(port, given["username"], "wrong" + given["credential"])
    finally:
        server.kill()
        await server.wait()


async def _allocates(port: int, username: str, credential: str) -> bool:
    """Whether coturn's client gets a relay (one message to itself through it)."""
    client = await asyncio.create_subprocess_exec(
        *f"turnutils_uclient -y -c -n 1 -m 1 -p {port} -u {username} -w {credential} 127.0.0.1".split(),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        said, _ = await asyncio.wait_for(client.communicate(), DEADLINE_S)
    except TimeoutError:
        client.kill()
        await client.wait()
        return False
    return client.returncode == 0 and b"error" not in said.lower()
