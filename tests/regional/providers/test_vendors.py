"""The table of vendors: every row is whole, everybody reads it, and nobody knows a vendor beside it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from repartee.app.settings import Settings, read_settings, variable_of
from repartee.errors import ConfigurationError
from repartee.providers.pooled import Use
from repartee.providers.vendor import Opening, Vendor, VendorKind
from repartee.providers.vendors import ACCOUNTS, LLM, SPEECH_TO_SPEECH, STT, TTS, USUAL, VENDORS, listed

ROOT = Path(__file__).parents[3]
PACKAGE = ROOT / "regional" / "repartee"
METHODS = {STT: "listen", LLM: "reply", TTS: "speak", SPEECH_TO_SPEECH: "open"}

rows = pytest.mark.parametrize("row", VENDORS, ids=lambda row: f"{row.kind.value}-{row.name}")


def opening(row: Vendor) -> Opening:
    return read_settings({row.account.key_variable: "key"}).opening(row)


@rows
def test_a_row_has_a_name_a_kind_settings_how_it_is_opened_and_how_it_is_checked(row: Vendor) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9-]*", row.name)
    assert row.kind in VendorKind
    variables = [setting.variable for setting in row.all_settings]
    assert row.account.key_variable in variables
    assert row.account.url_variable in variables
    assert all(setting.description.endswith(".") for setting in row.all_settings)
    assert {row.model, row.voice} - {""} <= set(variables)
    assert callable(row.check)
    assert row.note


@rows
async def test_a_row_opens_a_provider_of_its_kind(row: Vendor) -> None:
    provider = row.open(opening(row))
    for method in (METHODS[row.kind], "start", "aclose", "pools", "expect", "use"):
        assert callable(getattr(provider, method))
    assert (provider.warm, provider.usable) == (False, True)
    [pool] = provider.pools()
    assert pool.name.startswith(row.account.name)
    provider.use([Use("de", "another")])
    provider.expect(3)
    await provider.aclose()


@rows
def test_a_rows_settings_are_the_workers_settings(row: Vendor) -> None:
    known = {variable_of(field) for field in Settings.model_fields}
    assert {setting.variable for setting in row.all_settings} <= known
    settings = read_settings({setting.variable: setting.default for setting in row.all_settings})
    for setting in row.all_settings:
        assert settings.value_of(setting.variable) == setting.default


def test_names_are_unique_within_a_kind_and_each_kind_has_its_usual_vendor() -> None:
    named = [(row.kind, row.name) for row in VENDORS]
    assert len(set(named)) == len(named)
    assert set(USUAL.items()) <= set(named)


def test_a_setting_is_an_ordered_list_of_vendors() -> None:
    settings = read_settings({"REPARTEE_STT": "nova, flux"})
    assert [row.name for row in settings.vendors(STT)] == ["nova", "flux"]
    assert [row.name for row in listed(TTS, "")] == ["cartesia"]


@pytest.mark.parametrize("names", ["whisper", "flux,whisper", "flux,flux", "flux,", "cartesia"])
def test_a_name_that_is_none_of_the_kinds_is_refused_with_those_that_are(names: str) -> None:
    with pytest.raises(ValueError, match="must be of flux, nova"):
        listed(STT, names)


def test_another_voice_vendor_is_not_asked_for_the_usual_ones_voice() -> None:
    settings = read_settings({"REPARTEE_TTS": "elevenlabs", "ELEVENLABS_API_KEY": "k"})
    [row] = settings.vendors(TTS)
    own = settings.value_of("REPARTEE_VOICE_ELEVENLABS")
    assert settings.opening(row).voice == own != settings.value_of("REPARTEE_VOICE_CARTESIA")
    assert settings.opening(row, voice="the agent's").voice == "the agent's"
    everywhere = read_settings({"REPARTEE_TTS": "elevenlabs", "REPARTEE_VOICE": "v"})
    assert everywhere.opening(row).voice == "v"


def test_what_cannot_read_the_table_is_in_step_with_it() -> None:
    """The schema of the regions file, the edge's and Terraform's check of it, the page's names, the documentation."""
    check = [sys.executable, str(ROOT / "tools" / "generate_vendors.py"), "--check"]
    done = subprocess.run(check, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_compose_stands_in_for_each_account_that_has_a_stand_in() -> None:
    text = (ROOT / "infra" / "compose" / "compose.yaml").read_text()
    for account in ACCOUNTS:
        if account.stand_in is None:
            continue
        here = f"http://127.0.0.1:8800{account.stand_in}"
        assert f"{account.key_variable}: ${{{account.key_variable}:-stand-in}}" in text
        assert f"{account.url_variable}: ${{{account.url_variable}:-{here}}}" in text


APART = {"standins", "bench", "client"}
"""The far ends, which know what they stand in for; what they share with the worker is the wire."""


def test_no_other_file_decides_by_a_vendors_name() -> None:
    names = {row.name for row in VENDORS} | {account.name for account in ACCOUNTS}
    words = "|".join(sorted(names))
    by_name = re.compile(
        rf"""(["'])({words})\1|\b({words})_(api_key|base_url)\b|({words})_API_KEY""", re.IGNORECASE
    )
    files = {f"{row.opens.partition(':')[0].rpartition('.')[2]}.py" for row in VENDORS}
    allowed = files | {"vendors.py", "deepgram_streams.py", "openai_models.py"}
    found = [
        f"{path.relative_to(PACKAGE)}: {line.strip()}"
        for path in PACKAGE.rglob("*.py")
        if path.relative_to(PACKAGE).parts[0] not in APART and path.name not in allowed
        for line in path.read_text().splitlines()
        if by_name.search(line.partition("#")[0])
    ]
    assert found == []


def test_an_agents_options_count_for_more_than_the_settings() -> None:
    settings = read_settings({"REPARTEE_CARTESIA_SPEED": "1.1", "REPARTEE_CARTESIA_EMOTION": "calm"})
    [cartesia] = settings.vendors(TTS)
    options = settings.opening(cartesia, options={"speed": 0.9, "volume": 1.5}).options
    assert options == {"model": "sonic-3.5", "speed": "0.9", "volume": "1.5", "emotion": "calm"}


@pytest.mark.parametrize(
    ("vendor", "options", "wrong"),
    [
        ("elevenlabs", {"emotion": "calm"}, "ElevenLabs takes no emotion"),
        ("cartesia", {"speed": 3}, "speed must be a number from 0.6 to 1.5, not 3"),
        ("elevenlabs", {"pronunciation": "abc"}, "pronunciation must be an id and a version"),
    ],
)
def test_an_option_that_the_vendor_does_not_take_stops_the_start(
    vendor: str, options: dict[str, object], wrong: str
) -> None:
    settings = read_settings({"REPARTEE_TTS": vendor})
    with pytest.raises(ConfigurationError, match=wrong):
        settings.opening(settings.vendors(TTS)[0], options=options)


def test_wrong_options_in_the_settings_are_named() -> None:
    wrong = {
        "REPARTEE_CARTESIA_VOLUME": "loud",
        "REPARTEE_LLM_EXTRA": "[1]",
        "REPARTEE_REASONING_EFFORT": "some",
    }
    with pytest.raises(ConfigurationError) as caught:
        read_settings(wrong)
    for variable in wrong:
        assert f"{variable}: must be" in str(caught.value)
