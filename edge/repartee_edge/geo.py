"""Distances and predicted round trips on the globe.

Owns the physics: great circles, the speed of light in fibre, and how much longer real paths are. Must not know of
regions, requests or health.
"""

import math
from functools import lru_cache
from typing import NamedTuple

from repartee_edge.colos import RECORD, RECORDS
from repartee_edge.countries import CONTINENTS, COUNTRIES

EARTH_RADIUS_KM = 6371.0
FIBRE_KM_PER_MS = 200.0
# Fitted by tools/fit_path_factor.py to published round trips between cloud regions.
PATH_FACTOR = 1.49
PATH_BASE_MS = 3.0


class Point(NamedTuple):
    """A position in degrees: latitude -90..90, longitude -180..180."""

    latitude: float
    longitude: float


def distance_km(a: Point, b: Point) -> float:
    """The great-circle distance."""
    half_chord = math.dist(_unit_vector(a), _unit_vector(b)) / 2
    return 2 * EARTH_RADIUS_KM * math.asin(min(1.0, half_chord))


# Regions and colos are few, and the same ones come again and again.
@lru_cache(maxsize=1024)
def _unit_vector(point: Point) -> tuple[float, float, float]:
    phi, lam = math.radians(point.latitude), math.radians(point.longitude)
    return math.cos(phi) * math.cos(lam), math.cos(phi) * math.sin(lam), math.sin(phi)


def cable_km(a: Point, b: Point) -> float:
    """The distance by the way that cables take, where that is far from the great circle.

    Between Europe or Africa and East Asia they run by Suez and Malacca rather than over Siberia, from South Asia by
    Malacca; from South America to other continents than North America they run by Florida.
    """
    for near, far in ((a, b), (b, a)):
        if _in_east_asia(far):
            if -30 < near.longitude < 45 and near.latitude > -36:
                return distance_km(near, SUEZ) + SUEZ_TO_MALACCA_KM + distance_km(MALACCA, far)
            if 45 <= near.longitude < 95 and near.latitude < 40:
                return distance_km(near, MALACCA) + distance_km(MALACCA, far)
        if _in_south_america(near) and far.longitude > -30:
            return distance_km(near, FLORIDA) + distance_km(FLORIDA, far)
    return distance_km(a, b)


def round_trip_ms(a: Point, b: Point) -> float:
    """The round trip to expect between two positions over public networks, in milliseconds."""
    return PATH_BASE_MS + 2 * PATH_FACTOR * cable_km(a, b) / FIBRE_KM_PER_MS


def _in_east_asia(point: Point) -> bool:
    return point.latitude > 10 and 105 < point.longitude < 150


def _in_south_america(point: Point) -> bool:
    return point.latitude < 13 and -82 < point.longitude < -34


SUEZ, MALACCA, FLORIDA = Point(30.0, 32.6), Point(1.3, 103.8), Point(25.8, -80.2)
SUEZ_TO_MALACCA_KM = distance_km(SUEZ, MALACCA)


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
