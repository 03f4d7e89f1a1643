"""What was said in the telephone calls under way: a row each, for the region that a call goes to if its own is lost.

Written after each thing that is said, and deleted when the call is over.
"""

from repartee.store.interfaces import Reading, Store, Writing
from repartee.store.schema import Column, Row, Table

CALL_CHECKPOINTS = Table(
    "call_checkpoints",
    (
        Column("call", "text"),
        Column("at", "real"),
        Column("caller", "text", null=True),
        Column("body", "text"),
    ),
    key=("call",),
    time="at",
    subject="caller",
    # A carrier asks at once what follows a stream that is lost: after an hour nobody goes on with the call.
    kept_days=1 / 24,
)
"""``call`` is the carrier and its id of the call; ``body`` is JSON, as turn/earlier has it."""


def keep_checkpoint(store: Store, call: str, caller: str, body: str, now: float) -> None:
    """Have this be what is known of the call, soon."""
    row: Row = {"call": call, "at": now, "caller": caller or None, "body": body}

    def write_checkpoint(writing: Writing) -> None:
        writing.upsert(CALL_CHECKPOINTS, row)

    store.later(write_checkpoint)


def forget_checkpoint(store: Store, call: str) -> None:
    """The call is over: delete what was said, soon."""

    def drop_checkpoint(writing: Writing) -> None:
        writing.delete(CALL_CHECKPOINTS, {"call": call})

    store.later(drop_checkpoint)


async def checkpoint_of(store: Store, call: str) -> str | None:
    """What is known of the call; None: nothing. Raises StoreError."""

    def read_checkpoint(reading: Reading) -> str | None:
        row = reading.get(CALL_CHECKPOINTS, call)
        return None if row is None else str(row["body"])

    return await store.read(read_checkpoint)
