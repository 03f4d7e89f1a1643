"""What processes share, as two of them see it: slots, tickets, the state of the whole; and what they report."""

import math
import os
import time
from collections.abc import Iterator

import pytest
from tests.promptness import measured
from tests.regional.telemetry.samples import turn_over

from repartee.app.processes.membership import RECORD, Membership, RecordKind, hear
from repartee.app.processes.shared_table import TICKET_PLACES, Row, RowField, SharedTable
from repartee.app.worker import WorkerState
from repartee.telemetry.tally import TurnFigures, TurnTally
from repartee_edge.tickets import Ticket, TicketReplayed

NOW = 1_800_000_000.0


@pytest.fixture
def tables() -> Iterator[tuple[SharedTable, SharedTable]]:
    """One table, as the first and the second process see it."""
    first = SharedTable.create(2, slots=3)
    second = SharedTable(os.dup(first.descriptor))
    yield first, second
    first.close()
    second.close()


def ticket(jti: str, *, lives_s: int = 60) -> Ticket:
    return Ticket("here", "key_1", jti, int(NOW), int(NOW) + lives_s)


def test_slots_are_counted_over_all(tables: tuple[SharedTable, SharedTable]) -> None:
    first, second = tables
    assert [first.take_slot(0), second.take_slot(1), second.take_slot(1)] == [True] * 3
    assert not first.take_slot(0)
    assert repr(first) == "<SharedTable: 1, 2 of 3>"
    second.give_slot_back(1)
    assert first.take_slot(0)
    assert (first.row(0).taken, first.row(1).taken) == (2, 1)


def test_a_process_that_is_gone_holds_no_slots(tables: tuple[SharedTable, SharedTable]) -> None:
    first, second = tables
    for _ in range(3):
        second.take_slot(1)
    first.clear(1)
    assert second.row(1) == Row()
    assert first.take_slot(0)


def test_the_calls_of_a_subject_are_counted_over_all(tables: tuple[SharedTable, SharedTable]) -> None:
    first, second = tables
    assert [first.take_call(0, "a", 2), second.take_call(1, "a", 2)] == [True, True]
    assert [first.take_call(0, "a", 2), second.take_call(1, "a", 2)] == [False, False]
    assert second.take_call(1, "b", 2)
    second.give_call_back(1, "a")
    assert first.take_call(0, "a", 2)
    assert not second.take_call(1, "a", 2)
    second.give_call_back(1, "b")
    assert second.row(1).subjects == 0


def test_a_process_that_is_gone_has_no_calls(tables: tuple[SharedTable, SharedTable]) -> None:
    first, second = tables
    for _ in range(3):
        assert second.take_call(1, "a", 3)
    assert not first.take_call(0, "a", 3)
    first.clear(1)
    assert first.take_call(0, "a", 3)


def test_no_slot_is_given_once_the_drain_has_begun(tables: tuple[SharedTable, SharedTable]) -> None:
    first, second = tables
    first.begin_drain()
    assert not second.take_slot(1)
    assert second.state() == WorkerState(active=0, slots=3, ready=False, draining=True, admitting=False)


def test_it_is_ready_when_all_are(tables: tuple[SharedTable, SharedTable]) -> None:
    first, second = tables
    first.write(0, RowField.READY, 1)
    first.take_slot(0)
    assert second.state() == WorkerState(active=1, slots=3, ready=False, draining=False, admitting=False)
    second.write(1, RowField.READY, 1)
    assert first.state() == WorkerState(active=1, slots=3, ready=True, draining=False, admitting=False)


def test_a_ticket_lets_in_once_whichever_process_it_comes_to(
    tables: tuple[SharedTable, SharedTable],
) -> None:
    first, second = tables
    first.use_ticket(ticket("a"), NOW)
    second.use_ticket(ticket("b"), NOW)
    for table in tables:
        for jti in "ab":
            with pytest.raises(TicketReplayed, match="has been used"):
                table.use_ticket(ticket(jti), NOW + 59)


def test_a_minute_of_the_most_tickets_is_remembered(tables: tuple[SharedTable, SharedTable]) -> None:
    first, second = tables
    # As many as the places are meant for would take a while; a tenth of them, in neighbourhoods of the same size.
    count = TICKET_PLACES // 26
    for n in range(count):
        first.use_ticket(ticket(str(n)), NOW)
    for n in range(0, count, 97):
        with pytest.raises(TicketReplayed, match="has been used"):
            second.use_ticket(ticket(str(n)), NOW)
    for n in range(0, count, 97):
        second.use_ticket(ticket(str(n), lives_s=120), NOW + 60)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    os.set_blocking(writing, False)
    yield reading, writing
    for descriptor in (reading, writing):
        os.close(descriptor)


def test_turns_reach_the_parent(tables: tuple[SharedTable, SharedTable], pipe: tuple[int, int]) -> None:
    member, tally = Membership(tables[1], 1, pipe[1]), TurnTally()
    assert hear(pipe[0], [tally]) is None
    member.export(turn_over("answered", 443.5))
    member.export(turn_over("unanswered"))
    assert member.take()
    member.export(turn_over("interrupted"))
    assert hear(pipe[0], [tally]) is True
    assert tally.take() == TurnFigures((443.5,), 1)
    assert hear(pipe[0], [tally]) is None


def test_a_parent_that_does_not_read_holds_up_nobody(
    tables: tuple[SharedTable, SharedTable], pipe: tuple[int, int]
) -> None:
    member, tally = Membership(tables[0], 0, pipe[1]), TurnTally()
    started, machine = time.monotonic(), measured()
    answered = turn_over("answered", 1.0)
    for _ in range(20_000):
        member.export(answered)
    took_s = time.monotonic() - started
    while hear(pipe[0], [tally]):
        pass
    assert set(tally.take().latencies_ms) == {1.0}
    machine.promise(took_s < 5, f"20,000 figures took {took_s:.1f} s")
    member.export(turn_over("answered", 2.0))
    hear(pipe[0], [tally])
    assert tally.take().latencies_ms == (2.0,)


def test_a_record_is_whole_or_not_there() -> None:
    """What the two ends of the pipe rely on: POSIX promises it up to 512 bytes."""
    assert RECORD.size <= 512
    assert math.isnan(RECORD.unpack(RECORD.pack(RecordKind.CHANGED, math.nan))[1])
