"""Webhooks that wait to be delivered: a row each, until whoever they are for has taken them."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from repartee.store.call_records import CALL_ENTRIES, CALLS
from repartee.store.interfaces import MOST_ROWS, Store, Writing
from repartee.store.schema import Column, Table

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
    store.later(lambda writing: _keep(writing, "call.started", call_id, at, ended=False))


def keep_ended(store: Store, call_id: str, at: float) -> None:
    """Have `call.ended` delivered, with all that the record has."""
    store.later(lambda writing: _keep(writing, "call.ended", call_id, at, ended=True))


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


def _keep(writing: Writing, kind: str, call_id: str, at: float, *, ended: bool) -> None:
    call = writing.get(CALLS, call_id)
    if call is None:
        return
    told: dict[str, object] = {name: call[name] for name in call if name != "details"}
    if ended:
        entries = writing.rows(CALL_ENTRIES, {"call_id": call_id}, limit=MOST_ROWS)
        told |= msgspec.json.decode(str(call["details"]))
        told["transcript"] = [
            {"at": entry["at"], **msgspec.json.decode(str(entry["body"]))}
            for entry in entries
            if entry["kind"] == "said"
        ]
    body = {"type": kind, "timestamp": at, "data": told}
    writing.insert(
        WEBHOOKS,
        {
            "id": f"msg_{secrets.token_hex(12)}",
            "at": at,
            "due_at": at,
            "caller": call["caller"],
            "attempts": 0,
            "body": msgspec.json.encode(body).decode(),
        },
    )
