"""The caller's audio on its way to recognition: kept, cut, filled with silence, and followed to new ears."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from tests.regional.session import virtual_time
from tests.regional.session.actors import LooseTasks, caller_audio, heard_ms
from tests.regional.session.bell import Bell
from tests.regional.session.scripted_providers import ScriptedEars, ScriptedTranscriber, failure

from repartee.audio.gap import EARLY_MS, GapPolicy
from repartee.errors import ClientProtocolError, PoolTimeout
from repartee.session.hearing import Hearing, HearingUser
from repartee.session.hearing_policy import HearingPolicy
from repartee.turn.events import EndOfTurn, Event, HearingResumes, StartOfTurn
from repartee.turn.session_watch import WatchPolicy
from repartee.wire.audio_format import WireFormat

QUICK = HearingPolicy(watch=WatchPolicy(backoff_first_s=0.0), look_s=0.02, gap=GapPolicy(20, limit_ms=200))


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


async def test_without_ears_audio_is_kept_up_to_a_bound_and_more_is_refused() -> None:
    policy = replace(QUICK, backlog_ms=200, gap=GapPolicy(10_000))
    stage = listening(policy)
    for _ in range(10):
        stage.hearing.feed(caller_audio(20))
    with pytest.raises(ClientProtocolError, match="too much of what was sent before still waits"):
        stage.hearing.feed(caller_audio(20))
    async with stage.at_work():
        ears = await stage.ears.opened()
        await stage.bell.until(lambda: heard_ms(ears) > 0)
        assert 180 <= heard_ms(ears) <= 200


async def test_what_was_said_while_the_ears_were_changed_is_heard_by_the_new_ones() -> None:
    async with listening(replace(QUICK, gap=GapPolicy(10_000))).at_work() as stage:
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
    async with listening(replace(QUICK, gap=GapPolicy(20, limit_ms=60))).at_work() as stage:
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
    async with listening(replace(QUICK, gap=GapPolicy(10_000))).at_work() as stage:
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
    async with listening(replace(QUICK, gap=GapPolicy(gap_ms, limit_ms=200))).at_work() as stage:
        ears = await stage.ears.opened()
        for turn in (1, 2):
            for start in range(0, len(SPOKEN), 960):
                stage.hearing.feed(SPOKEN[start : start + 960])
            # With silence for the client's pause, or without.
            passed_ms = 900 * turn + (60 if gap_ms == 20 else -10)
            await stage.bell.until(lambda passed_ms=passed_ms: heard_ms(ears) >= passed_ms)  # type: ignore[misc]
            ears.hears(*events)
            await stage.bell.until(lambda turn=turn: len(stage.delivered) == turn * len(events))  # type: ignore[misc]
            assert stage.hearing.turn_began_ms == pytest.approx(900 * turn - 500, abs=15)
            assert stage.hearing.passed_ms == pytest.approx(900 * turn, abs=2)


async def test_a_turn_that_waited_for_ears_is_as_long_as_its_audio() -> None:
    stage = listening(replace(QUICK, gap=GapPolicy(10_000)))
    stage.hearing.feed(SPOKEN * 3)
    assert stage.hearing.passed_ms == 0
    async with stage.at_work():
        ears = await stage.ears.opened()
        await stage.bell.until(lambda: heard_ms(ears) >= 700)
        ears.hears(StartOfTurn())
        await stage.bell.until(lambda: len(stage.delivered) == 1)
        assert stage.hearing.turn_began_ms == pytest.approx(400, abs=15)


async def test_a_turn_keeps_its_beginning_when_other_ears_hear_it_again() -> None:
    async with listening(replace(QUICK, gap=GapPolicy(10_000))).at_work() as stage:
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


class Recorded(ScriptedTranscriber):
    """Ears that note when silence came, and how much (ms)."""

    def __init__(self, bell: Bell) -> None:
        super().__init__(bell)
        self.came: list[tuple[float, int]] = []

    def feed(self, pcm: bytes) -> None:
        if not any(pcm):
            self.came.append((virtual_time.now(), len(pcm) // 48))
        super().feed(pcm)


def silence_times(
    sends: Callable[[Hearing], Awaitable[None]], *, automatic: bool = True
) -> list[tuple[int, int]]:
    """When silence reached the ears, in ms after the client's last audio, and how much (ms) each time."""
    found: list[tuple[int, int]] = []

    async def play() -> None:
        stage = listening(HearingPolicy())
        ears = Recorded(stage.bell)

        async def listen(**_: object) -> Recorded:
            return ears

        stage.ears.listen = listen  # type: ignore[method-assign]
        stage.hearing.set_turns(automatic=automatic)
        async with stage.at_work():
            await asyncio.sleep(0.01)
            await sends(stage.hearing)
            last, known = virtual_time.now(), len(ears.came)
            await asyncio.sleep(1.0)
            found.extend((round((at - last) * 1000), ms) for at, ms in ears.came[known:])

    virtual_time.run(play())
    return found


