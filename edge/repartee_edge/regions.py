"""The validated region table.

Owns the shape of a regions file and every rule about it; ``infra/regions.json`` is the one that ships, and
``infra/regions.schema.json`` says the same to editors. Must not know of requests, health or the file system.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from repartee_edge.geo import Point, valid_point

NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
AWS_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d")
HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:\d{1,5})?")
TAG = re.compile(r"[a-z0-9][a-z0-9-]*")
PROVIDERS = ("deepgram", "openai", "cartesia", "elevenlabs")
REQUIRED_KEYS = ("name", "latitude", "longitude", "host", "enabled")
OPTIONAL_KEYS = ("aws_region", "weight", "capacity", "draining", "tags", "providers")
REGION_KEYS = frozenset(REQUIRED_KEYS + OPTIONAL_KEYS)
RULE_KEYS = frozenset(("countries", "keys", "regions", "tags"))
LOOPBACK = frozenset(("127.0.0.1", "localhost", "::1"))


class RegionsError(ValueError):
    """A regions file is wrong; ``faults`` names everything that is, one sentence each."""

    def __init__(self, faults: Iterable[str]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(self.faults))


@dataclass(frozen=True, slots=True)
class Region:
    """One region. ``origin`` is scheme and authority without a slash; ``capacity`` is in concurrent calls.

    A ``weight`` of 2 makes a region as attractive as one half as far. ``draining`` regions take no new calls
    while another is up. ``providers`` maps a provider's name to the endpoint nearest to this region.
    """

    name: str
    position: Point
    origin: str
    enabled: bool = True
    weight: float = 1.0
    capacity: int | None = None
    draining: bool = False
    aws_region: str | None = None
    tags: frozenset[str] = frozenset()
    providers: Mapping[str, str] = field(default_factory=dict)

    @property
    def websocket_origin(self) -> str:
        return "ws" + self.origin.removeprefix("http")


@dataclass(frozen=True, slots=True)
class ResidencyRule:
    """Callers from ``countries`` (ISO codes), or with an API key named in ``keys``, stay within ``regions``."""

    regions: frozenset[str]
    countries: frozenset[str] = frozenset()
    keys: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class RegionTable:
    """The regions of a file, in its order, and who has to stay where."""

    regions: tuple[Region, ...]
    residency: tuple[ResidencyRule, ...] = ()

    @property
    def enabled(self) -> tuple[Region, ...]:
        return tuple(region for region in self.regions if region.enabled)

    def region(self, name: str) -> Region | None:
        return next((region for region in self.regions if region.name == name), None)


def load_regions(text: str | bytes) -> RegionTable:
    """The table of a regions file's text. Raises RegionsError with all of its faults."""
    try:
        data = json.loads(text)
    except ValueError as error:
        raise RegionsError([f"the regions file is not JSON: {error}"]) from None
    return parse_regions(data)


def parse_regions(data: object) -> RegionTable:
    """The table of a regions file's parsed JSON. Raises RegionsError with all of its faults."""
    if not isinstance(data, dict) or not isinstance(data.get("regions"), list):
        raise RegionsError(['the regions file must be an object with a list "regions"'])
    faults = [
        f'the regions file has an unknown key "{key}"'
        for key in data
        if key not in ("$schema", "regions", "residency")
    ]
    regions = [_region(entry, f"regions[{i}]", faults) for i, entry in enumerate(data["regions"])]
    found = [region for region in regions if region is not None]
    names = [region.name for region in found]
    faults += [
        f'the name "{name}" is used by more than one region'
        for name in sorted(set(names))
        if names.count(name) > 1
    ]
    if not faults and not any(region.enabled for region in found):
        faults.append("no region is enabled: set enabled to true on at least one")
    rules = data.get("residency", [])
    if not isinstance(rules, list):
        faults.append('"residency" must be a list of rules')
        rules = []
    residency = [_rule(rule, f"residency[{i}]", found, faults) for i, rule in enumerate(rules)]
    if faults:
        raise RegionsError(faults)
    return RegionTable(tuple(found), tuple(rule for rule in residency if rule is not None))


def origin_of(host: str) -> str | None:
    """The origin of a bare host (https is assumed) or of a full origin; None if it is neither.

    Plain http is accepted on loopback only: tickets travel in a header.
    """
    if "://" not in host:
        return f"https://{host}" if HOST.fullmatch(host) else None
    try:
        parts = urlsplit(host)
        port = parts.port
    except ValueError:
        return None
    plain = parts.scheme == "http" and parts.hostname in LOOPBACK
    if (parts.scheme != "https" and not plain) or not parts.hostname or parts.username is not None:
        return None
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        return None
    name = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{name}" + (f":{port}" if port else "")


