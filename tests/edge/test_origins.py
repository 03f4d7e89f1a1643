"""Whom a server with everybody's key takes: pages and hosts of this machine, and those that are listed."""

import pytest

from repartee_edge.origins import is_loopback, refusal

TUNNEL = "https://me.tunnel.example"


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:8787", "127.0.0.1:1", "127.9.9.9", "[::1]", "[::1]:8787", "app.localhost:3000"],
)
def test_this_machine_is_taken_by_each_of_its_names(host: str) -> None:
    assert is_loopback(host)
    assert refusal(f"http://{host.lower()}", host) is None
    assert refusal(None, host) is None and refusal(None, None) is None


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example:8787",
        "127.0.0.1.nip.io",
        "0.0.0.0",
        "192.168.1.5:8787",
        "localhost@evil.example",
        "localhost:8787/@evil.example",
        "[::1",
        "",
        "127.1.evil.example",
        "evil.example#localhost",
    ],
)
def test_no_other_name_is(host: str) -> None:
    assert not is_loopback(host)
    assert refusal("http://localhost:8787", host) is not None, "another name that leads here"
    assert refusal(f"http://{host}", "localhost:8787") is not None, "another site's page"


@pytest.mark.parametrize("origin", ["null", "", "file://", "chrome-extension://abcdef", "localhost"])
def test_an_origin_that_is_no_page_of_this_machine_is_refused(origin: str) -> None:
    assert refusal(origin, "localhost:8787") is not None


def test_a_listed_origin_lets_in_its_pages_and_its_host() -> None:
    for host in ("me.tunnel.example", "ME.tunnel.example:443", "localhost:8787"):
        assert refusal(TUNNEL, host, [TUNNEL]) is None
    assert refusal(None, "me.tunnel.example", [TUNNEL]) is None
    assert refusal("http://me.tunnel.example", "localhost", [TUNNEL]) is not None
    assert refusal(TUNNEL, "me.tunnel.example:80", [TUNNEL]) is not None
    assert refusal("https://any.example", "any.example", ["*"]) is None


def test_the_refusal_says_what_to_do() -> None:
    for words in (refusal("https://evil.example", "localhost"), refusal(None, "evil.example")):
        assert (
            words is not None and "'" in words and "https://evil.example in REPARTEE_ALLOWED_ORIGINS" in words
        )
