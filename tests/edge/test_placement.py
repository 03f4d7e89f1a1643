"""Where callers are sent, and why; with whatever a request may hold."""

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.edge.conftest import ROOT

from repartee_edge import geo
from repartee_edge.geo import Point
from repartee_edge.health import RegionStatus
from repartee_edge.placement import DOWN, DRAINING, UP, Caller, place
from repartee_edge.regions import Region, RegionTable, ResidencyRule, load_regions

SHIPPED = load_regions((ROOT / "infra" / "regions.json").read_text())
EVERYWHERE = RegionTable(SHIPPED.regions)
NAMES = [region.name for region in SHIPPED.regions]
DECISION_US = 50


def first(caller: Caller, statuses: dict[str, RegionStatus] | None = None, **options: Any) -> str:
    return place(caller, EVERYWHERE, statuses, regions=SHIPPED.regions, **options).ranked[0].region.name


@pytest.mark.parametrize(
    ("caller", "region"),
    [
        (Caller(colo="NRT", country="JP"), "ap-northeast"),
        (Caller(colo="lhr"), "eu-west"),
        (Caller(country="DE"), "eu-central"),
        (Caller(country="ng"), "eu-central"),
        (Caller(country="AU"), "ap-southeast"),
        (Caller(country="PK"), "ap-south"),
        (Caller(country="AR"), "sa-east"),
        (Caller(colo="SEA", country="US"), "us-west"),
        (Caller(continent="OC"), "ap-southeast"),
        (Caller(latitude="35.7", longitude="139.7"), "ap-northeast"),
        (Caller(colo="??", country="XX", continent="SA"), "sa-east"),
    ],
)
def test_a_caller_goes_to_the_nearest_region_by_what_is_known(caller: Caller, region: str) -> None:
    assert first(caller) == region


def test_cables_count_and_not_the_great_circle() -> None:
    """Tokyo is nearer to Ireland than to Virginia on the globe, but not on the network."""
    ranked = place(Caller(colo="NRT"), SHIPPED).ranked
    assert [item.region.name for item in ranked] == ["us-east", "eu-west"]
    assert 140 < ranked[0].rtt_ms < 180 and 210 < ranked[1].rtt_ms < 280


def test_a_proxied_session_pays_the_way_by_the_edge_and_a_direct_one_does_not() -> None:
    sydney_by_tokyo = Caller(colo="NRT", latitude=-33.9, longitude=151.2)
    direct = Caller(colo="NRT", latitude=-33.9, longitude=151.2, direct=True)
    assert first(sydney_by_tokyo) == "ap-northeast"
    assert first(direct) == "ap-southeast"


def test_without_a_clue_the_region_nearest_to_most_people_is_chosen_and_the_reason_says_so() -> None:
    best = place(Caller(), EVERYWHERE, regions=SHIPPED.regions).ranked[0]
    assert best.region.name == "ap-south"
    assert "nothing tells where the caller is" in best.reason


def test_a_busy_region_loses_callers_before_it_is_full_and_a_full_one_all_of_them() -> None:
    frankfurt = Caller(colo="FRA")
    assert first(frankfurt, {"eu-central": RegionStatus(load=0.5)}) == "eu-central"
    assert first(frankfurt, {"eu-central": RegionStatus(load=0.97)}) == "eu-west"
    placement = place(frankfurt, EVERYWHERE, {"eu-central": RegionStatus(load=1.0)}, regions=SHIPPED.regions)
    assert placement.ranked[-1].region.name == "eu-central" and "full" in placement.ranked[-1].reason


def test_a_weight_moves_the_border_between_two_regions() -> None:
    near = Region("near", Point(0, 10), "https://near.example")
    far = Region("far", Point(0, 16), "https://far.example")
    caller = Caller(latitude=0, longitude=12)
    assert place(caller, RegionTable((near, far))).ranked[0].region.name == "near"
    heavy = Region("far", Point(0, 16), "https://far.example", weight=3)
    assert place(caller, RegionTable((near, heavy))).ranked[0].region.name == "far"


