"""Numbers that nobody may call, whoever asks. An erasure leaves them, or the number would be called again."""

from repartee.store.interfaces import Reading, Store, Writing
from repartee.store.schema import Column, Table

OPT_OUTS = Table(
    "opt_outs",
    (Column("number", "text"), Column("at", "real"), Column("why", "text")),
    key=("number",),
    time="at",
)


async def opt_out(store: Store, number: str, why: str, now: float) -> None:
    """Never call this number. Raises StoreError."""

    def keep_opt_out(writing: Writing) -> None:
        writing.insert(OPT_OUTS, {"number": number, "at": now, "why": why})

    await store.write(keep_opt_out)


async def opt_in(store: Store, number: str) -> bool:
    """Whoever has this number may be called again; False: they could be anyway. Raises StoreError."""

    def drop_opt_out(writing: Writing) -> bool:
        return bool(writing.delete(OPT_OUTS, {"number": number}))

    return await store.write(drop_opt_out)


def opted_out(reading: Reading, number: str) -> bool:
    """Whether this number must not be called."""
    return reading.get(OPT_OUTS, number) is not None
