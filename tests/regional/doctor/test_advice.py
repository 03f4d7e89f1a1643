"""The doctor's advice is tried: a fault is made, what it says to change is changed, and it finds nothing wrong."""

import asyncio
import base64
import json
import re
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from tests.regional.app.running import stand_ins
from tests.regional.tcp_server import tcp
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from repartee.agent.agent import Agent
from repartee.app.settings import read_settings
from repartee.app.vendors_in_use import open_vendors
from repartee.doctor.examination import examine
from repartee.doctor.findings import Finding
from repartee.errors import ConfigurationError
from repartee.launch import certificate
from repartee.providers.sockets import tls_context


@pytest.fixture(scope="module")
def good() -> Iterator[dict[str, str]]:
    with stand_ins() as variables:
        yield variables


async def examined(environment: Mapping[str, str]) -> list[Finding]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    return await examine(environment, port=port)


async def faults(environment: Mapping[str, str]) -> list[Finding]:
    return [finding for finding in await examined(environment) if finding.fault]


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
    assert "`no-such-model`" in await advice_works(good, {"REPARTEE_LLM_MODEL": "no-such-model"})


NAMED = {
    "REPARTEE_LLM": "openai,quick",
    "REPARTEE_LLM_QUICK_MODEL": "gpt-4.1-mini",
    "REPARTEE_LLM_QUICK_KEY": "quick-key",
}


@pytest.mark.parametrize(
    "wrong",
    [
        {"REPARTEE_LLM_QUICK_MODEL": "no-such-model"},
        {"REPARTEE_LLM_QUICK_KEY": "bad-key"},
        {"REPARTEE_LLM_QUICK_KEY": ""},
        {"REPARTEE_LLM_QUICK_URL": "http://127.0.0.1:9/v1"},
    ],
    ids=["model", "key", "no-key", "address"],
)
async def test_a_language_model_of_ones_own(good: dict[str, str], wrong: dict[str, str]) -> None:
    await advice_works({**good, **NAMED, "REPARTEE_LLM_QUICK_URL": good["OPENAI_BASE_URL"]}, wrong)


async def test_a_flux_voice_that_there_is_not(good: dict[str, str]) -> None:
    environment = {**good, "REPARTEE_TTS": "flux-tts"}
    said = await advice_works(environment, {"REPARTEE_VOICE_FLUX_TTS": "aura-2-thalia-en"})
    assert "aura-2-thalia-en" in said or "model must be" in said


@asynccontextmanager
async def voices(refusal: Callable[[dict[str, Any]], dict[str, Any] | None]) -> AsyncIterator[str]:
    """A server of voices that speaks as Cartesia does, but for what it refuses; ``refusal`` gives its words."""

    async def session(connection: ServerConnection) -> None:
        async for message in connection:
            asked = json.loads(message)
            context = {"context_id": asked.get("context_id"), "type": "error"}
            said = refusal(asked)
            answers = [
                {"type": "chunk", "data": base64.b64encode(b"\x00\x20" * 2400).decode(), "status_code": 206},
                {"type": "done", "done": True, "status_code": 200},
            ]
            for answer in [said] if said else answers:
                await connection.send(json.dumps({**context, **answer}))

    def admit(connection: ServerConnection, request: Request) -> Response | None:
        is_call = "upgrade" in request.headers.get("Connection", "").lower()
        return None if is_call else connection.respond(200, "")

    async with serve(session, "127.0.0.1", 0, process_request=admit) as server:
        yield f"http://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"


@pytest.mark.parametrize("variable", ["REPARTEE_VOICE", "REPARTEE_VOICE_CARTESIA"])
async def test_a_voice_that_there_is_not(good: dict[str, str], variable: str) -> None:
    def refusal(asked: dict[str, Any]) -> dict[str, Any] | None:
        words = {"title": "Voice not found", "message": "no parrot", "status_code": 404}
        return words if asked.get("voice", {}).get("id") == "parrot" else None

    async with voices(refusal) as url:
        said = await advice_works({**good, "CARTESIA_BASE_URL": url}, {variable: "parrot"})
    assert "Voice not found: no parrot" in said