def test_residency_holds_a_country_and_a_key_even_when_all_of_their_regions_are_down() -> None:
    rules = (
        ResidencyRule(frozenset({"eu-west", "eu-central"}), countries=frozenset({"DE"})),
        ResidencyRule(frozenset({"us-east"}), keys=frozenset({"acme"})),
    )
    table = RegionTable(SHIPPED.regions, rules)
    down = dict.fromkeys(("eu-west", "eu-central"), RegionStatus(up=False))
    german = place(Caller(colo="NRT", country="DE"), table, down, regions=SHIPPED.regions)
    assert {item.region.name for item in german.ranked} == {"eu-west", "eu-central"}
    assert german.excluded is not None and "data residency" in german.excluded
    assert [r.region.name for r in place(Caller(colo="NRT"), table, key="acme").ranked] == ["us-east"]
    nowhere = place(Caller(country="DE"), table, key="acme")
    assert nowhere.ranked == () and nowhere.excluded is not None


any_word = st.one_of(
    st.none(), st.text(max_size=6), st.sampled_from(["NRT", "jp", "XX", "T1", "EU", "\x00", "ﬀ"])
)
any_number = st.one_of(
    st.none(),
    st.text(max_size=5),
    st.floats(),
    st.integers(-1000, 1000),
    st.sampled_from(["35.6", "nan", "1e999"]),
)
any_status = st.builds(
    RegionStatus,
    up=st.booleans(),
    draining=st.booleans(),
    load=st.one_of(st.none(), st.floats(-1, 5), st.just(float("inf"))),
)


@settings(max_examples=400, deadline=None)
@given(
    st.builds(
        Caller,
        colo=any_word,
        country=any_word,
        continent=any_word,
        latitude=any_number,
        longitude=any_number,
        direct=st.booleans(),
    ),
    st.dictionaries(st.sampled_from(NAMES), any_status),
    st.sets(st.sampled_from(NAMES)),
)
def test_placement_never_raises_and_never_prefers_a_region_that_should_rest(
    caller: Caller, statuses: dict[str, RegionStatus], drained: set[str]
) -> None:
    regions = [
        Region(r.name, r.position, r.origin, draining=r.name in drained, weight=r.weight)
        for r in SHIPPED.regions
    ]
    ranked = place(caller, EVERYWHERE, statuses, regions=regions).ranked
    assert sorted(item.region.name for item in ranked) == sorted(NAMES)
    assert [item.tier for item in ranked] == sorted(item.tier for item in ranked)
    best = ranked[0]
    if any(item.tier == UP for item in ranked):
        assert best.region.name not in drained and statuses.get(best.region.name, RegionStatus()).up
        assert best.tier not in (DRAINING, DOWN)
    assert all(0 < item.rtt_ms < 1000 for item in ranked)
    assert all(item.reason for item in ranked)


@given(st.floats(-90, 90), st.floats(-180, 180), st.floats(-90, 90), st.floats(-180, 180))
def test_a_round_trip_is_the_same_both_ways_and_never_faster_than_light(
    lat_a: float, lon_a: float, lat_b: float, lon_b: float
) -> None:
    a, b = Point(lat_a, lon_a), Point(lat_b, lon_b)
    assert geo.round_trip_ms(a, b) == pytest.approx(geo.round_trip_ms(b, a))
    assert geo.round_trip_ms(a, b) > 2 * geo.distance_km(a, b) / 300


def test_every_colo_that_is_looked_up_is_where_it_is() -> None:
    assert geo.colo_position("NRT") == pytest.approx((35.8, 140.4), abs=0.06)
    assert geo.colo_position("gru") == pytest.approx((-23.4, -46.5), abs=0.06)
    assert geo.colo_position("AAA") is not None and geo.colo_position("ZZV") is not None
    for nonsense in ("", "N", "NR", "NRTX", "ŊRT", "   "):
        assert geo.colo_position(nonsense) is None


def test_a_decision_takes_no_more_than_50_microseconds() -> None:
    caller = Caller("NRT", "JP", "AS", "35.7", "139.7")
    batches = []
    for _ in range(20):
        started = time.perf_counter()
        for _ in range(100):
            place(caller, EVERYWHERE, regions=SHIPPED.regions)
        batches.append((time.perf_counter() - started) / 100 * 1e6)
    assert min(batches) <= DECISION_US