def _region(entry: Any, where: str, faults: list[str]) -> Region | None:
    if not isinstance(entry, dict):
        faults.append(f"{where} must be an object")
        return None
    before = len(faults)
    name = entry.get("name")
    if isinstance(name, str) and name:
        where = f'{where} ("{name}")'
    faults += [f"{where} has an unknown key {key!r}" for key in entry if key not in REGION_KEYS]
    faults += [f"{where} lacks {key!r}" for key in REQUIRED_KEYS if key not in entry]
    faults += [
        f"{where}: {key} {wanted}"
        for key, wanted, holds in _checks(entry)
        if key in entry and not holds(entry[key])
    ]
    if len(faults) > before:
        return None
    position, origin = valid_point(entry["latitude"], entry["longitude"]), origin_of(entry["host"])
    if position is None or origin is None:
        return None
    return Region(
        name=entry["name"],
        position=position,
        origin=origin,
        enabled=entry["enabled"],
        weight=float(entry.get("weight", 1.0)),
        capacity=entry.get("capacity"),
        draining=entry.get("draining", False),
        aws_region=entry.get("aws_region"),
        tags=frozenset(entry.get("tags", ())),
        providers=dict(entry.get("providers", {})),
    )


def _checks(entry: Mapping[str, Any]) -> list[tuple[str, str, Any]]:
    return [
        ("name", "must be lower-case words joined by dashes, such as us-east", _matches(NAME)),
        ("aws_region", "must be an AWS region, such as us-east-1", _matches(AWS_REGION)),
        ("latitude", "must be a number from -90 to 90", _number(-90, 90)),
        ("longitude", "must be a number from -180 to 180", _number(-180, 180)),
        (
            "host",
            "must be a host such as us-east.voice.example.com, or an https origin (http on loopback only)",
            lambda value: isinstance(value, str) and origin_of(value) is not None,
        ),
        ("enabled", "must be true or false", lambda value: isinstance(value, bool)),
        ("draining", "must be true or false", lambda value: isinstance(value, bool)),
        ("weight", "must be a number from 0.1 to 10", _number(0.1, 10)),
        (
            "capacity",
            "must be a whole number of calls, 1 or more",
            lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= 1,
        ),
        (
            "tags",
            "must be a list of lower-case words",
            lambda value: isinstance(value, list) and all(_matches(TAG)(tag) for tag in value),
        ),
        (
            "providers",
            f"must map some of {', '.join(PROVIDERS)} to an http or https URL",
            lambda value: (
                isinstance(value, dict)
                and all(
                    key in PROVIDERS and isinstance(url, str) and url.startswith(("https://", "http://"))
                    for key, url in value.items()
                )
            ),
        ),
    ]


def _matches(pattern: re.Pattern[str]) -> Any:
    return lambda value: isinstance(value, str) and pattern.fullmatch(value) is not None


def _number(low: float, high: float) -> Any:
    return lambda value: (
        isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
    )


def _rule(rule: Any, where: str, regions: list[Region], faults: list[str]) -> ResidencyRule | None:
    if not isinstance(rule, dict) or not all(
        isinstance(value, list) and value and all(isinstance(item, str) for item in value)
        for value in rule.values()
    ):
        faults.append(f"{where} must be an object of non-empty lists of words")
        return None
    before = len(faults)
    faults += [f"{where} has an unknown key {key!r}" for key in rule if key not in RULE_KEYS]
    if not rule.get("countries") and not rule.get("keys"):
        faults.append(f"{where} needs countries, keys or both: whom it is about")
    if not rule.get("regions") and not rule.get("tags"):
        faults.append(f"{where} needs regions, tags or both: where they have to stay")
    known = {region.name for region in regions}
    faults += [
        f"{where} names an unknown region {name!r}" for name in rule.get("regions", []) if name not in known
    ]
    faults += [
        f"{where} names the tag {tag!r}, which no region has"
        for tag in rule.get("tags", [])
        if not any(tag in region.tags for region in regions)
    ]
    if len(faults) > before:
        return None
    tagged = {region.name for region in regions if region.tags.intersection(rule.get("tags", []))}
    return ResidencyRule(
        regions=frozenset(rule.get("regions", [])) | tagged,
        countries=frozenset(country.upper() for country in rule.get("countries", [])),
        keys=frozenset(rule.get("keys", [])),
    )
