"""When somebody may be called: by the clock where their number is at home."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from repartee.app.telephone_hours import ZONES, hours_in, opens_in_s, refusal_by_hours, zones_of
from repartee.app.telephone_out_settings import zones_in

DAY = (8, 21)


def at(hour: int, minute: int = 0, month: int = 1) -> float:
    return datetime(2026, month, 15, hour, minute, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("number", "now", "allowed"),
    [
        ("+4930901820", at(7), True),  # 8:00 in Berlin
        ("+4930901820", at(6, 59), False),
        ("+4930901820", at(19, 59), True),
        ("+4930901820", at(20), False),
        ("+4930901820", at(6, month=7), True),  # summer time
        ("+15550123456", at(14), False),  # 9:00 in New York, 6:00 in Los Angeles
        ("+15550123456", at(17), True),
        ("+18085550123", at(17), False),  # Honolulu has a zone of its own
        ("+919812345678", at(3), True),
    ],
)
def test_by_the_callees_clock(number: str, now: float, allowed: bool) -> None:
    assert (refusal_by_hours(number, now, DAY, {}) is None) is allowed


def test_the_refusal_says_what_time_it_is_where() -> None:
    assert "05:30 in Europe/Berlin" in str(refusal_by_hours("+4930901820", at(4, 30), DAY, {}))
    assert opens_in_s("+4930901820", at(4, 30), DAY, {}) == 2.5 * 3600


def test_a_number_from_nowhere_is_not_called_unless_a_setting_says_where_it_is() -> None:
    assert "is not known" in str(refusal_by_hours("+88312345678", at(12), DAY, {}))
    assert refusal_by_hours("+88312345678", at(12), DAY, {"883": "Europe/London"}) is None
    assert refusal_by_hours("+88312345678", at(3), (0, 24), {}) is None, "always is always"


def test_the_longest_beginning_counts_and_a_setting_first() -> None:
    assert zones_of("+18085550123", {}) == ("Pacific/Honolulu",)
    assert zones_of("+14155550123", {"1415": "America/Los_Angeles"}) == ("America/Los_Angeles",)


def test_settings_that_are_wrong_are_refused() -> None:
    assert hours_in("8-21") == DAY and hours_in("21-8") is None and hours_in("8") is None
    assert zones_in("49=Europe/Berlin, 1415=America/Los_Angeles") == {
        "49": "Europe/Berlin",
        "1415": "America/Los_Angeles",
    }
    for wrong in ("49", "49=Nowhere/City", "x=Europe/Berlin"):
        with pytest.raises(ValueError, match="is not like"):
            zones_in(wrong)


@pytest.mark.parametrize("zone", sorted({zone for zones in ZONES.values() for zone in zones}))
def test_every_zone_is_one(zone: str) -> None:
    assert ZoneInfo(zone).key == zone
