"""Lists of vendors: what a start makes of them, and says."""

import logging

import pytest

from repartee.agent.agent import Agent
from repartee.app.services import Services
from repartee.app.settings import read_settings
from repartee.app.vendors_in_use import check_keys, needed_vendors
from repartee.errors import ConfigurationError
from repartee.providers.vendor import VendorKind

KEYS = dict.fromkeys(("DEEPGRAM_API_KEY", "OPENAI_API_KEY", "CARTESIA_API_KEY", "ELEVENLABS_API_KEY"), "key")
NAMED = {
    "REPARTEE_LLM": "quick=http://127.0.0.1:1/v1/,own-one",
    "REPARTEE_LLM_QUICK_MODEL": "gpt-oss",
    "REPARTEE_LLM_QUICK_KEY": "quick-key",
    "REPARTEE_LLM_OWN_ONE_URL": "http://127.0.0.1:2/v1",
    "REPARTEE_LLM_OWN_ONE_MODEL": "gemma",
    "REPARTEE_LLM_OWN_ONE_KEY": "own-key",
}


def test_a_named_model_has_an_address_a_model_and_a_key_of_its_own() -> None:
    settings = read_settings(NAMED)
    opened = [settings.opening(row) for row in settings.vendors(VendorKind.LLM)]
    assert [(one.base_url, one.model, one.key) for one in opened] == [
        ("http://127.0.0.1:1/v1", "gpt-oss", "quick-key"),
        ("http://127.0.0.1:2/v1", "gemma", "own-key"),
    ]


def test_they_are_read_from_the_process_environment_too(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in NAMED.items():
        monkeypatch.setenv(name, value)
    assert read_settings() == read_settings(NAMED)


def test_their_keys_are_not_shown() -> None:
    settings = read_settings(NAMED)
    assert "quick-key" not in repr(settings) + str(settings.model_dump())


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"REPARTEE_LLM_QUICK_MODEL": ""}, "REPARTEE_LLM_QUICK_MODEL must name the model"),
        ({"REPARTEE_LLM_OWN_ONE_URL": ""}, "REPARTEE_LLM_OWN_ONE_URL must begin with http"),
        ({"REPARTEE_LLM": "quick=api.example.com"}, "REPARTEE_LLM_QUICK_URL must begin with http"),
        ({"REPARTEE_LLM": "quick,quick"}, "each once"),
        ({"REPARTEE_LLM": "Quick=http://h/v1"}, "must be of openai or name=address"),
        ({"REPARTEE_LLM": "openai,"}, "must be of openai or name=address"),
    ],
)
def test_what_is_wrong_with_them_stops_the_start(changed: dict[str, str], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told) as caught:
        read_settings({**NAMED, **changed})
    assert "-key" not in str(caught.value)


def test_every_vendor_that_is_listed_needs_its_key() -> None:
    settings = read_settings({**NAMED, "REPARTEE_TTS": "cartesia,elevenlabs", "REPARTEE_LLM_QUICK_KEY": ""})
    with pytest.raises(ConfigurationError) as caught:
        check_keys(settings)
    told = str(caught.value)
    assert "DEEPGRAM_API_KEY, REPARTEE_LLM_QUICK_KEY, CARTESIA_API_KEY, ELEVENLABS_API_KEY" in told


def test_whoever_has_not_the_agents_language_is_skipped_and_the_start_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings = read_settings({**KEYS, "REPARTEE_STT": "flux,nova", "REPARTEE_TTS": "elevenlabs,cartesia"})
    with caplog.at_level(logging.WARNING):
        services = Services(settings, Agent("Be kind.", language="th"))
    assert [one.row.name for one in services.vendors] == ["nova", "openai", "cartesia"]
    assert "REPARTEE_STT=flux does not have th, the agent's language" in caplog.text
    assert "REPARTEE_TTS=elevenlabs does not have th" in caplog.text


def test_where_nobody_has_it_nobody_is_skipped() -> None:
    settings = read_settings({**KEYS, "REPARTEE_TTS": "cartesia,elevenlabs"})
    names = [row.name for row in needed_vendors(settings, language="eo")]
    assert names == ["flux", "openai", "cartesia", "elevenlabs"]


@pytest.mark.parametrize("language", ["en", "en-GB", "de-AT"])
def test_a_region_of_a_language_is_the_language(language: str) -> None:
    settings = read_settings({**KEYS, "REPARTEE_STT": "flux,nova"})
    assert len(needed_vendors(settings, language=language)) == 4


def test_a_fall_back_goes_without_options_that_it_does_not_take_and_one_line_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings = read_settings({**KEYS, "REPARTEE_TTS": "cartesia,elevenlabs"})
    options: dict[str, str | float] = {"emotion": "calm", "model": "sonic-3.6", "speed": 0.8, "volume": 1.2}
    with caplog.at_level(logging.WARNING):
        Services(settings, Agent("Be kind.", voice="katie", voice_options=options))
    lines = [record.getMessage() for record in caplog.records if "fall-back" in record.getMessage()]
    assert lines == [
        "elevenlabs, a fall-back, does not know the agent's emotion, model, volume; leaving these out for it"
    ]


def test_a_fall_backs_voice_and_options() -> None:
    settings = read_settings(
        {
            **KEYS,
            "REPARTEE_VOICE": "katie",
            "REPARTEE_VOICE_ELEVENLABS": "george",
            "REPARTEE_ELEVENLABS_SPEED": "1.1",
        }
    )
    [_, elevenlabs] = read_settings({"REPARTEE_TTS": "cartesia,elevenlabs"}).vendors(VendorKind.TTS)
    opening = settings.fallback_opening(elevenlabs, options={"model": "sonic-3.6", "speed": 0.65})
    assert (opening.voice, dict(opening.options)) == (
        "george",
        {"model": "eleven_flash_v2_5", "speed": "1.1"},
    )


def test_a_fall_back_model_is_not_given_what_the_first_one_was() -> None:
    settings = read_settings({**NAMED, "REPARTEE_LLM_EXTRA": '{"seed": 1}', "REPARTEE_SERVICE_TIER": "flex"})
    first, second = settings.vendors(VendorKind.LLM)
    wanted = {"reasoning_effort": "low", "extra_body": '{"top_k": 2}'}
    assert dict(settings.opening(first, options=wanted).options) == {
        "reasoning_effort": "low",
        "service_tier": "flex",
        "extra_body": '{"top_k": 2}',
    }
    assert dict(settings.fallback_opening(second, options=wanted).options) == {"reasoning_effort": "low"}


def test_an_option_that_the_vendor_in_use_does_not_take_stops_the_start() -> None:
    settings = read_settings({**KEYS, "REPARTEE_TTS": "elevenlabs,cartesia"})
    with pytest.raises(ConfigurationError, match="ElevenLabs takes no emotion"):
        Services(settings, Agent("Be kind.", voice_options={"emotion": "calm"}))


async def test_pools_of_one_account_have_names_of_their_own() -> None:
    services = Services(read_settings({**KEYS, "REPARTEE_STT": "flux,nova"}), Agent("Be kind."))
    names = [figures.name for figures in services.pools()]
    assert names == ["deepgram", "deepgram-nova", "openai", "cartesia"]
    assert [(one.stage, one.vendor) for one in services.breakers()] == [
        ("stt", "deepgram/flux"),
        ("stt", "deepgram/nova"),
    ]
