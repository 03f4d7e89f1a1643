"""Distances and predicted round trips on the globe.

Owns the physics: great circles, the speed of light in fibre, and how much longer real paths are. Must not know of
regions, requests or health.
"""

import math
from typing import NamedTuple

from repartee_edge.colos import RECORD, RECORDS
from repartee_edge.countries import CONTINENTS, COUNTRIES

EARTH_RADIUS_KM = 6371.0
FIBRE_KM_PER_MS = 200.0
# Fitted by tools/fit_path_factor.py to published round trips between cloud regions.
PATH_FACTOR = 1.51
PATH_BASE_MS = 4.5


class Point(NamedTuple):
    """A position in degrees: latitude -90..90, longitude -180..180."""

    latitude: float
    longitude: float


def distance_km(a: Point, b: Point) -> float:
    """The great-circle distance."""
    phi_a, phi_b = math.radians(a.latitude), math.radians(b.latitude)
    half_phi = (phi_b - phi_a) / 2
    half_lambda = math.radians(b.longitude - a.longitude) / 2
    h = math.sin(half_phi) ** 2 + math.cos(phi_a) * math.cos(phi_b) * math.sin(half_lambda) ** 2
    return 2 * EARTH_RADIUS_KM * math.asin(min(1.0, math.sqrt(h)))


def round_trip_ms(a: Point, b: Point) -> float:
    """The round trip to expect between two positions over public networks, in milliseconds."""
    return PATH_BASE_MS + 2 * PATH_FACTOR * distance_km(a, b) / FIBRE_KM_PER_MS


def colo_position(code: str) -> Point | None:
    """Where the airport with this IATA code is; Cloudflare names its locations by the airport nearby."""
    code = code.strip().upper()
    if len(code) != 3:
        return None
    low, high = 0, len(RECORDS) // RECORD
    while low < high:
        middle = (low + high) // 2
        found = RECORDS[middle * RECORD : middle * RECORD + 3]
        if found == code:
            record = RECORDS[middle * RECORD + 3 : (middle + 1) * RECORD]
            return Point(int(record[:4]) / 10 - 90, int(record[4:]) / 10 - 180)
        if found < code:
            low = middle + 1
        else:
            high = middle
    return None


def country_position(code: str) -> Point | None:
    """Where the people of a country (ISO 3166-1 alpha-2) are on average."""
    entry = COUNTRIES.get(code.strip().upper())
    return Point(entry[0], entry[1]) if entry else None


def continent_of(country: str) -> str | None:
    """The two-letter continent of a country, as Cloudflare writes it."""
    entry = COUNTRIES.get(country.strip().upper())
    return entry[2] if entry else None


def continent_position(code: str) -> Point | None:
    """Where the people of a continent (AF, AN, AS, EU, NA, OC, SA) are on average."""
    entry = CONTINENTS.get(code.strip().upper())
    return Point(*entry) if entry else None


def valid_point(latitude: object, longitude: object) -> Point | None:
    """A point from two numbers or strings of numbers; None where they are missing, not numbers, or off the globe."""
    try:
        point = Point(float(latitude), float(longitude))  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None
    if not (-90 <= point.latitude <= 90 and -180 <= point.longitude <= 180):
        return None
    return point