async def a_microphone(hearing: Hearing) -> None:
    for _ in range(25):
        hearing.feed(caller_audio(20))
        await asyncio.sleep(0.02)


class TestAClientThatSendsNothingWhileItsCallerIsSilent:
    """Each answered as early as one that sends silence: 60 ms after the last audio at the latest."""

    def test_the_gap_is_filled_from_60_ms_on_at_its_own_pace(self) -> None:
        async def push_to_talk(hearing: Hearing) -> None:
            await a_microphone(hearing)
            hearing.feed(caller_audio(20))

        times = silence_times(push_to_talk)
        assert times[0][0] == pytest.approx(60, abs=1)
        assert max(ms for _, ms in times) <= 40, "no lump"
        steps = [later - earlier for (earlier, _), (later, _) in itertools.pairwise(times)]
        assert set(steps) <= {10, 20}
        for at, _ in times:
            passed = sum(ms for when, ms in times if when <= at)
            assert at - 60 <= passed <= at + EARLY_MS, "in real time"
            assert passed > at - 20 or at <= 100, "no later than a microphone"
        assert sum(ms for _, ms in times) == pytest.approx(1_000, abs=40)

    def test_a_gated_microphone_in_mid_turn(self) -> None:
        async def gated(hearing: Hearing) -> None:
            await a_microphone(hearing)
            await asyncio.sleep(0.3)
            await a_microphone(hearing)
            hearing.feed(caller_audio(20))

        assert silence_times(gated)[0][0] == pytest.approx(60, abs=1)

    def test_a_packet_now_and_then(self) -> None:
        fed: list[float] = []

        async def dtx(hearing: Hearing) -> None:
            await a_microphone(hearing)
            for _ in range(10):
                hearing.feed(bytes(960))
                await asyncio.sleep(0.2)
                fed.append(hearing.passed_ms)
            hearing.feed(bytes(960))

        assert silence_times(dtx)[0][0] == pytest.approx(60, abs=1)

    @pytest.mark.parametrize("piece_ms", [20, 100, 500, 3_000])
    def test_a_file_and_nothing_after(self, piece_ms: int) -> None:
        async def test_tool(hearing: Hearing) -> None:
            for _ in range(3_000 // piece_ms):
                hearing.feed(caller_audio(piece_ms))

        # Of what comes at once, all but 2 s is passed on at ten times real time.
        assert 60 <= silence_times(test_tool)[0][0] <= 115

    def test_appends_of_a_second_are_one_sentence(self) -> None:
        async def second_by_second(hearing: Hearing) -> None:
            for _ in range(4):
                await asyncio.sleep(1.02)
                hearing.feed(caller_audio(1_000))

        fed = silence_times(second_by_second)
        assert fed == [], "the next second may still come"

    def test_manual_turns_are_not_filled(self) -> None:
        assert silence_times(a_microphone, automatic=False) == []
