"""A simulation of the world's callers against sets of regions. Pure: a seed in, figures out.

Callers are the world's cities by population; the regions are chosen by the edge's own ``place``, which knows its
model of distances. What a caller then pays is that model times a noise of its own per path, which the edge does not
know, so that a wrong guess costs here what it costs in the world.
"""

import bisect
import math
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from repartee.bench.world_callers import CALLERS
from repartee_edge.geo import Point, round_trip_ms
from repartee_edge.health import RegionStatus
from repartee_edge.placement import Caller, place
from repartee_edge.regions import Region, RegionTable

# The network's share of the latency budget, one way at most.
BUDGET_ONE_WAY_MS = 80.0
# A fixed or mobile access network and the caller's own router, both ways.
ACCESS_RTT_MS = 16.0
PATH_NOISE_SIGMA = 0.15

SITES: Mapping[str, Point] = {
    "us-east": Point(38.94, -77.46),
    "ap-southeast": Point(1.35, 103.82),
    "eu-central": Point(50.11, 8.68),
    "ap-northeast": Point(35.68, 139.69),
    "ap-south": Point(19.08, 72.88),
    "sa-east": Point(-23.55, -46.63),
    "af-south": Point(-33.92, 18.42),
    "us-west": Point(45.84, -119.7),
    "me-central": Point(24.45, 54.38),
    "eu-west": Point(53.35, -6.26),
}
# Each next region is the one that lowers the world's mean round trip most.
REGION_SETS: Mapping[int, tuple[str, ...]] = {n: tuple(SITES)[:n] for n in (1, 3, 6, 10)}
NAIVE_MAP: Mapping[str, str] = {
    **dict.fromkeys(("US", "CA", "MX"), "us-east"),
    **dict.fromkeys(("GB", "DE", "FR"), "eu-west"),
    **dict.fromkeys(("JP", "KR"), "ap-northeast"),
    "AU": "ap-southeast",
    "IN": "ap-south",
}
NAIVE_DEFAULT = "us-east"

Weighted = tuple[float, int]


@dataclass(frozen=True, slots=True)
class City:
    """Callers of one city: ``people`` in thousands, and the true round trip to each site in milliseconds."""

    country: str
    position: Point
    people: int
    rtt_ms: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Figures:
    """Round trips over all callers, in milliseconds, and the share whose one-way time is within the budget."""

    p50_ms: float
    p90_ms: float
    p99_ms: float
    within_budget: float

    def as_json(self) -> dict[str, float]:
        return {
            "rtt_p50_ms": round(self.p50_ms, 1),
            "rtt_p90_ms": round(self.p90_ms, 1),
            "rtt_p99_ms": round(self.p99_ms, 1),
            "one_way_p90_ms": round(self.p90_ms / 2, 1),
            "within_budget": round(self.within_budget, 4),
        }


def world(seed: int) -> list[City]:
    """The callers, with the noise of their paths drawn from ``seed``."""
    dice = random.Random(seed)
    cities = []
    for country, latitude, longitude, people in CALLERS:
        position = Point(latitude, longitude)
        rtts = {
            name: ACCESS_RTT_MS + round_trip_ms(position, site) * math.exp(dice.gauss(0, PATH_NOISE_SIGMA))
            for name, site in SITES.items()
        }
        cities.append(City(country, position, people, rtts))
    return cities


def naive(city: City) -> str:
    """The region of a plain country map, which every team writes first."""
    return NAIVE_MAP.get(city.country, NAIVE_DEFAULT)


def routed(names: Sequence[str], down: str | None = None, *, positions: bool = True) -> Callable[[City], str]:
    """The edge's own choice among the named regions, one of which may be down; by country alone without positions."""
    table = RegionTable(tuple(Region(name, SITES[name], f"https://{name}.example") for name in names))
    statuses = {down: RegionStatus(up=False)} if down else {}

    def choose(city: City) -> str:
        known = city.position if positions else Point(math.nan, math.nan)
        caller = Caller(country=city.country, latitude=known.latitude, longitude=known.longitude)
        return place(caller, table, statuses).ranked[0].region.name

    return choose


def round_trips(cities: Iterable[City], choose: Callable[[City], str]) -> list[Weighted]:
    """Each city's round trip and people, in order of the round trip."""
    return sorted((city.rtt_ms[choose(city)], city.people) for city in cities)


def figures(found: Sequence[Weighted]) -> Figures:
    """Percentiles over people, of round trips in order."""
    total = sum(people for _, people in found)
    reached: list[int] = []
    so_far = 0
    for _, people in found:
        so_far += people
        reached.append(so_far)

    def percentile(share: float) -> float:
        return found[min(len(found) - 1, bisect.bisect_left(reached, share * total))][0]

    within = sum(people for rtt, people in found if rtt / 2 <= BUDGET_ONE_WAY_MS)
    return Figures(percentile(0.5), percentile(0.9), percentile(0.99), within / total)


def losses(cities: Sequence[City], names: Sequence[str]) -> dict[str, dict[str, float]]:
    """What the loss of each region costs: whom it moves, and how much longer their round trip is at P50 and P90."""
    usual = routed(names)
    found = {}
    for lost in names:
        moved = [city for city in cities if usual(city) == lost]
        others = routed(names, down=lost)
        extra = sorted((city.rtt_ms[others(city)] - city.rtt_ms[lost], city.people) for city in moved)
        everyone = figures(round_trips(cities, others))
        people = sum(city.people for city in cities)
        found[lost] = {
            "callers_moved": round(sum(city.people for city in moved) / people, 4),
            "extra_rtt_p50_ms": round(figures(extra).p50_ms, 1) if extra else 0.0,
            "extra_rtt_p90_ms": round(figures(extra).p90_ms, 1) if extra else 0.0,
            "rtt_p90_ms": round(everyone.p90_ms, 1),
            "within_budget": round(everyone.within_budget, 4),
        }
    return found
