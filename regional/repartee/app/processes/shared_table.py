"""What the processes of one region know about each other: a small table in memory that they share.

Owns its layout, the lock, and what they all count together: call slots, tickets, the calls of each subject; and a
secret that they share. Must not know how the processes are started or how connections reach them. Linux and macOS.

Each process has a row that it alone writes, and a list of the subjects of its calls. A kernel lock guards the
taking of slots, tickets and calls; the kernel releases it when its holder dies.
"""

import fcntl
import hashlib
import mmap
import os
import secrets
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum

from repartee.app.worker import WorkerState
from repartee_edge.tickets import Ticket, TicketReplayed

WORD_BYTES = 8
HEADER_WORDS = 8
ROW_WORDS = 16
SECRET_WORDS = 4
TICKET_PLACES = 1 << 18
"""Room for 1,600 tickets a second, each of which lives for about a minute, at two in five taken. 4 MB, of which only
the pages in use are ever there."""

TICKET_PROBES = 64
"""How many places a ticket may be in. All of them taken: too many tickets to tell a new one from a used one."""


class _Header(IntEnum):
    PROCESSES = 0
    SLOTS = 1
    DRAINING = 2
    SECRET = 3


class RowField(IntEnum):
    """What a process says of itself: whether it takes connections over, is warm, drains; its call slots taken, the
    connections it has been given, those of them that have not asked for anything yet, and the length of its list of
    subjects; whether a new call would have the providers that it needs; the port at which the other processes reach
    it (0: they do not)."""

    STARTED = 0
    READY = 1
    DRAINING = 2
    TAKEN = 3
    RECEIVED = 4
    UNSETTLED = 5
    SUBJECTS = 6
    ADMITTING = 7
    INNER_PORT = 8


@dataclass(frozen=True, slots=True)
class Row:
    """One process at one moment."""

    started: bool = False
    ready: bool = False
    draining: bool = False
    taken: int = 0
    received: int = 0
    unsettled: int = 0
    subjects: int = 0
    admitting: bool = False
    inner_port: int = 0


