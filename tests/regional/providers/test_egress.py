"""The way out to providers: through the proxy that the environment names, or directly, whoever the vendor is."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.promptness import DEADLINE_S
from tests.regional.providers.connect_proxy import connect_proxy

from repartee.app.settings import read_settings
from repartee.doctor.network_checks import Unreachable, knock
from repartee.errors import ConfigurationError, ProviderError
from repartee.launch import certificate
from repartee.pool.settings import PoolSettings
from repartee.providers import openai_chat, socket_dial, tunnel
from repartee.providers.cartesia import CartesiaSettings, CartesiaTTS
from repartee.providers.deepgram import FluxSettings, FluxSTT, NovaSettings, NovaSTT
from repartee.providers.egress import bypasses, proxy_for, read_proxy
from repartee.providers.elevenlabs import ElevenLabsSettings, ElevenLabsTTS
from repartee.providers.openai_chat import ChatLLM, ChatSettings
from repartee.providers.openai_realtime import OpenAIRealtime, RealtimeSettings
from repartee.standins.server import Running

POOL = PoolSettings(spare=1, young_s=0.0, keepalive_s=30)
ONCE = PoolSettings(spare=1, young_s=0.0, single_use=True, keepalive_s=None)

VENDORS: dict[str, Callable[[str], Any]] = {
    "flux": lambda url: FluxSTT(FluxSettings(url, "k", pool=ONCE)),
    "nova": lambda url: NovaSTT(NovaSettings(url, "k", pool=ONCE)),
    "cartesia": lambda url: CartesiaTTS(CartesiaSettings(url, "k", "v", pool=POOL)),
    "realtime": lambda url: OpenAIRealtime(RealtimeSettings(f"{url}/v1", "k", "stand-in", pool=ONCE)),
    "chat": lambda url: ChatLLM(ChatSettings(f"{url}/v1", "k", "stand-in", pool=POOL)),
}
HOST = "vendor.example"
VARIABLES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def no_proxy_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def direct(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The hosts that are dialled by their own name; each is this machine."""
    dialled: list[str] = []

    async def connected(host: str, port: int) -> socket.socket:
        dialled.append(host)
        made = socket.socket()
        made.setblocking(False)
        await asyncio.get_running_loop().sock_connect(made, ("127.0.0.1", port))
        return made

    monkeypatch.setattr(tunnel, "connected", connected)
    return dialled


@asynccontextmanager
async def started(provider: Any) -> AsyncIterator[Any]:
    await provider.start()
    try:
        async with asyncio.timeout(DEADLINE_S):
            await provider.wait_warm(DEADLINE_S)
        yield provider
    finally:
        await provider.aclose()


def there(standins: Running) -> str:
    return f"http://{HOST}:{standins.base_url.rpartition(':')[2]}"


@pytest.mark.parametrize("name", list(VENDORS))
async def test_every_vendor_is_reached_through_the_proxy(
    name: str, standins: Running, direct: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with connect_proxy() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url.replace("//", "//me:secret@"))
        async with started(VENDORS[name](there(standins))):
            assert set(proxy.asked) == {there(standins).removeprefix("http://")}
            assert set(proxy.authorizations) == {"Basic bWU6c2VjcmV0"}
            assert set(direct) == {"127.0.0.1"}, "the proxy alone is dialled"


