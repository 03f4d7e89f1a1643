"""Clocks that are wrong: the doctor tells of them, and of one liar it makes nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.utils import formatdate

import pytest
from tests.regional.app.running import TICKET_KEY
from tests.regional.doctor.test_doctor import faults

from repartee.doctor.network_checks import check_clock


@asynccontextmanager
async def answering(body: str = "", *, at_s: float = 0) -> AsyncIterator[str]:
    """A server that says the same to everybody, and in whose world it is this time."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        date = formatdate(at_s, usegmt=True)
        while (await reader.readline()).strip():
            pass
        head = f"HTTP/1.1 200 OK\r\nDate: {date}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        writer.write(f"{head}{body}".encode())
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_a_clock_that_is_wrong(
    providers: dict[str, str], port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with answering(at_s=1_800_000_000) as url:
        monkeypatch.setattr("time.time", lambda: 1_800_000_090.0)
        environment = {**providers, "REPARTEE_EDGE_URL": url, "REPARTEE_TICKET_KEY": TICKET_KEY}
        found = await faults(environment, port)
    assert found.keys() == {"clock"}
    assert "90 s fast" in found["clock"].told
    assert "NTP" in found["clock"].remedy


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        ('{"protection": {"ProtectionEnabled": false, "TaskArn": "arn:x"}}', ""),
        ('{"error": {"Code": "AccessDeniedException"}}', "AccessDeniedException"),
    ],
)
async def test_a_task_that_may_not_protect_itself(
    providers: dict[str, str], port: int, said: str, fault: str
) -> None:
    async with answering(said) as url:
        found = await faults({**providers, "ECS_AGENT_URI": f"{url}/api/x"}, port)
    assert found.keys() == ({"task protection"} if fault else set())
    if fault:
        assert fault in found["task protection"].told
        assert "ecs:UpdateTaskProtection" in found["task protection"].remedy


def test_clocks_differ_a_little_and_one_liar_does_not_count() -> None:
    assert not check_clock([]).fault
    assert not check_clock([1.2, -0.4, 4000]).fault
    assert "6 s slow" in check_clock([6.0, 6.1, 0.0]).told
    assert check_clock([6.0, 6.1, 0.0]).fault