async def test_a_voices_model_that_there_is_not(good: dict[str, str]) -> None:
    def refusal(asked: dict[str, Any]) -> dict[str, Any] | None:
        words = {"title": "Invalid model", "message": "no such model", "status_code": 400}
        return words if asked.get("model_id") == "sonic-0" else None

    async with voices(refusal) as url:
        environment = {**good, "CARTESIA_BASE_URL": url}
        await advice_works(environment, {"REPARTEE_CARTESIA_MODEL": "sonic-0"})


@asynccontextmanager
async def chatting(allowed: set[str], ends: Mapping[str, date] | None = None) -> AsyncIterator[str]:
    """A server of chat completions for keys; those that are not ``allowed`` lack a permission. ``ends``: the days on
    which models are shut down."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while head := (await reader.readuntil(b"\r\n\r\n")).decode():
                length = re.search(r"content-length: (\d+)", head.lower())
                await reader.readexactly(int(length[1]) if length else 0)
                key = (re.findall(r"[Bb]earer (\S+)", head) or [""])[0]
                words = "You have insufficient permissions. Missing scopes: model.request."
                model = head.split()[1].rpartition("/")[2]
                day = (ends or {}).get(model)
                told = {"id": model, "object": "model", "shutdown_date": day.isoformat()} if day else {}
                body = json.dumps({"error": {"message": words}} if key not in allowed else told).encode()
                status = b"200 OK" if key in allowed else b"403 Forbidden"
                writer.write(b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n" % (status, len(body)) + body)

    async with tcp(answer) as url:
        yield f"{url}/v1"


async def test_a_permission_that_the_key_lacks(good: dict[str, str]) -> None:
    """The advice is to give the key what it lacks, which is done where keys are made."""
    allowed: set[str] = set()
    async with chatting(allowed) as url:
        environment = {**good, "OPENAI_BASE_URL": url, "OPENAI_API_KEY": "restricted-key"}
        [found] = await faults(environment)
        assert "Missing scopes: model.request" in found.told
        assert "Give the key in OPENAI_API_KEY the permission that it lacks" in found.remedy
        allowed.add("restricted-key")
        assert await faults(environment) == []


@pytest.mark.parametrize("days", [90, 1, -1], ids=["soon", "tomorrow", "past"])
async def test_a_model_that_is_shut_down(good: dict[str, str], days: int) -> None:
    """The advice is to name another; a day that is to come is told without a fault."""
    ends = {"old-model": datetime.now(UTC).date() + timedelta(days=days)}
    async with chatting({good["OPENAI_API_KEY"]}, ends) as url:
        environment = {**good, "OPENAI_BASE_URL": url}
        found = await examined({**environment, "REPARTEE_LLM_MODEL": "old-model"})
        [about] = [finding for finding in found if finding.subject == "model"]
        assert [finding.subject for finding in found if finding.fault] == (["model"] if days < 0 else [])
        assert "REPARTEE_LLM_MODEL" in about.told
        assert re.search("[Nn]ame another", f"{about.told} {about.remedy}")
        found = await examined({**environment, "REPARTEE_LLM_MODEL": "new-model"})
    assert not any(finding.fault or finding.subject == "model" for finding in found)


@pytest.fixture
def trusted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Has this process trust the certificates in a file, as a new one does that finds it in SSL_CERT_FILE."""

    def trust(file: str) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", file)
        tls_context.cache_clear()

    yield trust
    monkeypatch.undo()
    tls_context.cache_clear()


@asynccontextmanager
async def behind_tls(url: str, folder: Path) -> AsyncIterator[tuple[int, str]]:
    """What is at ``url`` behind TLS, with a certificate that was just made; gives its port and that file."""
    files = certificate.make_certificate(folder)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    async with certificate.tls_in_front("127.0.0.1", port, urlsplit(url).port or 0, files):
        yield port, str(files[0])


@pytest.mark.parametrize("account", ["DEEPGRAM", "OPENAI", "CARTESIA"])
async def test_a_certificate_that_is_not_trusted(
    good: dict[str, str], account: str, tmp_path: Path, trusted: Callable[[str], None]
) -> None:
    url = good[f"{account}_BASE_URL"]
    async with behind_tls(url, tmp_path) as (port, file):
        environment = {**good, f"{account}_BASE_URL": f"https://127.0.0.1:{port}{urlsplit(url).path}"}
        [found] = await faults(environment)
        assert "self-signed certificate" in found.told
        assert "SSL_CERT_FILE" in found.remedy
        trusted(file)
        assert await faults(environment) == []


