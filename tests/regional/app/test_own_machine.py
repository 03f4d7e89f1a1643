"""No other site's page can use a region that needs no tickets: by Origin, or by a name of its own for 127.0.0.1."""

import asyncio
import json

import pytest
from tests.promptness import DEADLINE_S
from tests.regional.app.processes.test_parent import until_ready
from tests.regional.app.running import TICKET_KEY, region, region_process

TUNNEL = "https://me.tunnel.example"
UPGRADE = (
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
)
SESSIONS = ["/v1/voice/session", "/v1/realtime"]
PAGES = ["/", "/page/page.js", "/metrics", "/readyz", "/nowhere"]


async def answer(
    port: int, path: str, host: str, origin: str | None = None, *, method: str = ""
) -> tuple[int, str]:
    """The status and the error's code of what a request with these headers gets; no method: a session, or GET."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = [f"{method or 'GET'} {path} HTTP/1.1", f"Host: {host}"]
    if origin is not None:
        head.append(f"Origin: {origin}")
    opens = path in SESSIONS and not method
    last = UPGRADE if opens else "Connection: close\r\n"
    writer.write(("\r\n".join([*head, last]) + "\r\n").encode())
    try:
        async with asyncio.timeout(DEADLINE_S):
            status = int((await reader.readuntil(b"\r\n\r\n")).split()[1])
            body = b"" if status == 101 else await reader.read()
    finally:
        writer.close()
    return status, json.loads(body)["error"]["code"] if b'"code"' in body else ""


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://127.0.0.1.evil.example",
        "http://localhost.evil.example:8000",
        "http://localhost@evil.example",
        "null",
        "",
        "file://",
        TUNNEL,
    ],
)
async def test_other_sites_pages_are_refused(providers: dict[str, str], origin: str) -> None:
    async with region(providers) as here:
        for path in [*SESSIONS, *PAGES]:
            found = await answer(here.port, path, f"127.0.0.1:{here.port}", origin)
            assert found == (403, "origin_refused"), path
        for path in ["/v1/voice/session", "/v1/realtime/client_secrets"]:
            assert await answer(here.port, path, "127.0.0.1", origin, method="POST") == (
                403,
                "origin_refused",
            )
        assert here.worker.slots.taken == 0


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8000", "10.0.0.5", "0.0.0.0", "localhost.evil.example", ""]
)
async def test_names_of_other_sites_are_refused(providers: dict[str, str], host: str) -> None:
    async with region(providers) as here:
        for path in [*SESSIONS, *PAGES]:
            assert await answer(here.port, path, host) == (421, "host_refused"), path
            assert await answer(here.port, path, host, "http://localhost") == (421, "host_refused"), path
            assert (await answer(here.port, path, host, f"http://{host}"))[0] in (403, 421)
        assert await answer(here.port, "/v1/realtime/client_secrets", host, method="POST") == (
            421,
            "host_refused",
        )


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "app.localhost"])
async def test_this_machines_own_pages_are_served(providers: dict[str, str], host: str) -> None:
    async with region(providers) as here:
        authority = f"{host}:{here.port}"
        for origin in (None, f"http://{authority}", "http://localhost:3000", "https://127.0.0.1"):
            assert (await answer(here.port, "/v1/voice/session", authority, origin))[0] == 101
            assert (await answer(here.port, "/", authority, origin))[0] == 200


async def test_a_tunnel_is_let_in_by_a_setting(providers: dict[str, str]) -> None:
    listed = {"REPARTEE_ALLOWED_ORIGINS": f"{TUNNEL}, https://other.example:8443"}
    async with region({**providers, **listed}) as here:
        for host, origin in [
            ("me.tunnel.example", TUNNEL),
            ("other.example:8443", "https://other.example:8443"),
        ]:
            assert (await answer(here.port, "/v1/voice/session", host, origin))[0] == 101
            assert (await answer(here.port, "/", host))[0] == 200
        assert await answer(here.port, "/", "other.example") == (421, "host_refused")
        assert await answer(here.port, "/", "127.0.0.1", "https://evil.example") == (403, "origin_refused")


async def test_a_region_that_needs_tickets_is_for_any_site_unless_it_is_told(
    providers: dict[str, str],
) -> None:
    keyed = {**providers, "REPARTEE_TICKET_KEY": TICKET_KEY}
    ours = ("voice.example", "https://app.example")
    async with region(keyed, allow_anonymous=False) as here:
        assert (await answer(here.port, "/v1/voice/session", *ours))[0] == 401
    with region_process(keyed, "--loopback-only", "--workers", "2") as process:
        await until_ready(process)
        assert await answer(process.port, "/v1/voice/session", *ours) == (403, "origin_refused")
        assert (await answer(process.port, "/v1/voice/session", "localhost"))[0] == 401
