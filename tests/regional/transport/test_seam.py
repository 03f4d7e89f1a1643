"""What stands between a call and any transport: formats, audio, wishes, marks, an end; commands, audio, silence."""

import numpy as np
import pytest
from tests.regional.session.actors import caller_audio, heard_ms
from tests.regional.session.bell import Bell
from tests.regional.transport.line import TELEPHONE, FakeLine, LineStage

from repartee.agent.agent import Agent
from repartee.agent.context import CallContext
from repartee.agent.limits import Limits
from repartee.audio.pcm import bytes_for_ms
from repartee.session.hearing_policy import HearingPolicy
from repartee.transport import close_codes
from repartee.transport.interfaces import AudioFormats, CallEnd, Transport
from repartee.turn import commands as c
from repartee.turn.events import EndOfTurn, PartialTranscript, StartOfTurn
from repartee.turn.session_watch import WatchPolicy
from repartee.wire.audio_format import AudioEncoder, WireFormat
from repartee.wire.client_events import (
    Content,
    CreateItem,
    CreateResponse,
    DeleteItem,
    NewItem,
    SessionUpdate,
)
from repartee.wire.settings_patch import SessionPatch


def on_the_line(ms: float) -> bytes:
    """The caller's voice as the telephone has it."""
    encoder = AudioEncoder(TELEPHONE, 24_000)
    return encoder.feed(caller_audio(ms)) + encoder.flush()


async def caller_says(stage: LineStage, text: str) -> None:
    ears = await stage.ears.opened()
    stage.line.sends_audio(on_the_line(100))
    ears.hears(StartOfTurn(), PartialTranscript(text), EndOfTurn(text))


async def answered(stage: LineStage, *, ms: float = 1000, text: str = "Good day to you.") -> c.AnswerStarted:
    """The first turn's answer is on its way to the caller."""
    await caller_says(stage, "Hello?")
    thought = await stage.brain.asked()
    thought.says(text)
    thought.ends()
    utterance = await stage.voice.opened()
    utterance.speaks(ms)
    started = await stage.line.hears(c.AnswerStarted)
    await stage.bell.until(lambda: stage.line.audio)
    assert isinstance(started, c.AnswerStarted)
    return started


def test_the_fake_has_all_that_a_transport_has() -> None:
    line: Transport = FakeLine(Bell())
    assert not [name for name in dir(Transport) if not name.startswith("_") and not hasattr(line, name)]


async def test_the_lines_formats_count_whatever_the_session_says() -> None:
    async with LineStage() as stage:
        patch = SessionPatch()
        stage.line.wishes(SessionUpdate(session=patch))
        stage.line.sends_audio(on_the_line(500))
        ears = await stage.ears.opened()
        await stage.bell.until(lambda: heard_ms(ears) >= 480)
        assert heard_ms(ears) == pytest.approx(500, abs=20), "8,000 bytes are a second of G.711"
        heard = np.frombuffer(bytes(ears.fed), "<i2")
        assert np.abs(heard[400:-400] - 0x1000).max() < 200, "decoded, not taken for PCM"
        started = await answered(stage)
        audio = await stage.bell.until(lambda: bytes(stage.line.audio[started.reply_id]))
        assert len(audio) == pytest.approx(8_000, abs=200), "a second"


async def test_a_line_without_formats_takes_the_sessions() -> None:
    async with LineStage(line={"formats": None}) as stage:
        stage.line.sends_audio(caller_audio(200))
        ears = await stage.ears.opened()
        await stage.bell.until(lambda: heard_ms(ears) >= 180)
        started = await answered(stage)
        assert len(stage.line.audio[started.reply_id]) == bytes_for_ms(1000, 24_000)


async def test_two_formats_may_differ() -> None:
    formats = AudioFormats(TELEPHONE, WireFormat("audio/pcm", 16_000))
    async with LineStage(line={"formats": formats}) as stage:
        started = await answered(stage)
        assert len(stage.line.audio[started.reply_id]) == pytest.approx(32_000, rel=0.03)


async def test_it_gives_the_call_audio_wishes_marks_and_its_end() -> None:
    async with LineStage() as stage:
        stage.line.sends_audio(on_the_line(100))
        ears = await stage.ears.opened()
        await stage.bell.until(lambda: heard_ms(ears) >= 80)
        item = NewItem(type="message", role="user", content=[Content(type="input_text", text="Hello?")])
        stage.line.wishes(CreateItem(item=item))
        stage.line.wishes(CreateResponse())
        thought = await stage.brain.asked()
        assert thought.last_words == "Hello?"
        thought.says("Good day. ")
        (await stage.voice.opened()).speaks(500)
        started = await stage.line.hears(c.AnswerStarted)
        stage.line.has_played(started.message.item_id, 100)
        stage.line.hangs_up()
        assert await stage.finish() is CallEnd.CLIENT_GONE


