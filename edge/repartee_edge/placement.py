"""Which regions a caller should be sent to, in which order, and why.

Pure: a caller, the region table and the regions' health in; a ranked list with reasons out. It never raises on what
a request may hold, and it chooses a draining region only when no other is up.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from repartee_edge import geo
from repartee_edge.countries import PEOPLE
from repartee_edge.geo import Point
from repartee_edge.health import UNKNOWN, RegionStatus
from repartee_edge.regions import Region, RegionTable

BUSY_LOAD = 0.8
BUSY_PENALTY_MS = 100.0
UP, FULL, DRAINING, DOWN = range(4)
TIER_WORDS = {FULL: "full", DRAINING: "draining", DOWN: "down"}


@dataclass(frozen=True, slots=True)
class Caller:
    """What a request tells of where its caller is; any of it may be missing or nonsense.

    ``colo`` is the edge location that took the request (an IATA code), which a proxied session passes through;
    ``direct`` says that the session won't: then the caller's own position counts before it.
    """

    colo: str | None = None
    country: str | None = None
    continent: str | None = None
    latitude: float | str | None = None
    longitude: float | str | None = None
    direct: bool = False


class Ranked(NamedTuple):
    """One region in order of preference. ``rtt_ms`` is the predicted round trip between caller and region."""

    region: Region
    rtt_ms: float
    score_ms: float
    tier: int
    load: float
    way: str

    @property
    def reason(self) -> str:
        """Why the region stands where it does, in words."""
        words = f"about {self.rtt_ms:.0f} ms {self.way}"
        penalty_ms = _busy_penalty_ms(self.load)
        if penalty_ms:
            words += f"; {min(self.load, 1.0):.0%} busy, counted as {penalty_ms:.0f} ms more"
        if self.region.weight != 1.0:
            words += f"; weight {self.region.weight:g}"
        if self.tier != UP:
            words += f"; {TIER_WORDS[self.tier]}, so only after those that are up"
        return words


@dataclass(frozen=True, slots=True)
class Placement:
    """The regions to try, best first; ``excluded`` says in words why the list is empty or shorter than the table."""

    ranked: tuple[Ranked, ...]
    excluded: str | None = None


class _Route(NamedTuple):
    """How a caller reaches regions: from which point, after how many milliseconds, and in words."""

    start: Point | None
    before_ms: float
    words: str


def place(
    caller: Caller,
    table: RegionTable,
    statuses: Mapping[str, RegionStatus] | None = None,
    *,
    key: str | None = None,
    regions: Sequence[Region] | None = None,
) -> Placement:
    """Rank the enabled regions (or ``regions``) for a caller with the API key of id ``key``."""
    candidates = table.enabled if regions is None else tuple(regions)
    country = (caller.country or "").strip().upper()
    kept = candidates
    for rule in table.residency:
        if country in rule.countries or (key is not None and key in rule.keys):
            kept = tuple(region for region in kept if region.name in rule.regions)
    excluded = None
    if len(kept) < len(candidates):
        excluded = f"data residency keeps this caller within {', '.join(r.name for r in kept) or 'no enabled region'}"
    route = _route(caller)
    known = statuses or {}
    ranked = sorted(
        (_rank(region, route, known.get(region.name, UNKNOWN)) for region in kept),
        key=lambda item: (item.tier, item.score_ms, item.region.name),
    )
    return Placement(tuple(ranked), excluded)


def _rank(region: Region, route: _Route, status: RegionStatus) -> Ranked:
    if route.start is not None:
        rtt_ms = route.before_ms + geo.round_trip_ms(route.start, region.position)
    else:
        rtt_ms = _world_round_trip_ms(region.position)
    load = status.load or 0.0
    score_ms = (rtt_ms + _busy_penalty_ms(load)) / region.weight
    return Ranked(region, rtt_ms, score_ms, _tier(region, status), load, route.words)


def _tier(region: Region, status: RegionStatus) -> int:
    if not status.up:
        return DOWN
    if region.draining or status.draining:
        return DRAINING
    return FULL if status.full or not status.admitting else UP


def _busy_penalty_ms(load: float) -> float:
    """Nothing up to BUSY_LOAD, then rising to BUSY_PENALTY_MS when full: callers spread before a region overflows."""
    if load <= BUSY_LOAD:
        return 0.0
    return BUSY_PENALTY_MS * min(1.0, (load - BUSY_LOAD) / (1 - BUSY_LOAD)) ** 2


def _route(caller: Caller) -> _Route:
    position = geo.valid_point(caller.latitude, caller.longitude)
    colo = geo.colo_position(caller.colo) if caller.colo else None
    if colo is not None and not caller.direct:
        code = (caller.colo or "").strip().upper()
        if position is None:
            return _Route(colo, 0.0, f"from the edge location {code}")
        return _Route(colo, geo.round_trip_ms(position, colo), f"from the caller by the edge location {code}")
    if position is not None:
        return _Route(position, 0.0, "from the caller's position")
    if colo is not None:
        return _Route(colo, 0.0, f"from the edge location {(caller.colo or '').strip().upper()}")
    country = (caller.country or "").strip().upper()
    middle = geo.country_position(country)
    if middle is not None:
        return _Route(middle, 0.0, f"from where the people of {country} are on average")
    continent = (caller.continent or geo.continent_of(country) or "").strip().upper()
    middle = geo.continent_position(continent)
    if middle is not None:
        return _Route(middle, 0.0, f"from where the people of {continent} are on average")
    return _Route(None, 0.0, "on average from everywhere, since nothing tells where the caller is")


_world_cache: dict[Point, float] = {}


def _world_round_trip_ms(position: Point) -> float:
    """The mean round trip from the continents' people; there are as many positions as regions, so it is kept."""
    found = _world_cache.get(position)
    if found is None:
        people = sum(PEOPLE.values())
        found = _world_cache[position] = (
            sum(
                weight * geo.round_trip_ms(middle, position)
                for code, weight in PEOPLE.items()
                if (middle := geo.continent_position(code)) is not None
            )
            / people
        )
    return found
