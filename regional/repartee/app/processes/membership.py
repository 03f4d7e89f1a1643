"""One process's place among those of its region: what it says of itself, and what it knows of all.

Owns the words that pass from a process to its parent. Must not know what the parent makes of them.
"""

import asyncio
import math
import os
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from enum import IntEnum

from repartee.app.processes.shared_metrics import Mirror
from repartee.app.processes.shared_table import RowField, SharedTable
from repartee.app.worker import Worker, WorkerState
from repartee.telemetry.events import CallEvent, TurnOver
from repartee.telemetry.tally import TurnTally
from repartee.turn.outcome import TurnOutcome
from repartee_edge.tickets import Ticket

INNER_HOST = "127.0.0.1"
"""Where a region's processes listen for each other: what comes to one may belong to a call of another."""

LOOK_S = 0.1
"""How often a process looks whether it has become warm."""

MIRROR_S = 1.0
RECORD = struct.Struct("<Bd")
"""A word to the parent. So short that a pipe takes it as a whole or not at all."""

RECORDS_AT_ONCE = 512


class RecordKind(IntEnum):
    """What a record says: look at the table again, or how a turn went (its latency in ms follows, or NaN)."""

    CHANGED = 0
    ANSWERED = 1
    UNANSWERED = 2


class Membership:
    """A process's place. ``reports`` is the writing end of a pipe to the parent, which must not block."""

    def __init__(self, table: SharedTable, index: int, reports: int) -> None:
        self._table = table
        self._index = index
        self._reports = reports
        self._unsettled = 0
        self._received = 0

    def __repr__(self) -> str:
        return f"<Membership {self._index + 1} of {self._table.processes}>"

    @property
    def index(self) -> int:
        """Which of the processes it is, from 0."""
        return self._index

    @property
    def processes(self) -> int:
        """How many there are."""
        return self._table.processes

    @property
    def is_first(self) -> bool:
        """If all processes would say the same, the first says it for all."""
        return self._index == 0

    @property
    def secret(self) -> bytes:
        """Known to the region's processes only."""
        return self._table.secret

    def listens_at(self, inner_port: int) -> None:
        """The other processes reach this one at a port of this machine's own."""
        self._table.write(self._index, RowField.INNER_PORT, inner_port)

    def port_of(self, index: int) -> int:
        """Where another process is reached; 0: nowhere now."""
        return self._table.row(index).inner_port if index < self._table.processes else 0

    def state(self) -> WorkerState:
        """The whole region's."""
        return self._table.state()

    def take(self) -> bool:
        """Take one of the region's call slots, if one is free."""
        taken = self._table.take_slot(self._index)
        if taken:
            self._tell(RecordKind.CHANGED)
        return taken

    def give_back(self) -> None:
        """A call's slot is free again."""
        self._table.give_slot_back(self._index)
        self._tell(RecordKind.CHANGED)

    def take_call(self, subject: str, limit: int) -> bool:
        """Count one more call of this subject's, if the region has fewer than ``limit``."""
        return self._table.take_call(self._index, subject, limit)

    def give_call_back(self, subject: str) -> None:
        """A call of this subject's is over."""
        self._table.give_call_back(self._index, subject)

    def use(self, ticket: Ticket, now: float) -> None:
        """Mark a verified ticket as used. Raises TicketReplayed."""
        self._table.use_ticket(ticket, now)

    def export(self, event: CallEvent) -> None:
        """Tell the parent of a turn. Implements :class:`~repartee.telemetry.stream.Counts`."""
        if isinstance(event, TurnOver):
            word = RecordKind.UNANSWERED if event.outcome == "unanswered" else RecordKind.ANSWERED
            self._tell(word, event.trace.voice_to_voice_ms if event.trace else math.nan)

    def takes_connections(self, does: bool) -> None:
        """Whether the parent may give this process connections."""
        self._table.write(self._index, RowField.STARTED, does)
        self._tell(RecordKind.CHANGED)

    def received(self) -> None:
        """A connection has been taken over; it is unsettled until it asks for something."""
        self._received += 1
        self._unsettled += 1
        # Unsettled first: read in between, it counts twice rather than not at all.
        self._table.write(self._index, RowField.UNSETTLED, self._unsettled)
        self._table.write(self._index, RowField.RECEIVED, self._received)

    def settled(self) -> None:
        """A connection has asked for something, or has had the time to."""
        self._unsettled -= 1
        self._table.write(self._index, RowField.UNSETTLED, self._unsettled)

    @asynccontextmanager
    async def publishing(self, worker: Worker) -> AsyncIterator[None]:
        """Keep this process's row as the worker is, for as long as the block lasts."""
        worker.stream.count(self, TurnOver)
        worker.watch(lambda: self._publish(worker))
        task = asyncio.create_task(self._keep_publishing(worker))
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _keep_publishing(self, worker: Worker) -> None:
        mirror = Mirror(worker.metrics.services_figures)
        while True:
            mirror.update()
            for _ in range(round(MIRROR_S / LOOK_S)):
                self._publish(worker)
                await asyncio.sleep(LOOK_S)

    def _publish(self, worker: Worker) -> None:
        before = self._table.row(self._index)
        now = (worker.ready, worker.slots.draining, worker.services.admitting)
        if (before.ready, before.draining, before.admitting) != now:
            for column, value in zip(
                (RowField.READY, RowField.DRAINING, RowField.ADMITTING), now, strict=True
            ):
                self._table.write(self._index, column, value)
            self._tell(RecordKind.CHANGED)

    def _tell(self, word: RecordKind, figure: float = math.nan) -> None:
        # A parent that does not read misses figures; no call waits for it.
        with suppress(BlockingIOError, BrokenPipeError):
            os.write(self._reports, RECORD.pack(word, figure))


def hear(reports: int, tallies: Sequence[TurnTally]) -> bool | None:
    """Read what a process has said, and count its turns. None: it has said nothing; False: it never will again."""
    try:
        said = os.read(reports, RECORDS_AT_ONCE * RECORD.size)
    except BlockingIOError:
        return None
    for word, latency_ms in RECORD.iter_unpack(said):
        if word == RecordKind.CHANGED:
            continue
        outcome: TurnOutcome = "unanswered" if word == RecordKind.UNANSWERED else "answered"
        for tally in tallies:
            tally.add(outcome, None if math.isnan(latency_ms) else latency_ms)
    return bool(said)
