"""When somebody may be called: the time of day where their number is at home. Pure.

The zones are those of the country's code (IANA's names); in a country with several all must agree, so that it is
day wherever the number may be.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

HOURS: Final = re.compile(r"(\d{1,2})-(\d{1,2})")

ZONES: Final[Mapping[str, tuple[str, ...]]] = {
    "1": ("America/New_York", "America/Los_Angeles"),
    "1808": ("Pacific/Honolulu",),
    "1907": ("America/Anchorage",),
    "1787": ("America/Puerto_Rico",),
    "7": ("Europe/Moscow", "Asia/Vladivostok"),
    "20": ("Africa/Cairo",),
    "27": ("Africa/Johannesburg",),
    "30": ("Europe/Athens",),
    "31": ("Europe/Amsterdam",),
    "32": ("Europe/Brussels",),
    "33": ("Europe/Paris",),
    "34": ("Europe/Madrid",),
    "351": ("Europe/Lisbon",),
    "352": ("Europe/Luxembourg",),
    "353": ("Europe/Dublin",),
    "358": ("Europe/Helsinki",),
    "36": ("Europe/Budapest",),
    "39": ("Europe/Rome",),
    "380": ("Europe/Kyiv",),
    "40": ("Europe/Bucharest",),
    "41": ("Europe/Zurich",),
    "420": ("Europe/Prague",),
    "421": ("Europe/Bratislava",),
    "43": ("Europe/Vienna",),
    "44": ("Europe/London",),
    "45": ("Europe/Copenhagen",),
    "46": ("Europe/Stockholm",),
    "47": ("Europe/Oslo",),
    "48": ("Europe/Warsaw",),
    "49": ("Europe/Berlin",),
    "51": ("America/Lima",),
    "52": ("America/Mexico_City", "America/Tijuana"),
    "54": ("America/Argentina/Buenos_Aires",),
    "55": ("America/Sao_Paulo", "America/Manaus"),
    "56": ("America/Santiago",),
    "57": ("America/Bogota",),
    "60": ("Asia/Kuala_Lumpur",),
    "61": ("Australia/Sydney", "Australia/Perth"),
    "62": ("Asia/Jakarta", "Asia/Jayapura"),
    "63": ("Asia/Manila",),
    "64": ("Pacific/Auckland",),
    "65": ("Asia/Singapore",),
    "66": ("Asia/Bangkok",),
    "81": ("Asia/Tokyo",),
    "82": ("Asia/Seoul",),
    "84": ("Asia/Ho_Chi_Minh",),
    "852": ("Asia/Hong_Kong",),
    "86": ("Asia/Shanghai",),
    "886": ("Asia/Taipei",),
    "90": ("Europe/Istanbul",),
    "91": ("Asia/Kolkata",),
    "92": ("Asia/Karachi",),
    "971": ("Asia/Dubai",),
    "972": ("Asia/Jerusalem",),
    "966": ("Asia/Riyadh",),
    "234": ("Africa/Lagos",),
    "254": ("Africa/Nairobi",),
}


def zones_of(number: str, set_zones: Mapping[str, str]) -> tuple[str, ...]:
    """Where a number (+…) is at home; ``set_zones`` names others by what numbers begin with. Empty: not known."""
    digits = number.lstrip("+")
    for length in range(len(digits), 0, -1):
        if zone := set_zones.get(digits[:length]):
            return (zone,)
        if found := ZONES.get(digits[:length]):
            return found
    return ()


def hours_in(text: str) -> tuple[int, int] | None:
    """``8-21`` as two hours; None for what is none."""
    found = HOURS.fullmatch(text.strip())
    if found is None or not 0 <= int(found[1]) < int(found[2]) <= 24:
        return None
    return int(found[1]), int(found[2])


def refusal_by_hours(
    number: str, now: float, hours: tuple[int, int], set_zones: Mapping[str, str]
) -> str | None:
    """Why somebody must not be called now (seconds since 1970); None: they may be."""
    if hours == (0, 24):
        return None
    zones = zones_of(number, set_zones)
    if not zones:
        return f"where {number} is at home is not known: REPARTEE_DIAL_ZONES may say so"
    for zone in zones:
        try:
            there = datetime.fromtimestamp(now, UTC).astimezone(ZoneInfo(zone))
        except ZoneInfoNotFoundError:
            return f"this machine does not know the zone {zone}: install tzdata"
        if not hours[0] <= there.hour < hours[1]:
            return (
                f"it is {there:%H:%M} in {zone}, and calls are placed from {hours[0]} to {hours[1]} o'clock"
            )
    return None


def opens_in_s(number: str, now: float, hours: tuple[int, int], set_zones: Mapping[str, str]) -> int | None:
    """How long until they may be called, to a quarter of an hour; None: not within two days."""
    for quarter in range(1, 192):
        later = timedelta(minutes=15 * quarter).total_seconds()
        if refusal_by_hours(number, now + later, hours, set_zones) is None:
            return int(later)
    return None