async def test_a_certificate_that_has_expired(
    good: dict[str, str], tmp_path: Path, trusted: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(certificate, "LIFE", timedelta(minutes=-1))
    async with behind_tls(good["DEEPGRAM_BASE_URL"], tmp_path) as (port, file):
        trusted(file)
        [found] = await faults({**good, "DEEPGRAM_BASE_URL": f"https://127.0.0.1:{port}"})
    assert "certificate has expired" in found.told
    assert "clock" in found.remedy
    assert "the server in DEEPGRAM_BASE_URL has to be renewed" in found.remedy
    monkeypatch.setattr(certificate, "LIFE", timedelta(days=1))
    async with behind_tls(good["DEEPGRAM_BASE_URL"], tmp_path) as (port, file):
        trusted(file)
        assert await faults({**good, "DEEPGRAM_BASE_URL": f"https://127.0.0.1:{port}"}) == []


@pytest.mark.parametrize("account", ["DEEPGRAM", "OPENAI", "CARTESIA"])
async def test_a_certificate_of_another_name(
    good: dict[str, str],
    account: str,
    tmp_path: Path,
    trusted: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(certificate, "NAMES", ("vendor.example",))
    variable, path = f"{account}_BASE_URL", urlsplit(good[f"{account}_BASE_URL"]).path
    async with behind_tls(good[variable], tmp_path) as (port, file):
        trusted(file)
        [found] = await faults({**good, variable: f"https://localhost:{port}{path}"})
        assert "certificate is not valid for 'localhost'" in found.told
        assert f"Check {variable}: it must name the host as the server's certificate" in found.remedy
        assert await faults({**good, variable: f"https://127.0.0.1:{port}{path}"}) == []


@pytest.mark.parametrize("account", ["DEEPGRAM", "OPENAI", "CARTESIA"])
async def test_a_server_without_tls(good: dict[str, str], account: str) -> None:
    url = good[f"{account}_BASE_URL"]
    said = await advice_works(good, {f"{account}_BASE_URL": url.replace("http:", "https:")})
    assert "may speak http:// only" in said


@pytest.mark.parametrize("provider", ["deepgram", "openai", "cartesia"])
@pytest.mark.parametrize(
    ("kind", "advice"),
    [("rate_limited", "Look at the account's balance, limits"), ("server_error", "look at its status page")],
)
async def test_what_passes(good: dict[str, str], provider: str, kind: str, advice: str) -> None:
    """A limit, or a provider that fails: the advice is to look there; once it is over, all is well."""
    async with httpx.AsyncClient() as client:
        url = f"{good['DEEPGRAM_BASE_URL']}/standins/faults"
        fault = {"kind": kind, "provider": provider, "count": 1000}
        assert (await client.post(url, json=fault)).is_success
        try:
            found = await faults(good)
        finally:
            assert (await client.delete(url)).is_success
    assert found and all(advice in one.remedy for one in found)
    assert await faults(good) == []


async def test_a_proxy_that_is_not_there(good: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The advice is about the proxy, and not about the address behind it."""
    environment = {**good, "DEEPGRAM_BASE_URL": "https://deepgram.invalid"}
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    [found] = await faults(environment)
    assert "127.0.0.1:9" in found.told
    assert "NO_PROXY" in found.remedy
    monkeypatch.setenv("NO_PROXY", "deepgram.invalid")
    [found] = await faults(environment)
    assert "deepgram.invalid has no address" in found.told


async def test_too_many_keyterms(good: dict[str, str]) -> None:
    agent = Agent("Answer.", keyterms=[f"term{number}" for number in range(101)])
    with pytest.raises(ConfigurationError, match="leave some out of Agent"):
        open_vendors(read_settings(good), agent, relayed=False)
    for opened in open_vendors(
        read_settings(good), Agent("Answer.", keyterms=agent.keyterms[:100]), relayed=False
    ):
        await opened.provider.aclose()


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
