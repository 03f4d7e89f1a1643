"""What an agent does with a telephone call: hangs up, hands on, presses keys, and takes keys."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from tests.regional.transport.telephone.carrier import ULAW, TelephoneStage

from repartee.agent.agent import Agent
from repartee.agent.context import CallContext
from repartee.transport.interfaces import CallEnd
from repartee.transport.telephone.key_tones import HIGH_HZ, KEYS, LOW_HZ, key_tones
from repartee.transport.telephone.line import TelephoneTransport
from repartee.wire.audio_format import AudioDecoder


class RecordedControl:
    """Notes what is done to the call, and what had been played by then."""

    can = frozenset({"hang_up", "transfer", "warm_transfer", "hold", "dtmf", "on_dtmf"})

    def __init__(self, line: TelephoneTransport) -> None:
        self.line = line
        self.done: list[str] = []
        self.answers = False

    async def hang_up(self) -> None:
        self.done.append("hang_up")

    async def transfer(self, to: str) -> None:
        self.done.append(f"transfer {to}")

    async def warm_transfer(self, to: str, briefing: str, answered: Callable[[], None]) -> bool:
        self.done.append(f"call {to}: {briefing}")
        if self.answers:
            answered()
            await self.joined()
        return self.answers

    async def joined(self) -> None:
        """The carrier has answered."""

    def hold(self, music: bool) -> None:
        self.done.append(f"hold, {'music' if music else 'silence'}")
        self.line.hold(music)

    def take_back(self) -> None:
        self.done.append("take back")
        self.line.take_back()

    def dtmf(self, digits: str) -> None:
        self.line.play_keys(digits)

    async def played(self) -> None:
        await self.line.played()
        self.done.append("played")


class ControlStage(TelephoneStage):
    """A call with an agent whose hook is given the context, over a line that can be controlled."""

    def __init__(self, agent: Agent) -> None:
        super().__init__(agent)
        self.contexts: list[CallContext] = []

        @agent.on_call_start
        async def begin(ctx: CallContext) -> None:
            self.contexts.append(ctx)

    def connect(self, names: Mapping[str, str]) -> TelephoneTransport:
        line = super().connect(names)
        self.control = RecordedControl(line)
        return line

    async def context(self) -> CallContext:
        await self.bell.until(lambda: self.contexts)
        self.contexts[0]._handle._control = self.control  # type: ignore[union-attr]
        return self.contexts[0]


def kind_agent(**options: Any) -> Agent:
    return Agent(instructions="Be kind.", **options)


async def all_sent(stage: ControlStage) -> None:
    """The goodbye is on its way, to its last mark."""
    sent = stage.carrier.sent
    await stage.bell.until(lambda: len(stage.carrier.audio) >= 300 * 8 and sent[-1]["event"] == "mark")


async def says_goodbye(stage: ControlStage, ms: float = 300) -> None:
    utterance = await stage.voice.opened()
    utterance.speaks(ms)
    utterance.ends()


async def test_it_hangs_up_after_the_goodbyes_last_mark() -> None:
    async with ControlStage(kind_agent()) as stage:
        ctx = await stage.context()
        ctx.hang_up("Goodbye.")
        ctx.hang_up("Goodbye once more.")  # once is enough
        await says_goodbye(stage)
        await all_sent(stage)
        await asyncio.sleep(0.3)
        assert stage.control.done == [], "sent is not heard"
        stage.carrier.returns(*stage.carrier.marks)
        assert await stage.ended() is CallEnd.AGENT_HUNG_UP
        assert stage.control.done == ["played", "hang_up"]


@pytest.mark.parametrize(
    ("wish", "end"),
    [
        ("hang_up", CallEnd.AGENT_HUNG_UP),
        ("transfer", CallEnd.TRANSFERRED),
        ("joined", CallEnd.TRANSFERRED),
    ],
)
async def test_a_carrier_that_ends_the_stream_before_it_answers_changes_no_reason(
    wish: str, end: CallEnd, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with ControlStage(kind_agent()) as stage:
        ctx = await stage.context()

        async def asked(*_: object) -> None:
            stage.carrier.hangs_up()
            await asyncio.Event().wait()  # its answer comes after the call

        monkeypatch.setattr(stage.control, wish, asked)
        stage.control.answers = True
        if wish == "hang_up":
            ctx.hang_up()
        else:
            ctx.transfer("+15550122", briefing="It is Anna." if wish == "joined" else "")
        assert await stage.ended() is end


async def test_it_hands_the_caller_on() -> None:
    async with ControlStage(kind_agent()) as stage:
        (await stage.context()).transfer("+15550122", "One moment.")
        await says_goodbye(stage)
        await all_sent(stage)
        stage.carrier.returns(*stage.carrier.marks)
        assert await stage.ended() is CallEnd.TRANSFERRED
        assert stage.control.done == ["played", "transfer +15550122"]


async def test_keys_are_pressed_as_tones() -> None:
    async with ControlStage(kind_agent()) as stage:
        (await stage.context()).dtmf("12")
        await stage.bell.until(lambda: len(stage.carrier.audio) >= 400 * 8)


@pytest.mark.parametrize("key", KEYS)
def test_a_key_is_its_two_tones(key: str) -> None:
    heard = np.abs(np.fft.rfft(np.frombuffer(key_tones(key), "<i2")[:800].astype(float)))
    strongest = sorted(int(place) * 10 for place in np.argsort(heard)[-2:])
    row, column = divmod(KEYS.index(key), 4)
    assert strongest == pytest.approx([LOW_HZ[row], HIGH_HZ[column]], abs=10)


async def test_a_key_stops_the_agent_and_reaches_it_with_the_others() -> None:
    agent, got = kind_agent(greeting="Press your number, and then the hash key."), list[str]()

    @agent.on_dtmf()
    async def keys(ctx: CallContext, digits: str) -> None:
        got.append(digits)
        ctx.state["digits"] = digits

    async with ControlStage(agent) as stage:
        utterance = await stage.voice.opened()
        utterance.speaks(5_000)
        await stage.bell.until(lambda: stage.carrier.marks)
        for digit in "42#":
            stage.carrier.says(event="dtmf", dtmf={"track": "inbound_track", "digit": digit})
        await stage.bell.until(lambda: stage.carrier.events("clear"))
        await asyncio.sleep(0.05)
        assert got == ["42"]


async def test_a_key_that_means_nothing_to_the_agent_stops_nothing() -> None:
    async with ControlStage(kind_agent(greeting="Good day to you.")) as stage:
        utterance = await stage.voice.opened()
        utterance.speaks(2_000)
        await stage.bell.until(lambda: stage.carrier.marks)
        stage.carrier.says(event="dtmf", dtmf={"digit": "1"})
        await asyncio.sleep(0.05)
        assert stage.carrier.events("clear") == []


async def test_a_caller_on_hold_hears_music_and_is_not_listened_to() -> None:
    async with ControlStage(kind_agent()) as stage:
        ctx = await stage.context()
        ears = await stage.ears.opened()
        ctx.hold()
        await stage.bell.until(lambda: len(stage.carrier.audio) >= 300 * 8)
        assert max(np.abs(pcm_of(stage.carrier.audio))) > 1_000, "music"
        before = len(ears.fed)
        stage.carrier.speaks(LOUD * 20)
        await stage.bell.until(lambda: len(ears.fed) > before + 48 * 200)
        assert max(np.abs(np.frombuffer(bytes(ears.fed[before:]), "<i2"))) < 100, "silence is heard of them"
        ctx.take_back()
        await stage.bell.until(lambda: stage.carrier.events("clear"))
        before = len(ears.fed)
        stage.carrier.speaks(LOUD * 20)
        await stage.bell.until(
            lambda: np.abs(np.frombuffer(bytes(ears.fed[before:]), "<i2")).max(initial=0) > 1_000
        )


async def test_a_caller_on_hold_hears_nothing_if_that_is_wanted() -> None:
    async with ControlStage(kind_agent()) as stage:
        (await stage.context()).hold(music=False)
        await asyncio.sleep(0.1)
        assert stage.carrier.audio == b""


@pytest.mark.parametrize("answers", [True, False])
async def test_a_person_is_briefed_while_the_caller_is_on_hold(answers: bool) -> None:
    async with ControlStage(kind_agent()) as stage:
        ctx = await stage.context()
        stage.control.answers = answers
        ctx.transfer(
            "+15550122", "One moment.", briefing="It is about an invoice.", unanswered="Nobody is there."
        )
        await says_goodbye(stage)
        await all_sent(stage)
        stage.carrier.returns(*stage.carrier.marks)
        if answers:
            assert await stage.ended() is CallEnd.TRANSFERRED
        else:
            await stage.bell.until(lambda: "take back" in stage.control.done)
            await says_goodbye(stage)  # the agent says that nobody is there, and goes on
            ctx.hang_up()
            await asyncio.sleep(0.3)
            stage.carrier.returns(*stage.carrier.marks)
        expected = ["played", "hold, music", "call +15550122: It is about an invoice."]
        assert stage.control.done[: 3 + (not answers)] == expected + ["take back"] * (not answers)


LOUD = (8_000 * np.sin(np.arange(480) / 4)).astype("<i2").tobytes()
"""20 ms at 24 kHz."""


def pcm_of(audio: bytes) -> "np.ndarray[tuple[int], np.dtype[np.int16]]":
    return np.frombuffer(AudioDecoder(ULAW, 8_000).feed(audio), "<i2")
