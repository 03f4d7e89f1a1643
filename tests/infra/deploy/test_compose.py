"""The compose file: one loopback for all parts, nothing open to the network, addresses that agree with each other."""

import json
import re
from typing import Any

import pytest
import yaml

from repartee_edge.regions import load_regions

from .conftest import INFRA

COMPOSE = INFRA / "compose"


@pytest.fixture(scope="module")
def services() -> dict[str, dict[str, Any]]:
    document: dict[str, Any] = yaml.safe_load((COMPOSE / "compose.yaml").read_text())
    found: dict[str, dict[str, Any]] = document["services"]
    return found


def option(service: dict[str, Any], name: str) -> str:
    command: list[str] = service["command"]
    return command[command.index(name) + 1]


def test_every_part_is_there(services: dict[str, dict[str, Any]]) -> None:
    assert set(services) == {"machine", "standins", "us-east", "eu-west", "edge", "prometheus", "grafana"}


def test_every_part_is_on_one_loopback_and_unprivileged(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        if name != "machine":
            assert service["network_mode"] == "service:machine", name


def test_ports_are_published_on_loopback_only(services: dict[str, dict[str, Any]]) -> None:
    assert [p for s in services.values() for p in s.get("ports", []) if not p.startswith("127.0.0.1:")] == []


def test_the_edge_routes_to_the_regions_that_run(services: dict[str, dict[str, Any]]) -> None:
    table = load_regions((COMPOSE / "regions.json").read_text())
    routed = {region.name: region.origin for region in table.enabled}
    running = {
        service["environment"]["REPARTEE_REGION"]: f"http://127.0.0.1:{option(service, '--port')}"
        for service in services.values()
        if service.get("command", [""])[0] == "region"
    }
    assert routed == running


def test_regions_find_the_stand_ins(services: dict[str, dict[str, Any]]) -> None:
    port = option(services["standins"], "--port")
    for name in ("us-east", "eu-west"):
        environment = services[name]["environment"]
        addresses = [value for key, value in environment.items() if key.endswith("_BASE_URL")]
        assert len(addresses) == 4
        assert all(f"http://127.0.0.1:{port}" in address for address in addresses)


def test_health_checks_ask_the_port_that_the_part_listens_on(services: dict[str, dict[str, Any]]) -> None:
    for name in ("standins", "us-east", "eu-west", "edge"):
        url = services[name]["healthcheck"]["test"][-1]
        assert f":{option(services[name], '--port')}/" in url


def test_edge_and_regions_share_the_ticket_key(services: dict[str, dict[str, Any]]) -> None:
    keys = {services[name]["environment"]["REPARTEE_TICKET_KEY"] for name in ("edge", "us-east", "eu-west")}
    assert len(keys) == 1
    default = re.findall(r":-(.+)\}", keys.pop())[0]
    assert len(default) >= 32


def test_prometheus_asks_what_runs(services: dict[str, dict[str, Any]]) -> None:
    config = yaml.safe_load((INFRA / "observability" / "prometheus.yml").read_text())
    targets = {
        (target, entry.get("labels", {}).get("region"))
        for job in config["scrape_configs"]
        for entry in job["static_configs"]
        for target in entry["targets"]
    }
    regions = json.loads((COMPOSE / "regions.json").read_text())["regions"]
    expected = {(region["host"].removeprefix("http://"), region["name"]) for region in regions}
    assert targets == expected | {(f"127.0.0.1:{option(services['edge'], '--port')}", None)}
