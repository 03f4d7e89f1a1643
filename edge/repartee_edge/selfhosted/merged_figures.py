"""Figures of several workers as one answer. Pure.

A worker says what it counted as parts: the bins of its latency sketches and its counts, by slots of the last minute,
hour and day. What sketches of several workers hold together is the sum of their bins, so percentiles of a whole are
as exact as those of one. A browser does the same sums with what it is streamed.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

LABELS = ("stage", "kind", "region", "vendor", "agent")
"""Of a series, in the order in which parts have them."""

BY = ("stage", "kind")
COST, SECONDS = "cost", "call_seconds"

Part = Mapping[str, Any]
Bins = Counter[float]
"""How many values each bin has, by its key; those that were 0 are at minus infinity."""


def answer(parts: Sequence[Part], by: Sequence[str] = BY, where: Mapping[str, str] | None = None) -> Any:
    """The JSON of GET /v1/figures: percentiles in ms by the labels ``by``, of the series that have those ``where``
    names, and counts. Raises KeyError for what is no label."""
    places = [LABELS.index(name) if name in LABELS else _no_label(name) for name in by]
    wanted = {
        LABELS.index(name) if name in LABELS else _no_label(name): v for name, v in (where or {}).items()
    }
    region = (where or {}).get("region")
    told = [part for part in parts if region in (None, part["region"])]
    windows = sorted({name for part in told for name in part["latencies"]})
    return {
        "at": max((part["at"] for part in told), default=None),
        "regions": sorted({part["region"] for part in told}),
        "budgets_ms": told[0]["budgets_ms"] if told else {},
        "now": _now(told),
        "windows": {name: _window(told, name, by, places, wanted) for name in windows},
        "slow_turns": sorted(
            (turn for part in told for turn in part["slow_turns"]), key=lambda turn: -turn["at"]
        ),
    }


def _no_label(name: str) -> int:
    raise KeyError(f"{name[:40]!r} is no label: {', '.join(LABELS)} are")


def _now(parts: Sequence[Part]) -> dict[str, Any]:
    slots = {part["region"]: part["slots"] for part in parts}
    pools: dict[str, Counter[str]] = {}
    for part in parts:
        for name, idle, leased, hits, misses in part["pools"]:
            pools.setdefault(name, Counter()).update(idle=idle, leased=leased, hits=hits, misses=misses)
    return {
        "calls": sum(part["calls"] for part in parts),
        "slots": sum(slots.values()),
        "loop_lag_ms": max((part["loop_lag_ms"] for part in parts), default=0.0),
        "pools": pools,
    }


def _window(
    parts: Sequence[Part], name: str, by: Sequence[str], places: Sequence[int], wanted: Mapping[int, str]
) -> dict[str, Any]:
    whole: dict[tuple[str, ...], Bins] = {}
    slots: dict[tuple[str, ...], dict[float, Bins]] = {}
    for at, key, bins in _series(parts, name, places, wanted):
        whole.setdefault(key, Counter()).update(bins)
        slots.setdefault(key, {}).setdefault(at, Counter()).update(bins)
    gamma = _gamma(parts)
    counts = _counts(parts, name)
    minutes = counts.get(SECONDS, {}).get("", 0.0) / 60
    cost = counts.pop(COST, {})
    return {
        "latencies": [
            {
                **dict(zip(by, key, strict=True)),
                **percentiles(bins, gamma),
                "over_time": [
                    {"at": at, **percentiles(one, gamma)} for at, one in sorted(slots[key].items())
                ],
            }
            for key, bins in sorted(whole.items())
        ],
        "counts": counts,
        "cost": {"currency": parts[0]["currency"], **cost} if cost else None,
        "cost_per_minute": sum(cost.values()) / minutes if cost and minutes else None,
    }


def _series(
    parts: Sequence[Part], name: str, places: Sequence[int], wanted: Mapping[int, str]
) -> Iterator[tuple[float, tuple[str, ...], Mapping[float, int]]]:
    for part in parts:
        for at, several in part["latencies"].get(name, ()):
            for *labels, zeros, pairs in several:
                if all(labels[place] == value for place, value in wanted.items()):
                    bins = dict(zip(pairs[::2], pairs[1::2], strict=True))
                    if zeros:
                        bins[-math.inf] = zeros
                    yield at, tuple(labels[place] for place in places), bins


def _counts(parts: Iterable[Part], name: str) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for part in parts:
        for _, counts in part["counts"].get(name, ()):
            for what, label, count in counts:
                of = found.setdefault(what, {})
                of[label] = of.get(label, 0) + count
    return found


def _gamma(parts: Sequence[Part]) -> float:
    error: float = parts[0]["error"] if parts else 0.005
    return (1 + error) / (1 - error)


def percentiles(bins: Mapping[float, int], gamma: float) -> dict[str, float]:
    """Of the values in these bins, in ms, as DDSketch has them: the value in the middle of a rank's bin."""
    keys, count = sorted(bins), sum(bins.values())
    return {"count": count, **{f"p{p}": _at(keys, bins, (count - 1) * p / 100, gamma) for p in (50, 90, 99)}}


def _at(keys: Sequence[float], bins: Mapping[float, int], rank: float, gamma: float) -> float:
    passed = 0
    for key in keys:
        passed += bins[key]
        if passed > rank:
            return 0.0 if key == -math.inf else round(2 * gamma**key / (1 + gamma), 2)
    return 0.0
