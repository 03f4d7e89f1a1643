"""The region table: what ships, what is refused and how, and that its copies agree."""

import json
import subprocess
import sys
from typing import Any

import pytest
from tests.edge.conftest import ROOT

from repartee_edge import regions
from repartee_edge.regions import RegionsError, load_regions, origin_of, parse_regions
from repartee_edge.regions_data import REGIONS_JSON

SHIPPED = (ROOT / "infra" / "regions.json").read_text()
SCHEMA = json.loads((ROOT / "infra" / "regions.schema.json").read_text())


def region(**changes: Any) -> dict[str, Any]:
    base = {"name": "us-east", "latitude": 39, "longitude": -77, "host": "a.example.com", "enabled": True}
    return {key: value for key, value in {**base, **changes}.items() if value is not None}


def faults_of(data: object) -> tuple[str, ...]:
    with pytest.raises(RegionsError) as refused:
        parse_regions(data)
    return refused.value.faults


def test_eight_regions_ship_and_two_are_enabled() -> None:
    table = load_regions(SHIPPED)
    names = [
        "us-east",
        "us-west",
        "eu-west",
        "eu-central",
        "ap-northeast",
        "ap-southeast",
        "ap-south",
        "sa-east",
    ]
    assert [r.name for r in table.regions] == names
    assert [r.name for r in table.enabled] == ["us-east", "eu-west"]
    assert all(r.aws_region and r.capacity for r in table.regions)


def test_the_generated_module_is_in_step_with_the_file() -> None:
    assert load_regions(REGIONS_JSON) == load_regions(SHIPPED)
    check = [sys.executable, str(ROOT / "tools" / "generate_edge.py"), "--check"]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_schema_and_the_validator_say_the_same() -> None:
    spec = SCHEMA["$defs"]["region"]
    assert set(spec["properties"]) == regions.REGION_KEYS
    assert tuple(spec["required"]) == regions.REQUIRED_KEYS
    assert set(spec["properties"]["providers"]["properties"]) == set(regions.PROVIDERS)
    assert set(SCHEMA["$defs"]["rule"]["properties"]) == regions.RULE_KEYS
    patterns = {"name": regions.NAME, "aws_region": regions.AWS_REGION}
    for key, pattern in patterns.items():
        assert spec["properties"][key]["pattern"] == f"^{pattern.pattern}$"
    for key, word in (("latitude", 90), ("longitude", 180), ("weight", 10)):
        assert spec["properties"][key]["maximum"] == word
        assert faults_of({"regions": [region(**{key: word + 1})]})


def test_all_faults_are_named_at_once() -> None:
    wrong = {
        "regions": [
            region(name="US East", latitude=91, host="http://example.com", colour="red"),
            region(name="eu-west", longitude="far", enabled="yes", weight=0, capacity=1.5),
            region(name="ap", tags=["EU"], providers={"whisper": "https://x"}, host=None),
            "us-west",
        ],
        "residency": [{"countries": ["DE"]}, {"keys": ["acme"], "regions": ["mars"]}],
        "extra": 1,
    }
    words = "\n".join(faults_of(wrong))
    for part in (
        'unknown key "extra"',
        "name must be lower-case",
        "latitude must be",
        "host must be",
        "'colour'",
        "longitude must be",
        "enabled must be",
        "weight must be",
        "capacity must be",
        "tags must be",
        "providers must map",
        "lacks 'host'",
        "regions[3] must be an object",
        "residency[0] needs regions, tags or both",
        "unknown region 'mars'",
    ):
        assert part in words


@pytest.mark.parametrize(
    ("data", "word"),
    [
        ([], "list"),
        ({"regions": {}}, "list"),
        ({"regions": []}, "no region is enabled"),
        ({"regions": [region(enabled=False)]}, "no region is enabled"),
        ({"regions": [region(), region()]}, "more than one region"),
        (
            {"regions": [region()], "residency": [{"tags": ["eu"], "countries": ["DE"]}]},
            "which no region has",
        ),
        (
            {"regions": [region()], "residency": [{"regions": "us-east", "countries": ["DE"]}]},
            "lists of words",
        ),
        ({"regions": [region()], "residency": {}}, "must be a list of rules"),
    ],
)
def test_each_fault_says_what_is_wrong(data: object, word: str) -> None:
    assert any(word in fault for fault in faults_of(data))


def test_text_that_is_not_json_is_a_fault_and_not_a_crash() -> None:
    with pytest.raises(RegionsError, match="not JSON"):
        load_regions("{")


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("a.example.com", "https://a.example.com"),
        ("a.example.com:8443", "https://a.example.com:8443"),
        ("https://a.example.com/", "https://a.example.com"),
        ("http://127.0.0.1:8788", "http://127.0.0.1:8788"),
        ("http://[::1]:8788", "http://[::1]:8788"),
        ("http://a.example.com", None),
        ("https://a.example.com/path", None),
        ("https://user@a.example.com", None),
        ("ftp://a.example.com", None),
        ("a b", None),
        ("", None),
        ("https://a.example.com:port", None),
    ],
)
def test_a_host_is_a_name_or_an_origin(host: str, origin: str | None) -> None:
    assert origin_of(host) == origin