class SharedTable:
    """The table, as a process that has its file descriptor sees it."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._memory = mmap.mmap(descriptor, os.fstat(descriptor).st_size)
        self._words = memoryview(self._memory).cast("Q")
        self.processes = self._words[_Header.PROCESSES]
        self.slots = self._words[_Header.SLOTS]
        self._subjects_at = HEADER_WORDS + self.processes * ROW_WORDS
        self._tickets_at = self._subjects_at + self.processes * self.slots

    def __repr__(self) -> str:
        rows = ", ".join(str(row.taken) for row in self.rows())
        return f"<SharedTable: {rows} of {self.slots}{', draining' if self.draining else ''}>"

    @classmethod
    def create(cls, processes: int, slots: int) -> "SharedTable":
        """A new table for so many processes, which share so many call slots. Raises OSError."""
        words = HEADER_WORDS + processes * (ROW_WORDS + slots) + 2 * TICKET_PLACES
        with tempfile.TemporaryFile(buffering=0) as file:
            file.truncate(words * WORD_BYTES)
            numbers = (processes, slots, 0)
            file.write(b"".join(number.to_bytes(WORD_BYTES, sys.byteorder) for number in numbers))
            file.write(secrets.token_bytes(SECRET_WORDS * WORD_BYTES))
            return cls(os.dup(file.fileno()))

    def close(self) -> None:
        """Forget the table; other processes keep it."""
        self._words.release()
        self._memory.close()
        os.close(self.descriptor)

    @property
    def secret(self) -> bytes:
        """Random, and known to these processes only."""
        return self._words[_Header.SECRET : _Header.SECRET + SECRET_WORDS].tobytes()

    @property
    def draining(self) -> bool:
        """The region takes no more calls."""
        return bool(self._words[_Header.DRAINING])

    def begin_drain(self) -> None:
        """No process takes calls from now on."""
        self._words[_Header.DRAINING] = 1

    def rows(self) -> list[Row]:
        """All processes, in order."""
        return [self.row(index) for index in range(self.processes)]

    def row(self, index: int) -> Row:
        """One process."""
        start = HEADER_WORDS + index * ROW_WORDS
        started, ready, draining, *counts, admitting, inner_port = self._words[
            start : start + len(RowField)
        ].tolist()
        taken, received, unsettled, subjects = counts
        return Row(
            bool(started),
            bool(ready),
            bool(draining),
            taken,
            received,
            unsettled,
            subjects,
            bool(admitting),
            inner_port,
        )

    def write(self, index: int, column: RowField, value: int) -> None:
        """Say something of a process; only that process does, and its parent when it is gone."""
        self._words[HEADER_WORDS + index * ROW_WORDS + column] = value

    def clear(self, index: int) -> None:
        """A process is gone, and its calls with it."""
        with self._locked():
            for column in RowField:
                self.write(index, column, 0)

    def state(self) -> WorkerState:
        """All processes as one worker: warm when each of them is, admitting while any is."""
        rows = self.rows()
        ready = not self.draining and all(row.ready for row in rows)
        admitting = any(row.admitting for row in rows)
        return WorkerState(sum(row.taken for row in rows), self.slots, ready, self.draining, admitting)

    def take_slot(self, index: int) -> bool:
        """Take one of the region's slots for a process's call, if one is free."""
        with self._locked():
            rows = self.rows()
            if self.draining or sum(row.taken for row in rows) >= self.slots:
                return False
            self.write(index, RowField.TAKEN, rows[index].taken + 1)
            return True

    def give_slot_back(self, index: int) -> None:
        """A process's call is over."""
        self.write(index, RowField.TAKEN, self.row(index).taken - 1)

    def take_call(self, index: int, subject: str, limit: int) -> bool:
        """Count a process's call as one of this subject's, if all processes have fewer than ``limit`` of them."""
        mark, _ = _marks(subject)
        with self._locked():
            lists = [self._subjects_of(process) for process in range(self.processes)]
            if sum(marks.count(mark) for marks in lists) >= limit:
                return False
            count = len(lists[index])
            self._words[self._subjects_at + index * self.slots + count] = mark
            self.write(index, RowField.SUBJECTS, count + 1)
            return True

    def give_call_back(self, index: int, subject: str) -> None:
        """A process's call of this subject's is over. The last of its list takes the place."""
        mark, _ = _marks(subject)
        with self._locked():
            marks = self._subjects_of(index)
            start = self._subjects_at + index * self.slots
            self._words[start + marks.index(mark)] = marks[-1]
            self.write(index, RowField.SUBJECTS, len(marks) - 1)

    def _subjects_of(self, index: int) -> list[int]:
        start = self._subjects_at + index * self.slots
        return self._words[start : start + self.row(index).subjects].tolist()

    def use_ticket(self, ticket: Ticket, now: float) -> None:
        """Mark a verified ticket as used, in all processes. Raises TicketReplayed if it was."""
        mark, first = _marks(ticket.jti)
        with self._locked():
            free = None
            for step in range(TICKET_PROBES):
                place = self._tickets_at + 2 * ((first + step) % TICKET_PLACES)
                seen, expires_at = self._words[place], self._words[place + 1]
                if expires_at <= now:
                    free = place if free is None else free
                elif seen == mark:
                    raise TicketReplayed("this ticket has been used: ask the edge for a new one")
            if free is None:
                raise TicketReplayed("too many tickets at once to tell a new one from a used one: try again")
            self._words[free], self._words[free + 1] = mark, ticket.expires_at

    @contextmanager
    def _locked(self) -> Iterator[None]:
        fcntl.lockf(self.descriptor, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.lockf(self.descriptor, fcntl.LOCK_UN)


def _marks(name: str) -> tuple[int, int]:
    """Two words that stand for a name; the first is not 0."""
    digest = hashlib.sha256(name.encode()).digest()
    first, second = digest[:WORD_BYTES], digest[WORD_BYTES : 2 * WORD_BYTES]
    return int.from_bytes(first, "big") | 1, int.from_bytes(second, "big")