@pytest.mark.parametrize("name", list(VENDORS))
async def test_every_vendor_in_no_proxy_is_reached_directly(
    name: str, standins: Running, direct: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with connect_proxy() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("NO_PROXY", f"other.example,{HOST}")
        async with started(VENDORS[name](there(standins))):
            assert proxy.asked == []
            assert set(direct) == {HOST}


async def test_a_vendor_without_a_stand_in_is_too(monkeypatch: pytest.MonkeyPatch) -> None:
    async with connect_proxy("HTTP/1.1 403 Forbidden") as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        voice = ElevenLabsTTS(ElevenLabsSettings("https://voice.example", "k", "v", pool=POOL))
        with pytest.raises(ProviderError, match=r"opens no tunnel to voice\.example:443: 403 Forbidden"):
            await voice.speak(1)
        await voice.aclose()
    assert proxy.asked[0] == "voice.example:443"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("HTTP/1.1 407 Proxy Authentication Required", "opens no tunnel to .*: 407 Proxy Authentication"),
        ("SSH-2.0-OpenSSH", "is no HTTP proxy"),
        ("HTTP/1.1 200 OK\r\n\r\nhello", "is no HTTP proxy"),
    ],
)
async def test_what_a_proxy_refuses_is_said_with_its_variable(
    answer: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with connect_proxy(answer) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url.replace("//", "//me:secret@"))
        brain = ChatLLM(ChatSettings(f"http://{HOST}:1/v1", "k", "m", pool=POOL))
        with pytest.raises(ProviderError, match=rf"\(HTTP_PROXY\) {said}") as raised:
            await brain.acquire()
        assert "secret" not in str(raised.value)
        assert raised.value.retryable
        await brain.aclose()


async def test_a_proxy_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "127.0.0.1:9")
    ears = FluxSTT(FluxSettings(f"https://{HOST}", "k", pool=ONCE))
    with pytest.raises(ProviderError, match=r"the proxy at 127.0.0.1:9 \(ALL_PROXY\) cannot be reached"):
        await ears.listen()
    await ears.aclose()


