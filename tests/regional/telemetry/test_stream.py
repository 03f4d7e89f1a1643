"""One stream of call events, to any number of exporters, none of which can hurt a call."""

import asyncio
import logging
import threading

import pytest
from tests.promptness import DEADLINE_S
from tests.regional.telemetry.samples import call_ended, turn_over

from repartee.telemetry.events import CallEvent
from repartee.telemetry.stream import Stream, StreamLimits


class Keeper:
    """Keeps what it is given; ``gate`` holds it up until it is set."""

    def __init__(self) -> None:
        self.events: list[CallEvent] = []
        self.threads: set[int] = set()
        self.closed = False
        self.gate = threading.Event()
        self.gate.set()

    def export(self, event: CallEvent) -> None:
        self.gate.wait(DEADLINE_S)
        self.threads.add(threading.get_ident())
        self.events.append(event)

    def close(self) -> None:
        self.closed = True


class Slow(Keeper):
    """Another by its name."""


class Broken:
    """Raises at every event, and at the end."""

    def __init__(self) -> None:
        self.asked = 0

    def export(self, event: CallEvent) -> None:
        self.asked += 1
        raise RuntimeError("no such host")

    def close(self) -> None:
        raise RuntimeError("nor this one")


EVENTS = [turn_over("answered", 400.0, turn_id=n) for n in range(1, 4)] + [call_ended()]


@pytest.mark.parametrize("count", [0, 1, 3])
async def test_every_exporter_gets_every_event_in_order(count: int) -> None:
    stream, keepers = Stream(), [Keeper() for _ in range(count)]
    for keeper in keepers:
        stream.add(keeper)
    for event in EVENTS:
        stream.emit(event)
    await stream.aclose()
    assert [keeper.events for keeper in keepers] == [EVENTS] * count
    assert all(keeper.closed for keeper in keepers)


async def test_each_exporter_has_a_thread_of_its_own_and_counts_have_none() -> None:
    stream, keepers, counts = Stream(), [Keeper(), Keeper()], Keeper()
    for keeper in keepers:
        stream.add(keeper)
    stream.count(counts)
    stream.emit(EVENTS[0])
    assert counts.events == EVENTS[:1]
    assert counts.threads == {threading.get_ident()}
    await stream.aclose()
    threads = [keeper.threads for keeper in keepers]
    assert len(set[int]().union(*threads, counts.threads)) == 3


def test_counts_get_events_of_the_kinds_that_they_want_and_of_those_alone() -> None:
    stream, some, all_of_them = Stream(), Keeper(), Keeper()
    stream.count(some, type(EVENTS[0]))
    stream.emit(EVENTS[0])
    stream.count(all_of_them)
    for event in EVENTS:
        stream.emit(event)
    assert some.events == [event for event in [EVENTS[0], *EVENTS] if type(event) is type(EVENTS[0])]
    assert all_of_them.events == EVENTS


async def test_what_an_exporter_raises_is_logged_once_and_stays_with_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stream, broken, counts, keeper = Stream(), Broken(), Broken(), Keeper()
    stream.count(counts)
    stream.add(broken)
    stream.add(keeper)
    for event in EVENTS:
        stream.emit(event)
    await stream.aclose()
    assert keeper.events == EVENTS
    assert (broken.asked, counts.asked) == (4, 4)
    failed = [record for record in caplog.records if "the event is lost to it" in record.message]
    assert len(failed) == 2  # once for each of the two
    assert all(record.exc_info for record in failed)
    assert "failed on 4 events and missed 0" in caplog.text


async def test_an_exporter_that_blocks_holds_up_nobody(caplog: pytest.LogCaptureFixture) -> None:
    stream, slow, keeper = Stream(StreamLimits(queue=3)), Slow(), Keeper()
    slow.gate.clear()
    stream.add(slow)
    stream.add(keeper)
    emitted = 0
    async with asyncio.timeout(DEADLINE_S):
        while len(keeper.events) < 10:
            stream.emit(turn_over("answered", 400.0))
            emitted += 1
            await asyncio.sleep(0.001)
    slow.gate.set()
    await stream.aclose()
    # One is in its hands, three wait; the rest is dropped and counted.
    assert len(slow.events) == 4
    [said] = [record for record in caplog.records if "Slow is slow: 3 events wait" in record.message]
    assert said.levelno == logging.WARNING
    assert f"Slow failed on 0 events and missed {emitted - 4}" in caplog.text


async def test_an_exporter_that_hangs_does_not_keep_the_worker_from_ending(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stream, stuck = Stream(StreamLimits(close_s=0.05)), Keeper()
    stuck.gate.clear()
    stream.add(stuck)
    for event in EVENTS:
        stream.emit(event)
    async with asyncio.timeout(DEADLINE_S):
        await stream.aclose()
    assert "has not finished in time" in caplog.text
    assert not stuck.closed
    stuck.gate.set()


async def test_nothing_is_taken_after_the_end() -> None:
    stream, keeper = Stream(), Keeper()
    stream.add(keeper)
    await stream.aclose()
    stream.emit(EVENTS[0])
    await stream.aclose()
    assert keeper.events == []
