"""The caller's audio on its way to recognition: kept, cut, filled with silence, and followed to new ears."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from tests.regional.session.actors import Bell, LooseTasks, ScriptedEars, caller_audio, failure, heard_ms

from repartee.errors import PoolTimeout
from repartee.session.hearing import Hearing, HearingPolicy, HearingUser
from repartee.turn.events import EndOfTurn, Event, HearingResumes, StartOfTurn
from repartee.turn.session_watch import WatchPolicy
from repartee.wire.audio_format import WireFormat

QUICK = HearingPolicy(watch=WatchPolicy(backoff_first_s=0.0), look_s=0.02, gap_ms=20, gap_limit_ms=200)


class Listening:
    """A hearing at work, and what it delivers."""

    def __init__(self, policy: HearingPolicy) -> None:
        self.bell = Bell()
        self.ears = ScriptedEars(self.bell)
        self.delivered: list[Event] = []
        self.hearing = Hearing(
            self.ears,
            HearingUser(self._take, LooseTasks()),
            source=WireFormat(),
            language="en",
            policy=policy,
        )
        self.running: asyncio.Task[None]

    def _take(self, event: Event) -> None:
        self.delivered.append(event)
        self.bell.ring()

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator["Listening"]:
        others = asyncio.all_tasks()
        self.running = asyncio.create_task(self.hearing.run())
        self.running.add_done_callback(lambda _: self.bell.ring())
        try:
            yield self
        finally:
            self.running.cancel()
            await asyncio.wait([self.running])
            assert asyncio.all_tasks() == others
            assert all(transcriber.closed for transcriber in self.ears.transcribers)


def listening(policy: HearingPolicy = QUICK) -> Listening:
    return Listening(policy)


async def test_audio_reaches_the_ears_as_it_comes() -> None:
    async with listening(HearingPolicy()).at_work() as stage:
        ears = await stage.ears.opened()
        await stage.bell.until(lambda: True)
        stage.hearing.feed(caller_audio(20))
        await stage.bell.until(lambda: heard_ms(ears) == pytest.approx(20, abs=2))
        assert stage.hearing.received_ms == pytest.approx(20, abs=2)


async def test_long_audio_is_passed_on_in_pieces() -> None:
    async with listening(HearingPolicy(feed_ms=100)).at_work() as stage:
        ears = await stage.ears.opened()
        stage.hearing.feed(caller_audio(1_000))
        await stage.bell.until(lambda: heard_ms(ears) >= 990)
        assert max(ears.pieces) <= 24 * 2 * 100


async def test_without_ears_the_latest_audio_is_kept_and_no_more() -> None:
    policy = replace(QUICK, backlog_ms=200, gap_ms=10_000)
    stage = listening(policy)
    for _ in range(50):
        stage.hearing.feed(caller_audio(20))
    async with stage.at_work():
        ears = await stage.ears.opened()
        await stage.bell.until(lambda: heard_ms(ears) > 0)
        assert 180 <= heard_ms(ears) <= 200


async def test_what_was_said_while_the_ears_were_changed_is_heard_by_the_new_ones() -> None:
    async with listening(replace(QUICK, gap_ms=10_000)).at_work() as stage:
        first = await stage.ears.opened()
        stage.ears.obstacles.append(failure("stt"))
        first.hears(StartOfTurn("Hello"))
        first.is_lost()
        await stage.bell.until(lambda: first.closed)
        stage.hearing.feed(caller_audio(60))
        second = await stage.ears.opened(2)
        await stage.bell.until(lambda: heard_ms(second) >= 55)
        assert HearingResumes(anew=True) in stage.delivered


async def test_a_pool_that_is_slow_once_does_not_end_the_call() -> None:
    stage = listening()
    stage.ears.obstacles += [PoolTimeout("No connection in time.")]
    async with stage.at_work():
        await stage.ears.opened()


async def test_silence_is_passed_on_when_audio_stops() -> None:
    async with listening().at_work() as stage:
        ears = await stage.ears.opened()
        stage.hearing.feed(caller_audio(20))
        await stage.bell.until(lambda: heard_ms(ears) > 100)
        assert set(ears.fed[-960:]) == {0}
        assert stage.hearing.received_ms == pytest.approx(20, abs=2)


async def test_silence_is_not_passed_on_for_ever() -> None:
    async with listening(replace(QUICK, gap_limit_ms=60)).at_work() as stage:
        ears = await stage.ears.opened()
        stage.hearing.feed(caller_audio(20))
        await stage.bell.until(lambda: len(ears.pieces) >= 2)
        loop = asyncio.get_running_loop()
        quiet = loop.create_future()
        loop.call_later(0.2, quiet.set_result, None)
        await quiet
        assert heard_ms(ears) < 20 + 60 + 25


async def test_before_the_first_audio_there_is_nothing_to_fill() -> None:
    async with listening().at_work() as stage:
        ears = await stage.ears.opened()
        loop = asyncio.get_running_loop()
        quiet = loop.create_future()
        loop.call_later(0.1, quiet.set_result, None)
        await quiet
        assert not ears.fed


async def test_the_end_of_speech_is_told_with_the_end_of_the_turn() -> None:
    async with listening(replace(QUICK, gap_ms=10_000)).at_work() as stage:
        ears = await stage.ears.opened()
        stage.hearing.feed(caller_audio(300) + bytes(48 * 300))
        ears.hears(StartOfTurn(), EndOfTurn("Hello?"))
        await stage.bell.until(lambda: len(stage.delivered) == 2)
        ended = stage.delivered[-1]
        assert isinstance(ended, EndOfTurn)
        assert ended.speech_ended_at is not None


SPOKEN = bytes(48 * 400) + caller_audio(300) + bytes(48 * 200)
"""Silence, 0.3 s of speech, and silence again; 0.9 s."""


@pytest.mark.parametrize("events", [(StartOfTurn(), EndOfTurn("Hello?")), (EndOfTurn("Hello?"),)])
@pytest.mark.parametrize("gap_ms", [20, 10_000])
async def test_a_turn_is_as_long_as_its_audio_however_late_it_is_heard(
    events: tuple[StartOfTurn | EndOfTurn, ...], gap_ms: float
) -> None:
    """All at once, after the last of the audio: on a busy machine, and of words that were said over the agent."""
    async with listening(replace(QUICK, gap_ms=gap_ms)).at_work() as stage:
        ears = await stage.ears.opened()
        for turn in (1, 2):
            stage.hearing.feed(SPOKEN)
            # With silence for the client's pause, or without.
            passed_ms = 900 * turn + (60 if gap_ms == 20 else -10)
            await stage.bell.until(lambda passed_ms=passed_ms: heard_ms(ears) >= passed_ms)  # type: ignore[misc]
            ears.hears(*events)
            await stage.bell.until(lambda turn=turn: len(stage.delivered) == turn * len(events))  # type: ignore[misc]
            assert stage.hearing.turn_began_ms == pytest.approx(900 * turn - 500, abs=15)
            assert stage.hearing.passed_ms == pytest.approx(900 * turn, abs=2)


async def test_a_turn_that_waited_for_ears_is_as_long_as_its_audio() -> None:
    stage = listening(replace(QUICK, gap_ms=10_000))
    stage.hearing.feed(SPOKEN * 3)
    assert stage.hearing.passed_ms == 0
    async with stage.at_work():
        ears = await stage.ears.opened()
        await stage.bell.until(lambda: heard_ms(ears) >= 700)
        ears.hears(StartOfTurn())
        await stage.bell.until(lambda: len(stage.delivered) == 1)
        assert stage.hearing.turn_began_ms == pytest.approx(400, abs=15)


async def test_a_turn_keeps_its_beginning_when_other_ears_hear_it_again() -> None:
    async with listening(replace(QUICK, gap_ms=10_000)).at_work() as stage:
        first = await stage.ears.opened()
        stage.hearing.feed(SPOKEN)
        await stage.bell.until(lambda: heard_ms(first) >= 890)
        first.hears(StartOfTurn("Hello"))
        first.is_lost()
        second = await stage.ears.opened(2)
        await stage.bell.until(lambda: heard_ms(second) >= 890)
        second.hears(StartOfTurn("Hello"), EndOfTurn("Hello?"))
        await stage.bell.until(lambda: isinstance(stage.delivered[-1], EndOfTurn))
        assert stage.hearing.turn_began_ms == pytest.approx(400, abs=15)
        assert stage.hearing.passed_ms == pytest.approx(900, abs=2)
