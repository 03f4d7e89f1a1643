"""Outgoing telephone calls, kept so that none is placed twice, and no more at once than the limit."""

from dataclasses import dataclass

from repartee.store.interfaces import Store, Writing
from repartee.store.opt_outs import opted_out
from repartee.store.schema import Column, Table

PLACED_CALLS = Table(
    "placed_calls",
    (
        Column("key", "text"),
        Column("number", "text"),
        Column("call_id", "text"),
        Column("at", "real"),
        Column("ended_at", "real", null=True),
    ),
    key=("key",),
    time="at",
    subject="number",
    # Longer than any batch.
    kept_days=30,
    indexes=(("call_id",),),
)

LONGEST_CALL_S = 4 * 3600.0
"""A call whose end nobody has told is over after so long."""

MINUTE_S = 60.0
PLACING = ""
UNCERTAIN = "?"
"""In place of a call's id: the carrier did not say whether it has taken it."""


@dataclass(frozen=True, slots=True)
class PlacingLimits:
    """How many calls may be under way at once, and be placed in a minute."""

    at_once: int
    per_minute: int


@dataclass(frozen=True, slots=True)
class PlacingRefused:
    """Why a call is not placed; ``retry_after_s`` None: it never will be."""

    code: str
    words: str
    retry_after_s: int | None = None


async def begin_placing(
    store: Store, key: str, number: str, limits: PlacingLimits, now: float
) -> PlacingRefused | str:
    """Take the place of one more call, in one step with looking whether there is one.

    Returns PLACING for a new call, the carrier's id of one that this key has placed already, or why there is none.
    Raises StoreError.
    """

    def take_place(writing: Writing) -> PlacingRefused | str:
        known = writing.get(PLACED_CALLS, key)
        if known is not None:
            if known["call_id"] == UNCERTAIN:
                return PlacingRefused(
                    "not_certain", "The carrier did not say whether it has placed this call."
                )
            return str(known["call_id"]) or PlacingRefused("being_placed", "This call is being placed.", 1)
        if opted_out(writing, number):
            return PlacingRefused("opted_out", f"{number} is not to be called.")
        recent = writing.rows(PLACED_CALLS, since=now - LONGEST_CALL_S, newest_first=True, limit=10_000)
        if sum(row["ended_at"] is None for row in recent) >= limits.at_once:
            return PlacingRefused("no_free_line", f"{limits.at_once} calls are under way: no more may be.", 2)
        last = [float(row["at"] or 0) for row in recent if float(row["at"] or 0) > now - MINUTE_S]
        if len(last) >= limits.per_minute:
            wait_s = max(1, round(min(last) + MINUTE_S - now))
            return PlacingRefused(
                "too_many_calls", f"{limits.per_minute} calls a minute may be placed.", wait_s
            )
        writing.insert(PLACED_CALLS, {"key": key, "number": number, "call_id": PLACING, "at": now})
        return PLACING

    return await store.write(take_place)


async def placed(store: Store, key: str, number: str, call_id: str, now: float) -> None:
    """The carrier has taken the call. Raises StoreError."""

    def keep_placed(writing: Writing) -> None:
        writing.upsert(PLACED_CALLS, {"key": key, "number": number, "call_id": call_id, "at": now})

    await store.write(keep_placed)


async def not_placed(store: Store, key: str) -> None:
    """The carrier has not taken it: it may be tried again. Raises StoreError."""

    def drop_place(writing: Writing) -> None:
        writing.delete(PLACED_CALLS, {"key": key})

    await store.write(drop_place)


async def placed_call_ended(store: Store, call_id: str, now: float) -> None:
    """Somebody else may be called. Raises StoreError."""

    def end_placed(writing: Writing) -> None:
        for row in writing.rows(PLACED_CALLS, {"call_id": call_id}):
            writing.upsert(PLACED_CALLS, {**row, "ended_at": now})

    await store.write(end_placed)
