"""A key that everybody knows does not go with an address that everybody reaches: at a region, the edge and `up`."""

import os
import sys

import pytest
from tests.regional.app.running import TICKET_KEY, clean_environment

from repartee.cli.main import main
from repartee.errors import ConfigurationError
from repartee.launch.exposure import check_exposure, has_known_key, is_loopback

KEYS = {
    "DEEPGRAM_API_KEY": "a",
    "OPENAI_API_KEY": "b",
    "CARTESIA_API_KEY": "c",
    "REPARTEE_TICKET_KEY": TICKET_KEY,
}


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "laptop.example", ""])
def test_other_addresses_are_refused(host: str) -> None:
    assert not is_loopback(host)
    with pytest.raises(ConfigurationError, match="a key of your own"):
        check_exposure(host, "dev")
    check_exposure(host, "sk-of-my-own")
    check_exposure(host, "")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_is_fine(host: str) -> None:
    check_exposure(host, "dev")


@pytest.mark.parametrize("keys", ["dev", "local:dev", "shop:sk-1, me:dev", " dev "])
def test_the_known_key_is_found_among_others(keys: str) -> None:
    assert has_known_key(keys)


@pytest.mark.parametrize("keys", ["", "dev:sk-1", "developer", "shop:sk-dev"])
def test_other_keys_are_not_taken_for_it(keys: str) -> None:
    assert not has_known_key(keys)


@pytest.mark.parametrize(
    ("command", "environment"),
    [
        (["region"], {"REPARTEE_API_KEY": "dev"}),
        (["region", "--workers", "2"], {"REPARTEE_API_KEY": "local:dev"}),
        (["edge"], {"REPARTEE_API_KEY": "dev"}),
        (["up"], {}),
        (["up"], {"REPARTEE_API_KEY": "dev"}),
    ],
)
def test_the_start_ends_with_the_reason_and_what_to_do(
    command: list[str],
    environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(os, "environ", clean_environment() | KEYS | environment)
    monkeypatch.setattr(sys, "argv", ["repartee", *command, "--host", "0.0.0.0"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    told = " ".join(capsys.readouterr().err.split())
    assert "--host 0.0.0.0 does not go with the API key 'dev'" in told
    assert "Set REPARTEE_API_KEY to a key of your own" in told
