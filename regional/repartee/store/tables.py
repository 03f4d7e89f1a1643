"""Every table there is: a file for each, and a row here."""

from repartee.store.schema import Table
from repartee.store.transitions import TRANSITIONS

TABLES: tuple[Table, ...] = (TRANSITIONS,)
