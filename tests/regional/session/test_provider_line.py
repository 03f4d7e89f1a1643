"""A speech-to-speech session that is away or falls silent, on virtual time: what is done about it, and when."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import cast

import pytest
from tests.regional.session.actors import LooseTasks
from tests.regional.session.scripted_providers import failure
from tests.regional.session.virtual_time import now, run

from repartee.errors import ProviderError
from repartee.providers.openai_realtime import OpenAIRealtime
from repartee.session.provider_line import LineUser, Outgoing, ProviderLine


class ScriptedLine:
    """A session: on a socket that takes 300 kB a second, and is dropped when 256 KiB wait in it."""

    left_s = 3_600.0

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.closed = False
        self.most = 0.0
        self._unsent, self._at = 0.0, now()
        self._on_message: Callable[[bytes], None] = lambda message: None
        self._on_lost: Callable[[ProviderError], None] = lambda error: None

    def listen(self, on_message: Callable[[bytes], None], on_lost: Callable[[ProviderError], None]) -> None:
        self._on_message, self._on_lost = on_message, on_lost

    @property
    def has_room(self) -> bool:
        passed, self._at = now() - self._at, now()
        self._unsent = max(self._unsent - 300_000 * passed, 0.0)
        return self._unsent < 2**16

    def send(self, event: str) -> bool:
        if self.closed:
            return False
        self.sent.append(event)
        self._unsent += len(event)
        self.most = max(self.most, self._unsent)
        if self._unsent > 2**18:
            self.is_lost()
        return True

    def close(self) -> None:
        self.closed = True

    def says(self) -> None:
        self._on_message(b"{}")

    def is_lost(self) -> None:
        self.closed = True
        self._on_lost(failure("model"))


class Provider:
    """Opens sessions, or refuses to."""

    def __init__(self) -> None:
        self.lines: list[ScriptedLine] = []
        self.refuses = False
        self.attempts = 0

    async def open(self) -> ScriptedLine:
        self.attempts += 1
        if self.refuses:
            raise failure("model")
        self.lines.append(ScriptedLine())
        return self.lines[-1]


class Calling:
    """A call's line. ``owed_since`` is what the relay would tell."""

    def __init__(self) -> None:
        self.provider = Provider()
        self.told_at: list[float] = []
        self.opened_at: list[float] = []
        self.owed_since: float | None = None
        self.opening = [Outgoing("settings")]
        self.replay: list[Outgoing] = []
        self.began = now()
        user = LineUser(
            LooseTasks(),
            self._open,
            lambda message: None,
            lambda: False,
            lambda: self.owed_since,
            tell=lambda: self.told_at.append(self.since),
        )
        self.line = ProviderLine(cast(OpenAIRealtime, self.provider), user)
        self.running = asyncio.create_task(self.line.run())

    @property
    def since(self) -> float:
        return now() - self.began

    def _open(self, again: bool, lost: bool) -> None:
        self.opened_at.append(self.since)
        for outgoing in self.opening:
            self.line.send(outgoing.event, audio_ms=outgoing.audio_ms)
        if self.replay:
            self.line.replay(self.replay)

    async def until_over(self) -> None:
        await asyncio.wait([self.running], timeout=600)
        assert isinstance(self.running.exception(), ProviderError)


@asynccontextmanager
async def calling() -> AsyncIterator[Calling]:
    call = Calling()
    await asyncio.sleep(0.001)
    call.provider.lines[0].says()  # the settings are confirmed
    try:
        yield call
    finally:
        call.running.cancel()
        await asyncio.wait([call.running])
        assert all(line.closed for line in call.provider.lines)
        assert asyncio.all_tasks() == {asyncio.current_task()}


def test_an_answer_that_is_owed_for_5_s_costs_the_session_and_at_last_the_call() -> None:
    async def play() -> None:
        async with calling() as call:
            await asyncio.sleep(100)
            assert len(call.opened_at) == 1
            call.owed_since, asked_at = now(), call.since
            await call.until_over()
            lost_at = [at - asked_at for at in call.opened_at[1:]]
            assert lost_at == pytest.approx([5.0, 35.0, 65.0], abs=0.3)
            assert [at - asked_at for at in call.told_at] == pytest.approx([6.5, 40.0], abs=0.3)
            assert call.since - asked_at == pytest.approx(70.0, abs=0.5)

    run(play())


def test_every_event_but_audio_is_answered() -> None:
    async def play() -> None:
        async with calling() as call:
            call.line.send("audio", audio_ms=20.0)
            await asyncio.sleep(20)
            assert len(call.provider.lines) == 1
            call.line.send("item")
            await asyncio.sleep(5.4)
            assert len(call.provider.lines) == 2

    run(play())


def test_a_session_that_goes_on_saying_something_is_kept() -> None:
    async def play() -> None:
        async with calling() as call:
            call.owed_since = now()
            for _ in range(30):
                await asyncio.sleep(4)
                call.provider.lines[0].says()
            assert len(call.provider.lines) == 1

    run(play())


@pytest.mark.parametrize("seconds", [0.7, 7.0, 10.0])
def test_what_is_sent_while_there_is_no_session_reaches_the_next_one(seconds: float) -> None:
    async def play() -> None:
        async with calling() as call:
            call.provider.refuses = True
            call.provider.lines[0].is_lost()
            sent = [f"audio {number}" for number in range(int(seconds * 50))]
            for event in sent:
                call.line.send(event, audio_ms=20.0)
                await asyncio.sleep(0.02)
            call.provider.refuses = False
            await asyncio.sleep(3)
            assert call.provider.lines[1].sent == ["settings", *sent]
            assert call.provider.attempts < 30

    run(play())


def test_without_a_session_the_caller_is_told_by_8_s_and_the_call_ends_after_10() -> None:
    async def play() -> None:
        async with calling() as call:
            call.provider.refuses = True
            call.provider.lines[0].is_lost()
            await call.until_over()
            assert len(call.told_at) == 1 and 5 < call.told_at[0] <= 7
            assert 10 <= call.since <= 11.4

    run(play())


def test_sessions_that_are_lost_as_soon_as_they_are_there_are_not_opened_for_ever() -> None:
    async def play() -> None:
        async with calling() as call:
            while not call.running.done() and call.since < 100:
                call.provider.lines[-1].says()
                call.provider.lines[-1].is_lost()
                await asyncio.sleep(0.05)
            assert len(call.provider.lines) < 30
            assert call.since < 12

    run(play())


def test_no_socket_breaks_under_what_a_session_begins_with() -> None:
    async def play() -> None:
        async with calling() as call:
            second = "x" * 64_000
            call.replay = [Outgoing(second, 1_000.0)] * 15
            call.provider.lines[0].is_lost()
            for number in range(300):
                call.line.send(f"audio {number}", audio_ms=20.0)
                await asyncio.sleep(0.02)
                call.provider.lines[-1].says()
            again = call.provider.lines[1]
            assert len(call.provider.lines) == 2
            assert again.sent[:16] == ["settings", *[second] * 15]
            assert again.sent[-1] == "audio 299"
            assert again.most <= 2**16 + 64_000

    run(play())