async def test_the_doctor_goes_the_same_way(
    standins: Running, direct: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with connect_proxy() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        met = await knock(there(standins), "DEEPGRAM_BASE_URL")
        assert len(proxy.asked) == 2, "the look and the request"
    assert met.words.startswith(f"through the proxy at {proxy.url.removeprefix('http://')} (HTTP_PROXY): TCP")
    async with connect_proxy("HTTP/1.1 502 Bad Gateway") as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        with pytest.raises(Unreachable, match="502 Bad Gateway") as raised:
            await knock(there(standins), "DEEPGRAM_BASE_URL")
    assert "NO_PROXY" in raised.value.remedy


@asynccontextmanager
async def with_tls(
    standins: Running, folder: Path, monkeypatch: pytest.MonkeyPatch, *, trusted: bool
) -> AsyncIterator[int]:
    """The stand-ins behind TLS, with a certificate for HOST that our own dials trust, or do not; the port."""
    monkeypatch.setattr(certificate, "NAMES", (HOST,))
    files = certificate.make_certificate(folder)
    context = ssl.create_default_context(cafile=str(files[0]) if trusted else None)
    for module in (openai_chat, socket_dial):
        monkeypatch.setattr(module, "tls_context", lambda: context)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    behind = int(standins.base_url.rpartition(":")[2])
    async with certificate.tls_in_front("127.0.0.1", port, behind, files):
        yield port


@pytest.mark.parametrize(
    ("host", "trusted", "said"),
    [
        (HOST, True, None),
        (HOST, False, "certificate verify failed"),
        ("wrong.example", True, "certificate is not valid for 'wrong.example'"),
    ],
    ids=["trusted", "untrusted", "wrong name"],
)
@pytest.mark.parametrize("name", ["flux", "chat"])
@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "NO_PROXY"])
async def test_tls_is_with_the_vendor_whatever_the_way(
    variable: str,
    name: str,
    host: str,
    trusted: bool,
    said: str | None,
    standins: Running,
    direct: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with (
        connect_proxy() as proxy,
        with_tls(standins, tmp_path, monkeypatch, trusted=trusted) as port,
    ):
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        monkeypatch.setenv("NO_PROXY", "*" if variable == "NO_PROXY" else "")
        provider = VENDORS[name](f"https://{host}:{port}")
        if said is None:
            async with started(provider):
                assert bool(proxy.asked) is (variable == "HTTPS_PROXY")
            return
        with pytest.raises(ProviderError, match=said):
            await provider.acquire()
        await provider.aclose()


@pytest.mark.parametrize("value", ["https://proxy.example:3128", "socks5://proxy.example", "http://", "a:b"])
@pytest.mark.parametrize("variable", VARIABLES[:3])
def test_a_proxy_that_cannot_be_used_stops_the_start_by_name(variable: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{variable}: must"):
        read_settings({variable: value})
    with pytest.raises(ConfigurationError, match=f"{variable}: must"):
        read_settings({variable.lower(): value})


def test_a_proxys_password_is_not_shown() -> None:
    with pytest.raises(ConfigurationError) as raised:
        read_settings({"HTTPS_PROXY": "socks5://me:xyzzy@proxy.example"})
    assert "xyzzy" not in str(raised.value)
    assert "xyzzy" not in repr(read_settings({"HTTPS_PROXY": "http://me:xyzzy@proxy.example"}))
    assert "bWU6eHl6enk=" not in repr(read_proxy("HTTPS_PROXY", "http://me:xyzzy@proxy.example"))


@pytest.mark.parametrize(
    ("listed", "host", "port", "named"),
    [
        ("*", "api.example.com", 443, True),
        ("example.com", "example.com", 443, True),
        ("example.com", "api.example.com", 443, True),
        ("example.com", "notexample.com", 443, False),
        (".example.com", "example.com", 443, False),
        (".example.com", "api.example.com", 443, True),
        ("*.example.com", "api.example.com", 443, True),
        ("EXAMPLE.com ", "api.Example.com.", 443, True),
        ("example.com:8080", "example.com", 443, False),
        ("example.com:443", "example.com", 443, True),
        ("10.0.0.0/8", "10.1.2.3", 80, True),
        ("10.0.0.0/8", "11.1.2.3", 80, False),
        ("10.1.2.3", "10.1.2.3", 80, True),
        ("[2001:db8::1]:80", "2001:db8::1", 80, True),
        ("2001:db8::/32", "2001:db8::1", 80, True),
        ("example.com", "10.1.2.3", 80, False),
        ("a.example, b.example", "b.example", 80, True),
        ("", "example.com", 80, False),
        (",:80", "example.com", 80, False),
    ],
)
def test_no_proxy(listed: str, host: str, port: int, named: bool) -> None:
    assert bypasses(listed, host, port) is named


@pytest.mark.parametrize(
    ("environment", "secure", "variable"),
    [
        ({"HTTPS_PROXY": "a:1"}, True, "HTTPS_PROXY"),
        ({"HTTPS_PROXY": "a:1"}, False, None),
        ({"HTTP_PROXY": "a:1"}, False, "HTTP_PROXY"),
        ({"HTTP_PROXY": "a:1"}, True, None),
        ({"ALL_PROXY": "a:1"}, True, "ALL_PROXY"),
        ({"all_proxy": "a:1", "HTTPS_PROXY": "b:1"}, True, "HTTPS_PROXY"),
        ({"HTTPS_PROXY": "a:1", "no_proxy": "api.example.com"}, True, None),
        ({}, True, None),
    ],
)
def test_which_variable_counts(environment: dict[str, str], secure: bool, variable: str | None) -> None:
    proxy = proxy_for("api.example.com", 443, secure=secure, environment=environment)
    assert (proxy.variable if proxy else None) == variable


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "::1", "up.localhost"])
def test_this_machine_is_never_asked_of_a_proxy(host: str) -> None:
    assert proxy_for(host, 80, secure=False, environment={"HTTP_PROXY": "a:1", "ALL_PROXY": "a:1"}) is None


def test_lower_case_goes_before_upper() -> None:
    environment = {"HTTPS_PROXY": "upper:1", "https_proxy": "lower:1"}
    proxy = proxy_for("api.example.com", 443, secure=True, environment=environment)
    assert proxy is not None
    assert proxy.host == "lower"
