"""The summary of a call that is over: into its record, and into the webhook that waits for it, in one change."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from repartee.store.call_records import CALL_ENTRIES, CALLS
from repartee.store.interfaces import MOST_ROWS, Reading, Store, Writing
from repartee.store.schema import Row
from repartee.store.webhook_outbox import renew_ended

Details = dict[str, Any]
AddSummary = Callable[[Details], float | None]
"""Adds the summary to a record's details, and what making it has used; returns what the call costs with that."""


async def said_in(store: Store, call_id: str) -> Sequence[Mapping[str, Any]]:
    """What was said in a call, in order: ``who`` and ``text``. Raises StoreError."""

    def read_said(reading: Reading) -> Sequence[Row]:
        return reading.rows(CALL_ENTRIES, {"call_id": call_id}, limit=MOST_ROWS)

    entries = await store.read(read_said)
    return [msgspec.json.decode(str(entry["body"])) for entry in entries if entry["kind"] == "said"]


async def keep_summary(store: Store, call_id: str, add: AddSummary, now: float) -> None:
    """Put a summary where it belongs; a call that was erased meanwhile stays so. Raises StoreError."""

    def write(writing: Writing) -> None:
        call = writing.get(CALLS, call_id)
        if call is None:
            return
        details: Details = msgspec.json.decode(str(call["details"]))
        cost = add(details)
        writing.upsert(CALLS, {**call, "cost": cost, "details": msgspec.json.encode(details).decode()})
        renew_ended(writing, call_id, now)

    await store.write(write)
