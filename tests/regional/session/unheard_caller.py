"""A caller whose recognition is away, falls silent or stalls, on virtual time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.regional.session.actors import LooseTasks
from tests.regional.session.bell import Bell
from tests.regional.session.scripted_providers import ScriptedEars, ScriptedTranscriber, failure
from tests.regional.session.virtual_time import now

from repartee.audio.pcm import bytes_for_ms, silence
from repartee.errors import ProviderError
from repartee.providers.interfaces import HEARING_HZ, STT
from repartee.session.hearing import Hearing, HearingUser
from repartee.session.hearing_policy import HearingPolicy
from repartee.standins.synthesiser import synthesise
from repartee.turn.events import Event
from repartee.wire.audio_format import WireFormat

SECOND = bytes_for_ms(1000, HEARING_HZ)


QUESTION = synthesise("I would like to book a table for four people on Friday, please.").pcm
"""About 4 s."""


class Caller:
    """Speaks in real time; whoever listens may be lost at any moment."""

    def __init__(self, policy: HearingPolicy | None = None) -> None:
        self.ears = ScriptedEars(Bell())
        self.delivered: list[Event] = []
        self.told_at: list[float] = []
        self.accompanied_at: list[float] = []
        self.others: list[STT] = []
        self.began = now()
        self.hearing = Hearing(
            self.ears,
            HearingUser(
                self.delivered.append,
                LooseTasks(),
                tell=lambda: self.told_at.append(self.since),
                accompany=lambda: self.accompanied_at.append(self.since),
                another=lambda: self.others.pop() if self.others else None,
            ),
            source=WireFormat(),
            policy=policy,
        )
        self.running = asyncio.create_task(self.hearing.run())

    @property
    def since(self) -> float:
        """How long the call has gone on, in s."""
        return now() - self.began

    @property
    def transcribers(self) -> list[ScriptedTranscriber]:
        return self.ears.transcribers

    async def says(self, pcm: bytes) -> None:
        for at in range(0, len(pcm), 960):
            self.hearing.feed(pcm[at : at + 960])
            await asyncio.sleep(0.02)

    async def is_quiet(self, seconds: float) -> None:
        await self.says(silence(seconds * 1000, HEARING_HZ))

    async def until_over(self) -> ProviderError:
        await asyncio.wait([self.running], timeout=300)
        error = self.running.exception()
        assert isinstance(error, ProviderError)
        return error


@asynccontextmanager
async def calling(policy: HearingPolicy | None = None) -> AsyncIterator[Caller]:
    caller = Caller(policy)
    await asyncio.sleep(0.001)
    try:
        yield caller
    finally:
        caller.running.cancel()
        await asyncio.wait([caller.running])
        assert asyncio.all_tasks() == {asyncio.current_task()}


class Outage:
    """Every attempt to connect is refused, from now on until it is over."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._listen = caller.ears.listen
        self.attempts: list[float] = []
        caller.ears.listen = self._refuse  # type: ignore[method-assign]
        if caller.transcribers:
            caller.transcribers[-1].is_lost()

    async def _refuse(self, **options: object) -> ScriptedTranscriber:
        self.attempts.append(self._caller.since)
        raise failure("stt")

    def is_over(self) -> None:
        self._caller.ears.listen = self._listen  # type: ignore[method-assign]
