"""Webhooks that wait to be delivered: a row each, until whoever they are for has taken them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from repartee.store.call_records import CALL_ENTRIES, CALLS
from repartee.store.interfaces import MOST_ROWS, Store, Writing
from repartee.store.schema import Column, Row, Table

WEBHOOKS = Table(
    "webhooks",
    (
        Column("id", "text"),
        Column("at", "real"),
        Column("due_at", "real"),
        Column("caller", "text", null=True),
        Column("attempts", "integer"),
        Column("body", "text"),
    ),
    key=("id",),
    time="at",
    subject="caller",
    kept_days=30.0,
    indexes=(("due_at",),),
)

STARTED, ENDED = "call.started", "call.ended"
LEASE_S = 30.0
"""Whoever takes a webhook to deliver it has so long; then another may."""


@dataclass(frozen=True, slots=True)
class WaitingWebhook:
    """A webhook to be delivered: its id stays the same, however often it is tried."""

    id: str
    body: str
    attempts: int


def keep_started(store: Store, call_id: str, at: float) -> None:
    """Have `call.started` delivered for a call whose record has been given to the store."""
    store.later(lambda writing: _keep(writing, STARTED, call_id, at, at))


def keep_ended(store: Store, call_id: str, at: float, wait_s: float = 0.0) -> None:
    """Have `call.ended` delivered, with all that the record has; after ``wait_s``, or once it is renewed."""
    store.later(lambda writing: _keep(writing, ENDED, call_id, at, at + wait_s))


def renew_ended(writing: Writing, call_id: str, now: float) -> None:
    """The record has become more than it was when `call.ended` was kept: deliver it as it is now, unless it has been
    taken to be delivered already."""
    waiting = writing.get(WEBHOOKS, webhook_id(ENDED, call_id))
    due_at = waiting["due_at"] if waiting else None
    if waiting and not waiting["attempts"] and isinstance(due_at, float) and due_at > now:
        body = msgspec.json.decode(str(waiting["body"]))
        told = _told(writing, ENDED, call_id)
        renewed = msgspec.json.encode({**body, "data": told}).decode()
        writing.upsert(WEBHOOKS, {**waiting, "due_at": now, "body": renewed})


def webhook_id(kind: str, call_id: str) -> str:
    """The same however often it is delivered, and whoever asks."""
    return f"msg_{kind.replace('.', '_')}_{call_id}"


async def claim(store: Store, now: float, limit: int) -> Sequence[WaitingWebhook]:
    """Those that are due, for the caller to deliver within the lease. Raises StoreError."""

    def take(writing: Writing) -> Sequence[WaitingWebhook]:
        rows = writing.rows(WEBHOOKS, by="due_at", until=now, limit=limit)
        for row in rows:
            writing.upsert(WEBHOOKS, {**row, "due_at": now + LEASE_S})
        return [WaitingWebhook(str(row["id"]), str(row["body"]), int(row["attempts"] or 0)) for row in rows]

    return await store.write(take)


async def settle(
    store: Store, delivered: Sequence[WaitingWebhook], failed: Mapping[WaitingWebhook, float]
) -> None:
    """Forget what was delivered; what was not is due again at these times. Raises StoreError."""

    def write(writing: Writing) -> None:
        for one in delivered:
            writing.delete(WEBHOOKS, {"id": one.id})
        for one, due_at in failed.items():
            if row := writing.get(WEBHOOKS, one.id):
                writing.upsert(WEBHOOKS, {**row, "due_at": due_at, "attempts": one.attempts + 1})

    await store.write(write)


def _told(writing: Writing, kind: str, call_id: str) -> dict[str, object] | None:
    call = writing.get(CALLS, call_id)
    if call is None:
        return None
    told: dict[str, object] = {name: call[name] for name in call if name != "details"}
    if kind == ENDED:
        entries = writing.rows(CALL_ENTRIES, {"call_id": call_id}, limit=MOST_ROWS)
        told |= msgspec.json.decode(str(call["details"]))
        told["transcript"] = [
            {"at": entry["at"], **msgspec.json.decode(str(entry["body"]))}
            for entry in entries
            if entry["kind"] == "said"
        ]
    return told


def _keep(writing: Writing, kind: str, call_id: str, at: float, due_at: float) -> None:
    told = _told(writing, kind, call_id)
    if told is None:
        return
    row: Row = {
        "id": webhook_id(kind, call_id),
        "at": at,
        "due_at": due_at,
        "caller": str(told["caller"]) if told["caller"] else None,
        "attempts": 0,
        "body": msgspec.json.encode({"type": kind, "timestamp": at, "data": told}).decode(),
    }
    writing.insert(WEBHOOKS, row)
