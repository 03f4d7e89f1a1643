"""Settings: read once, all faults at once, no secret in any of them."""

import pytest
from tests.edge.conftest import ROOT

from repartee_edge.settings import SETTING_NAMES, SettingsError, read_settings
from repartee_edge.telephone.names import KEY_NAMES

GOOD = {"REPARTEE_API_KEY": "dev", "REPARTEE_TICKET_KEY": "k" * 40}


def test_two_settings_are_enough_and_the_shipped_regions_are_used() -> None:
    settings = read_settings(GOOD)
    assert [region.name for region in settings.table.enabled] == ["us-east", "eu-west"]
    assert settings.failover.attempt_ms == 800 and settings.allowed_origins == frozenset()


def test_every_wrong_setting_is_named_and_no_secret_is_shown() -> None:
    wrong = {
        "REPARTEE_API_KEY": "a:sk-hush b",
        "REPARTEE_TICKET_KEY": "hush-hush",
        "REPARTEE_TICKET_KEY_PREVIOUS": "hush-older",
        "REPARTEE_REGIONS": '{"regions": [{"name": "X"}]}',
        "REPARTEE_ALLOWED_ORIGINS": "shop.example",
        "REPARTEE_TRUSTED_PROXIES": "10.0.0.0/8, nearby",
        "REPARTEE_EDGE_COLO": "??",
        "REPARTEE_ATTEMPT_MS": "soon",
        "REPARTEE_RATE_PER_KEY": "0",
        "REPARTEE_RATE_PER_IP": "-1",
        "REPARTEE_CALLS_PER_KEY": "none",
        "REPARTEE_CALLS_PER_TOKEN": "0",
        "REPARTEE_EDGE_DRAIN_S": "1.5",
        "REPARTEE_EDGE_PROBE_S": "0",
        "REPARTEE_PUBLIC_URL": "voice.example.com",
        "REPARTEE_TELEPHONE_NUMBERS": '["+15550100"]',
        "REPARTEE_TELEPHONE_MEDIA": "twilio=nowhere",
        "REPARTEE_TELEPHONE_BUSY": "b" * 501,
        **dict.fromkeys(KEY_NAMES, "hush hush"),
    }
    assert set(wrong) == set(SETTING_NAMES)
    with pytest.raises(SettingsError) as refused:
        read_settings(wrong)
    words = str(refused.value)
    for name in wrong:
        assert (name if name != "REPARTEE_REGIONS" else "regions:") in words
    assert "hush" not in words and len(refused.value.faults) >= len(wrong)


def test_the_previous_key_may_be_empty_and_a_start_without_settings_says_what_to_set() -> None:
    assert read_settings({**GOOD, "REPARTEE_TICKET_KEY_PREVIOUS": ""}).ticket_keys.previous is None
    with pytest.raises(SettingsError, match="REPARTEE_API_KEY is not set") as refused:
        read_settings({})
    assert len(refused.value.faults) == 2


def test_the_docs_list_every_setting() -> None:
    text = "".join(path.read_text() for path in (ROOT / "docs").glob("operations*.md"))
    assert [name for name in SETTING_NAMES if f"`{name}`" not in text] == []
