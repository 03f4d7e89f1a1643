"""Tables as those who will keep things declare them: one with a caller, one with every kind of value."""

from repartee.store.schema import Column, Table

CALLS = Table(
    "calls",
    (
        Column("call_id", "text"),
        Column("caller", "text", null=True),
        Column("started_at", "real"),
        Column("words", "text", null=True),
        Column("due_at", "real", null=True),
    ),
    key=("call_id",),
    time="started_at",
    subject="caller",
    kept_days=30,
    indexes=(("due_at",),),
)

VALUES = Table(
    "values",
    (
        Column("owner", "text"),
        Column("number", "integer"),
        Column("at", "real"),
        Column("data", "bytes", null=True),
        Column("share", "real", default=0.5),
        Column("note", "text", null=True),
    ),
    key=("owner", "number"),
    time="at",
    subject="owner",
)

TABLES = (CALLS, VALUES)
