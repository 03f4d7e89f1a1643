"""Settings: read once, all faults told together, no secret shown, and every one documented."""

import re
from pathlib import Path

import pytest

from repartee.app.settings import Settings, read_settings, variable_of
from repartee.app.vendors_in_use import check_keys
from repartee.errors import ConfigurationError

OPERATIONS = Path(__file__).parents[3] / "docs" / "operations.md"


def faults(**environment: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        read_settings(environment)
    return str(caught.value)


def test_nothing_set_is_a_setting_too() -> None:
    settings = read_settings({})
    assert (settings.stt, settings.tts, settings.region, settings.max_calls) == (
        "flux",
        "cartesia",
        "local",
        100,
    )


def test_empty_is_not_set() -> None:
    assert read_settings({"REPARTEE_MAX_CALLS": "", "REPARTEE_STT": ""}) == read_settings({})


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPARTEE_MAX_CALLS", "7")
    monkeypatch.setenv("REPARTEE_STT", "nova")
    settings = read_settings()
    assert (settings.max_calls, settings.stt) == (7, "nova")


def test_all_faults_are_told_at_once() -> None:
    told = faults(
        REPARTEE_STT="whisper",
        REPARTEE_MAX_CALLS="many",
        REPARTEE_DRAIN_S="-1",
        OPENAI_BASE_URL="api.openai.com",
        REPARTEE_TICKET_KEY="short",
    )
    for variable in ("STT", "MAX_CALLS", "DRAIN_S", "TICKET_KEY"):
        assert f"REPARTEE_{variable}: " in told
    assert "OPENAI_BASE_URL: must begin with http:// or https://" in told
    assert "'whisper'" in told
    assert "'many'" in told


@pytest.mark.parametrize("url", ["ftp://x.example", "https://", "https:// x", "http://h?x=1", "x", "//host"])
def test_addresses_must_be_addresses(url: str) -> None:
    assert "DEEPGRAM_BASE_URL: must" in faults(DEEPGRAM_BASE_URL=url)


def test_secrets_are_not_shown() -> None:
    told = faults(REPARTEE_TICKET_KEY="hunter2", OPENAI_BASE_URL="https://me:hunter2@host/v1")
    assert "hunter2" not in told
    settings = read_settings({"OPENAI_API_KEY": "hunter2", "REPARTEE_TICKET_KEY": "hunter2" * 5})
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in str(settings.model_dump())


def test_a_slash_at_the_end_does_not_matter() -> None:
    assert read_settings({"OPENAI_BASE_URL": "http://h/v1/"}).value_of("OPENAI_BASE_URL") == "http://h/v1"


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        read_settings({}).max_calls = 5


def test_all_missing_keys_are_named_at_once() -> None:
    with pytest.raises(
        ConfigurationError, match="DEEPGRAM_API_KEY, OPENAI_API_KEY, CARTESIA_API_KEY"
    ) as caught:
        check_keys(read_settings({}))
    assert "repartee up" in str(caught.value)
    with pytest.raises(ConfigurationError, match="Not set: ELEVENLABS_API_KEY"):
        check_keys(
            read_settings({"DEEPGRAM_API_KEY": "a", "OPENAI_API_KEY": "b", "REPARTEE_TTS": "elevenlabs"})
        )


def test_every_setting_is_described() -> None:
    assert all(field.description for field in Settings.model_fields.values())


@pytest.mark.skipif(not OPERATIONS.exists(), reason="docs/operations.md is not written yet")
def test_every_setting_is_in_the_documentation() -> None:
    """Each has a row of a table that begins with its name: | `REPARTEE_STT` | ..."""
    documented = set(re.findall(r"^\| *`([A-Z0-9_]+)`", OPERATIONS.read_text(encoding="utf-8"), re.MULTILINE))
    assert {variable_of(field) for field in Settings.model_fields} <= documented
