"""Every table there is: a file for each, and a row here."""

from repartee.store.call_checkpoints import CALL_CHECKPOINTS
from repartee.store.call_records import CALL_ENTRIES, CALLS
from repartee.store.opt_outs import OPT_OUTS
from repartee.store.placed_calls import PLACED_CALLS
from repartee.store.recordings import RECORDINGS
from repartee.store.schema import Table
from repartee.store.transitions import TRANSITIONS
from repartee.store.webhook_outbox import WEBHOOKS

TABLES: tuple[Table, ...] = (
    CALLS,
    CALL_ENTRIES,
    CALL_CHECKPOINTS,
    WEBHOOKS,
    TRANSITIONS,
    OPT_OUTS,
    PLACED_CALLS,
    RECORDINGS,
)

EXPIRING = tuple(table for table in TABLES if table is not RECORDINGS)
"""A recording's row goes with its file."""
