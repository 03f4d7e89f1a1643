"""``repartee route`` and ``repartee bench routing``: what they print and write, and that the figures hold."""

import json
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from tests.edge.conftest import ROOT

from repartee.bench.routing_simulation import (
    REGION_SETS,
    SITES,
    figures,
    losses,
    naive,
    round_trips,
    routed,
    world,
)

REPARTEE = str(Path(sys.executable).parent / "repartee")


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([REPARTEE, *words], capture_output=True, text=True, check=False)


def test_route_says_where_a_caller_goes_and_why(tmp_path: Path) -> None:
    out = tmp_path / "route.json"
    done = run("route", "--colo", "NRT", "--country", "JP", "--all", "--json", str(out))
    assert done.returncode == 0 and "ap-northeast" in done.stdout.splitlines()[1]
    ranked = json.loads(out.read_text())["ranked"]
    assert len(ranked) == 8 and set(ranked[0]) >= {"region", "rtt_ms", "reason"}
    assert [entry["rtt_ms"] for entry in ranked] == sorted(entry["rtt_ms"] for entry in ranked)
    only_enabled = run("route", "--lat", "51.5", "--lon", "-0.1").stdout
    assert "eu-west" in only_enabled.splitlines()[1] and "eu-central" not in only_enabled


def test_route_reads_another_regions_file_and_names_its_faults(tmp_path: Path) -> None:
    file = tmp_path / "regions.json"
    file.write_text('{"regions": [{"name": "mars"}]}')
    done = run("route", "--regions", str(file))
    assert done.returncode == 1 and "lacks 'latitude'" in done.stderr and "Traceback" not in done.stderr
    missing = run("route", "--regions", str(tmp_path / "none.json"))
    assert missing.returncode == 1 and "can't be read" in missing.stderr


def test_bench_routing_writes_figures_and_a_picture(tmp_path: Path) -> None:
    out, picture = tmp_path / "routing.json", tmp_path / "routing.svg"
    assert run("bench", "routing", "--json", str(out), "--plot", str(picture)).returncode == 0
    found = json.loads(out.read_text())
    assert set(found["sets"]) == {"1", "3", "6", "10"} and set(found["losses"]) == set(REGION_SETS[6])
    lines = ElementTree.parse(picture).getroot().findall("{http://www.w3.org/2000/svg}polyline")
    assert len(lines) == 5
    assert picture.read_text() == (ROOT / "docs" / "routing.svg").read_text(), (
        "docs/routing.svg is out of date"
    )


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_six_regions_take_at_most_60_percent_of_the_plain_maps_time(seed: int) -> None:
    cities = world(seed)
    by_map = figures(round_trips(cities, naive))
    six = figures(round_trips(cities, routed(REGION_SETS[6])))
    assert six.p90_ms <= 0.6 * by_map.p90_ms
    assert six.within_budget > 0.99 > by_map.within_budget


def test_more_regions_never_cost_and_a_lost_one_does() -> None:
    cities = world(1)
    p90s = [figures(round_trips(cities, routed(REGION_SETS[size]))).p90_ms for size in (1, 3, 6, 10)]
    assert p90s == sorted(p90s, reverse=True)
    lost = losses(cities, REGION_SETS[6])
    assert sum(cost["callers_moved"] for cost in lost.values()) == pytest.approx(1, abs=0.01)
    assert all(cost["extra_rtt_p90_ms"] > 0 for cost in lost.values())


def test_country_alone_is_nearly_as_good_as_a_position() -> None:
    cities = world(1)
    names = tuple(SITES)
    exact = figures(round_trips(cities, routed(names)))
    by_country = figures(round_trips(cities, routed(names, positions=False)))
    assert by_country.p90_ms < 1.2 * exact.p90_ms
