"""What followed what in past calls: an agent's counts. Names of tools only, nothing of a caller."""

from collections.abc import Callable, Iterable, Mapping

from repartee.store.interfaces import Reading, Store, Writing
from repartee.store.schema import Column, Table

TRANSITIONS = Table(
    "transitions",
    (
        Column("agent", "text"),
        Column("state", "text"),
        Column("tool", "text"),
        Column("weight", "real"),
        Column("at", "real"),
    ),
    key=("agent", "state", "tool"),
    time="at",
    # After 180 days a count is worth less than one of 8,000.
    kept_days=180,
)

Count = tuple[float, float]
"""A weight, and when it was last brought up, in wall-clock seconds."""

MOST = 10_000
"""Counts of one agent that are read: tools squared."""


async def load_counts(store: Store, agent: str) -> dict[tuple[str, str], Count]:
    """An agent's counts, by state and tool. Raises StoreError."""

    def job(reading: Reading) -> dict[tuple[str, str], Count]:
        rows = reading.rows(TRANSITIONS, {"agent": agent}, newest_first=True, limit=MOST)
        return {
            (str(row["state"]), str(row["tool"])): (float(row["weight"] or 0), float(row["at"] or 0))
            for row in rows
        }

    return await store.read(job)


def keep_counts(
    store: Store,
    agent: str,
    transitions: Iterable[tuple[str, str]],
    count: Callable[[Count | None], Count],
) -> None:
    """Count one call's transitions, soon; ``count`` makes a new count from the known one."""
    followed = tuple(transitions)

    def keep_transitions(writing: Writing) -> None:
        for state, tool in followed:
            known = writing.get(TRANSITIONS, agent, state, tool)
            weight, at = count((float(known["weight"] or 0), float(known["at"] or 0)) if known else None)
            key: Mapping[str, str] = {"agent": agent, "state": state, "tool": tool}
            writing.upsert(TRANSITIONS, {**key, "weight": weight, "at": at})

    if followed:
        store.later(keep_transitions)
