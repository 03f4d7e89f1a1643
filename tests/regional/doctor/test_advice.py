"""The doctor's advice is tried: a fault is made, what it says to change is changed, and it finds nothing wrong."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager

import pytest
from tests.regional.app.running import stand_ins
from tests.regional.tcp_server import tcp

from repartee.doctor.examination import examine
from repartee.doctor.findings import Finding


@pytest.fixture(scope="module")
def good() -> Iterator[dict[str, str]]:
    with stand_ins() as variables:
        yield variables


async def faults(environment: Mapping[str, str]) -> list[Finding]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    return [finding for finding in await examine(environment, port=port) if finding.fault]


async def advice_works(good: Mapping[str, str], wrong: Mapping[str, str]) -> str:
    """What it says of the fault. The variables that its advice names are put right, and no others."""
    found = await faults({**good, **wrong})
    assert len({finding.subject for finding in found}) == 1, found
    [remedy] = {finding.remedy for finding in found}
    named = set(re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", f"{found[0].subject} {found[0].told} {remedy}"))
    assert named & wrong.keys(), remedy
    put_right = {name: value for name, value in wrong.items() if name not in named}
    assert await faults({**good, **put_right}) == []
    return f"{found[0].told} {remedy}"


@pytest.mark.parametrize("account", ["DEEPGRAM", "OPENAI", "CARTESIA"])
async def test_a_wrong_key(good: dict[str, str], account: str) -> None:
    assert "the key is refused" in await advice_works(good, {f"{account}_API_KEY": "bad-key"})


@pytest.mark.parametrize("account", ["DEEPGRAM", "OPENAI", "CARTESIA"])
async def test_no_key(good: dict[str, str], account: str) -> None:
    assert "Export" in await advice_works(good, {f"{account}_API_KEY": ""})


async def test_a_base_url_without_its_v1(good: dict[str, str]) -> None:
    said = await advice_works(good, {"OPENAI_BASE_URL": good["OPENAI_BASE_URL"].removesuffix("/v1")})
    assert "/v1" in said


async def test_an_unknown_model(good: dict[str, str]) -> None:
    found = await faults({**good, "REPARTEE_LLM_MODEL": "no-such-model"})
    assert "`no-such-model`" in found[0].told
    assert "the model's name" in found[0].remedy
    assert await faults(good) == []


@pytest.mark.parametrize("account", ["DEEPGRAM", "OPENAI", "CARTESIA"])
@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "https://nowhere.invalid"])
async def test_a_host_where_nobody_is(good: dict[str, str], account: str, url: str) -> None:
    await advice_works(good, {f"{account}_BASE_URL": url})


@pytest.mark.parametrize(
    "wrong",
    [
        {"REPARTEE_FLUX_IDLE_S": "soon"},
        {"HTTPS_PROXY": "socks5://proxy.example"},
        {"REPARTEE_STT": "whisper"},
        {"REPARTEE_CARTESIA_SPEED": "9"},
    ],
    ids=lambda wrong: str(next(iter(wrong))),
)
async def test_a_wrong_setting(good: dict[str, str], wrong: dict[str, str]) -> None:
    await advice_works(good, wrong)


@asynccontextmanager
async def redirecting(where: str) -> AsyncIterator[str]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(
            f"HTTP/1.1 308 Permanent Redirect\r\nLocation: {where}\r\nContent-Length: 0\r\n\r\n".encode()
        )

    async with tcp(answer) as url:
        yield url


@pytest.mark.parametrize("account", ["DEEPGRAM", "OPENAI", "CARTESIA"])
async def test_an_address_that_has_moved(good: dict[str, str], account: str) -> None:
    """The advice is to set the variable to where it redirects, which the message says."""
    variable = f"{account}_BASE_URL"
    path = "/models" if account == "OPENAI" else ""
    async with redirecting(good[variable] + path) as old:
        [found] = await faults({**good, variable: old})
    assert f"Set {variable} to where it redirects" in found.remedy
    [where] = re.findall(r"to (http://\S+) \(status 308\)", found.told)
    assert await faults({**good, variable: where.removesuffix("/models").rstrip("/")}) == []
