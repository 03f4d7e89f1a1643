"""What a call costs: usage times the operator's prices."""

from pathlib import Path

import pytest

from repartee.app.settings import read_settings
from repartee.errors import ConfigurationError
from repartee.telemetry.prices import PriceTable, VendorUse, read_prices

TABLE = """{"currency": "EUR",
 "stt": {"flux": {"minute": 0.006}},
 "llm": {"gpt": {"million_input_tokens": 2.0, "million_cached_tokens": 0.5, "million_output_tokens": 8.0},
         "*": {"million_input_tokens": 1.0}},
 "tts": {"*": {"million_characters": 30.0}}}"""


def test_a_cost_is_what_a_hand_would_reckon() -> None:
    uses = {
        ("stt", "flux"): VendorUse(seconds=90.0),
        ("llm", "gpt"): VendorUse(input_tokens=3_000, cached_tokens=1_000, output_tokens=500),
        ("llm", "other"): VendorUse(input_tokens=2_000, cached_tokens=500),
        ("tts", "sonic"): VendorUse(characters=400),
    }
    by_hand = 1.5 * 0.006 + (2_000 * 2 + 1_000 * 0.5 + 500 * 8) / 1e6 + 2_000 * 1.0 / 1e6 + 400 * 30 / 1e6
    cost, unpriced = read_prices(TABLE).cost(uses)
    assert cost == pytest.approx(by_hand)
    assert unpriced == []


def test_tokens_of_sound_have_a_price_of_their_own_or_that_of_text() -> None:
    use = VendorUse(1_000, 200, 500, audio_input_tokens=600, audio_output_tokens=400)
    text = '"million_input_tokens": 4, "million_cached_tokens": 1, "million_output_tokens": 16'
    sound = '"million_input_audio_tokens": 32, "million_output_audio_tokens": 64'
    plain = read_prices(f'{{"model": {{"*": {{{text}}}}}}}').cost({("model", "m"): use})[0]
    assert plain == pytest.approx((800 * 4 + 200 * 1 + 500 * 16) / 1e6)
    priced = read_prices(f'{{"model": {{"*": {{{text}, {sound}}}}}}}').cost({("model", "m"): use})[0]
    by_hand = (200 * 4 + 600 * 32 + 200 * 1 + 100 * 16 + 400 * 64) / 1e6
    assert priced == pytest.approx(by_hand)


def test_a_price_that_changes_changes_the_cost() -> None:
    uses = {("tts", "sonic"): VendorUse(characters=1_000_000)}
    assert read_prices(TABLE).cost(uses)[0] == 30.0
    assert read_prices(TABLE.replace("30.0", "45.0")).cost(uses)[0] == 45.0


def test_what_has_no_price_is_named_and_without_any_there_is_no_cost() -> None:
    uses = {("stt", "nova"): VendorUse(seconds=60.0), ("tts", "sonic"): VendorUse(characters=1_000)}
    cost, unpriced = read_prices(TABLE).cost(uses)
    assert cost == pytest.approx(0.03)
    assert unpriced == ["stt nova"]
    assert PriceTable().cost(uses) == (None, ["stt nova", "tts sonic"])
    assert read_prices("").cost({}) == (None, [])


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("{", "is no price table"),
        ('{"stt": {"flux": {"hour": 1}}}', "hour"),
        ('{"stt": {"flux": {"minute": "much"}}}', "$.stt[...].minute"),
        ('{"stt": {"flux": {"minute": -1}}}', "stt.flux: minute must not be less than 0"),
        ('{"ears": {}}', "ears"),
    ],
    ids=["not-json", "unknown-unit", "no-number", "negative", "unknown-stage"],
)
def test_a_faulty_table_stops_the_start_and_says_where(tmp_path: Path, table: str, said: str) -> None:
    file = tmp_path / "prices.json"
    file.write_text(table)
    with pytest.raises(ConfigurationError, match="REPARTEE_PRICES") as refused:
        read_settings({"REPARTEE_PRICES": str(file)})
    assert said in str(refused.value)
