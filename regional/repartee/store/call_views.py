"""Calls as JSON has them, for whoever lists or shows them."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from repartee.store.call_records import ending
from repartee.store.schema import Row


def summary_of(call: Row, now: float) -> dict[str, Any]:
    """A call in a list."""
    return {
        "call_id": call["call_id"],
        "agent": call["agent"],
        "version": call["version"],
        "caller": call["caller"],
        "transport": call["transport"],
        "region": call["region"],
        "started_at": _iso(call["started_at"]),
        "seconds": _rounded(call["seconds"]),
        "turns": call["turns"],
        "unanswered": call["unanswered"],
        "interruptions": call["interruptions"],
        "faults": call["faults"],
        "ended": ending(call, now),
        "cost": call["cost"],
    }


def record_of(call: Row, entries: Sequence[Row], now: float) -> dict[str, Any]:
    """A call with what happened in it."""
    happened = [
        {
            "at": _iso(entry["at"]),
            "event": entry["kind"],
            "turn_id": entry["turn_id"],
            **json.loads(str(entry["body"])),
        }
        for entry in entries
    ]
    return {**summary_of(call, now), **json.loads(str(call["details"])), "timeline": happened}


def _iso(at: object) -> str:
    assert isinstance(at, float)
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _rounded(seconds: object) -> float:
    assert isinstance(seconds, float)
    return round(seconds, 3)