async def test_a_mistake_goes_back_to_the_line_and_the_call_goes_on() -> None:
    async with LineStage() as stage:
        stage.line.wishes(DeleteItem(item_id="nowhere"))
        [error] = stage.line.mistakes
        assert error.code == "item_delete_invalid_item_id"
        await answered(stage)


async def test_it_is_given_commands_audio_and_silence() -> None:
    async with LineStage() as stage:
        started = await answered(stage)
        order = stage.line.order
        assert order.index("opened") < order.index("TurnStarted") < order.index("ReplyStarted")
        assert order.index("ReplyStarted") < order.index("AnswerStarted") < order.index("play")
        assert stage.line.cleared == []
        (await stage.ears.opened()).hears(StartOfTurn("wait"))
        await stage.bell.until(lambda: stage.line.cleared)
        assert stage.line.cleared == [started.reply_id]
        cut = await stage.line.hears(c.ReplyEnded)
        assert (cut.status, cut.reason) == ("cancelled", "turn_detected")
        assert order.index("clear") > max(place for place, what in enumerate(order) if what == "play")


async def test_a_line_that_knows_what_was_played_has_the_history_cut_to_that() -> None:
    """A second was sent, and by the clock nothing of it can have been played: the line knows better."""
    async with LineStage() as stage:
        started = await answered(stage, ms=2000, text="One two three four five six seven eight.")
        stage.line.has_played(started.message.item_id, 1000)
        (await stage.ears.opened()).hears(StartOfTurn("wait"), EndOfTurn("Wait a moment."))
        again = await stage.brain.asked(2)
        said = [message["content"] for message in again.request.messages if message["role"] == "assistant"]
        cut = await stage.line.hears(c.AnswerCut)
        assert (cut.item_id, cut.heard_ms) == (started.message.item_id, 1000)
        assert said == [cut.heard_text]
        assert said[0].startswith("One two three")
        assert "five" not in said[0]


async def test_a_line_with_marks_that_has_played_nothing_leaves_nothing_in_the_history() -> None:
    async with LineStage() as stage:
        await answered(stage, ms=2000, text="One two three four five six seven eight.")
        (await stage.ears.opened()).hears(StartOfTurn("wait"), EndOfTurn("Wait a moment."))
        again = await stage.brain.asked(2)
        assert not [message for message in again.request.messages if "One" in str(message["content"])]


async def test_a_line_that_is_overfull_ends_the_call() -> None:
    async with LineStage(line={"takes_audio": False, "room_bytes": 4_000}) as stage:
        await answered(stage, ms=2000)
        assert await stage.finish() is CallEnd.CLIENT_SLOW
        assert stage.line.closed is CallEnd.CLIENT_SLOW


# --- each end, with its reason -----------------------------------------------------------------------------------


async def test_the_time_limit() -> None:
    async with LineStage(Agent(instructions="Be kind.", limits=Limits(call_s=0.05))) as stage:
        await stage.finish()
        assert stage.line.closed is CallEnd.TOO_LONG


async def test_the_worker_is_replaced() -> None:
    async with LineStage() as stage:
        stage.call.end(CallEnd.DRAINED)
        await stage.finish()
        assert stage.line.closed is CallEnd.DRAINED


async def test_a_fault_of_the_workers_own() -> None:
    async with LineStage() as stage:
        stage.line.call.fail(RuntimeError("ours"))
        await stage.finish()
        assert stage.line.closed is CallEnd.FAILED


async def test_a_provider_that_is_gone() -> None:
    policy = HearingPolicy(watch=WatchPolicy(away_s=0.2, tell_after_s=0.1), look_s=0.02)
    stage = LineStage(hearing=policy)
    stage.ears.obstacles += ["hang"]
    async with stage:
        await stage.finish()
        assert stage.line.failures == ["stt_failed"], "the line is told before it is closed"
        assert stage.line.order.index("failure") < stage.line.order.index("close")
        assert stage.line.closed is CallEnd.PROVIDERS_GONE


def test_every_end_has_its_code_and_its_words() -> None:
    assert set(close_codes.OF) == set(CallEnd)
    assert len({end.value for end in CallEnd}) == len(CallEnd)


async def test_nothing_is_said_before_the_line_knows_of_its_session() -> None:
    agent = Agent(instructions="Be kind.", greeting="Good morning.")

    @agent.on_call_start
    async def begin(ctx: CallContext) -> None:
        ctx.say("This call is recorded.")

    async with LineStage(agent) as stage:
        await stage.line.hears(c.ReplyStarted)
        assert stage.line.order[0] == "opened"
