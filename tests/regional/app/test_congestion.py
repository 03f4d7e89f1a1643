"""A call's connection has BBR where the host lets its users have it, and is no worse for it where not."""

import asyncio
import socket
from pathlib import Path

import pytest
from tests.regional.app.test_client_socket import App, connected

from repartee.app import congestion

ALLOWED = Path("/proc/sys/net/ipv4/tcp_allowed_congestion_control")


def bbr_is_allowed() -> bool:
    return ALLOWED.exists() and "bbr" in ALLOWED.read_text().split()


def algorithms(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What each connection has before it asks and after; it begins with Reno, which every host has."""
    seen: list[tuple[str, str]] = []
    ask = congestion.ask_for_bbr

    def asking(transport: asyncio.BaseTransport) -> bool:
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno")
        before = _algorithm(connection)
        done = ask(transport)
        seen.append((before, _algorithm(connection)))
        return done

    monkeypatch.setattr("repartee.app.client_socket.ask_for_bbr", asking)
    return seen


def _algorithm(connection: socket.socket) -> str:
    return str(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0"), "ascii")


async def test_a_call_has_bbr_where_the_host_lets_it(monkeypatch: pytest.MonkeyPatch) -> None:
    if not bbr_is_allowed():
        pytest.skip("this host does not let its users have bbr")
    seen = algorithms(monkeypatch)
    async with connected(App()) as call:
        await call.send("hello")
    assert seen == [("reno", "bbr")]


async def test_a_host_without_it_has_the_call_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(congestion, "WANTED", b"no such thing")
    seen = algorithms(monkeypatch)
    app = App()
    async with connected(app) as call:
        await call.send("hello")
        await app.waiting.wait()
    assert seen == [("reno", "reno")]
    assert app.received == ["hello"]
