"""A telephone line's transport between a call and a carrier: what goes over the wire, and what the call learns."""

import asyncio
import statistics
import time
from typing import Any

import pytest
from tests.promptness import measured
from tests.regional.session.actors import caller_audio, heard_ms
from tests.regional.transport.telephone.carrier import TelephoneStage

from repartee.agent.agent import Agent
from repartee.telemetry import events as t
from repartee.transport import close_codes
from repartee.transport.interfaces import CallEnd, RealtimeTransport
from repartee.transport.telephone.line import TelephoneTransport
from repartee.turn.events import EndOfTurn, PartialTranscript, StartOfTurn
from repartee.wire.relay_events import AudioDelta

WORDS = "One two three four five six seven eight."


async def answered(stage: TelephoneStage, *, ms: float = 2000, text: str = WORDS) -> None:
    """The caller's first turn is being answered."""
    ears = await stage.ears.opened()
    stage.carrier.speaks(caller_audio(100))
    ears.hears(StartOfTurn(), PartialTranscript("Hello?"), EndOfTurn("Hello?"))
    thought = await stage.brain.asked()
    thought.says(text)
    thought.ends()
    utterance = await stage.voice.opened()
    utterance.speaks(ms)
    utterance.ends()
    await stage.bell.until(lambda: stage.carrier.marks)


def test_it_has_all_that_a_transport_has() -> None:
    names = [name for name in dir(RealtimeTransport) if not name.startswith("_")]
    assert [name for name in names if not hasattr(TelephoneTransport, name)] == []


async def test_mu_law_in_and_out() -> None:
    async with TelephoneStage() as stage:
        ears = await stage.ears.opened()
        stage.carrier.speaks(caller_audio(500))
        await stage.bell.until(lambda: heard_ms(ears) >= 470)
        await answered(stage)
        assert len(stage.carrier.audio) == 300 * 8, "300 ms are sent ahead"
        assert len(stage.carrier.marks) == 3


async def test_lost_frames_are_silence_to_who_listens() -> None:
    async with TelephoneStage() as stage:
        ears = await stage.ears.opened()
        stage.carrier.speaks(caller_audio(200))
        stage.carrier.speaks(caller_audio(200), lost=10)
        await stage.bell.until(lambda: heard_ms(ears) >= 570)


async def test_the_history_keeps_what_marks_say_was_heard_and_not_what_was_sent() -> None:
    async with TelephoneStage() as stage:
        await answered(stage)
        await stage.bell.until(lambda: len(stage.carrier.marks) >= 6)
        stage.carrier.returns(*stage.carrier.marks[:6])
        await asyncio.sleep(0.05)
        ears = await stage.ears.opened()
        ears.hears(StartOfTurn("wait"), EndOfTurn("Wait a moment."))
        again = await stage.brain.asked(2)
        [said] = [m["content"] for m in again.request.messages if m["role"] == "assistant"]
        assert said == "One two", "600 ms of 2,000: two words of eight had ended"


async def test_clear_goes_out_in_the_turn_of_the_loop_in_which_the_cut_is_decided() -> None:
    async with TelephoneStage() as stage:
        await answered(stage)
        seen: list[str] = []
        loop = asyncio.get_running_loop()
        cut = stage.line.clear

        def clear(reply_id: int) -> None:
            loop.call_soon(seen.append, "another callback")
            cut(reply_id)
            seen.append("clear" if stage.carrier.events("clear") else "nothing")

        stage.line.clear = clear  # type: ignore[method-assign]
        (await stage.ears.opened()).hears(StartOfTurn("wait"))
        await stage.bell.until(lambda: seen)
        assert seen[0] == "clear"


async def test_clear_is_on_the_wire_5_ms_after_the_recognisers_word() -> None:
    machine, late_ms = measured(), list[float]()
    for _ in range(5):
        async with TelephoneStage() as stage:
            await answered(stage)
            ears = await stage.ears.opened()
            heard = time.perf_counter()
            ears.hears(StartOfTurn("wait"))
            while not stage.carrier.events("clear"):  # noqa: ASYNC110 - each turn of the loop counts
                await asyncio.sleep(0)
            late_ms.append(1000 * (time.perf_counter() - heard))
    machine.promise(statistics.median(late_ms) <= 5.0, f"clear was on the wire after {late_ms} ms")


async def test_words_of_the_agent_that_come_back_from_the_line_stop_nothing() -> None:
    machine = measured()
    async with TelephoneStage() as stage:
        await answered(stage)
        await stage.bell.until(lambda: len(stage.carrier.marks) >= 12)
        stage.carrier.returns(*stage.carrier.marks[:9])
        await asyncio.sleep(0.05)
        ears = await stage.ears.opened()
        ears.hears(StartOfTurn("two"), PartialTranscript("two three"), EndOfTurn("two three"))
        await asyncio.sleep(0.2)
        # An echo comes within 0.7 s of its words: on a busy machine they have come too late for one.
        machine.promise(stage.carrier.events("clear") == [], "cut at 900 ms of it: three words of eight")
        await stage.bell.until(lambda: len(stage.carrier.audio) == 2_000 * 8)


async def test_a_barge_in_after_all_was_sent_still_clears_and_old_marks_count_for_nothing() -> None:
    async with TelephoneStage() as stage:
        await answered(stage, ms=280, text="One two.")
        await stage.bell.until(lambda: len(stage.carrier.audio) == 280 * 8)
        (await stage.ears.opened()).hears(StartOfTurn("wait"))
        await stage.bell.until(lambda: stage.carrier.events("clear"))
        sent = len(stage.carrier.audio)
        stage.carrier.returns(*stage.carrier.marks)
        (await stage.ears.opened()).hears(EndOfTurn("Wait a moment."))
        again = await stage.brain.asked(2)
        assert not [m for m in again.request.messages if m["role"] == "assistant"], "nothing was heard"
        assert len(stage.carrier.audio) == sent


async def test_an_items_last_message_is_its_mark() -> None:
    async with TelephoneStage() as stage:
        await answered(stage, ms=210, text="One.")
        await stage.bell.until(lambda: len(stage.carrier.audio) >= 210 * 8)
        await stage.bell.until(lambda: stage.carrier.sent[-1]["event"] == "mark")
        assert len(stage.carrier.audio) == 220 * 8, "whole frames"


@pytest.mark.parametrize("way", ["hangs_up", "drops"])
async def test_the_caller_hangs_up(way: str) -> None:
    async with TelephoneStage() as stage:
        await answered(stage)
        getattr(stage.carrier, way)()
        assert await stage.ended() is CallEnd.CLIENT_GONE


async def test_a_line_without_frames_for_two_seconds_is_told_and_closed_to_be_connected_anew() -> None:
    async with TelephoneStage() as stage:
        loop = asyncio.get_running_loop()
        stage.carrier.speaks(caller_audio(20))
        began = loop.time()
        assert await stage.ended() is CallEnd.LINE_LOST
        assert loop.time() - began >= 1.9
        assert [event.trouble for event in stage.notes.all(t.LineTroubled)] == ["nothing_received"]
        assert stage.notes.all(t.CallEnded)[0].outcome == "line_lost"
        await stage.line.close(CallEnd.LINE_LOST)
        assert stage.carrier.closed == close_codes.GOING_AWAY


async def test_marks_that_do_not_come_back_are_told() -> None:
    async with TelephoneStage() as stage:
        await answered(stage, ms=200, text="One.")
        speaking = asyncio.create_task(_keep_sending(stage))
        assert await stage.ended() is CallEnd.LINE_LOST
        speaking.cancel()
        await asyncio.wait([speaking])
        assert [event.trouble for event in stage.notes.all(t.LineTroubled)] == ["nothing_played"]


async def _keep_sending(stage: TelephoneStage) -> None:
    while True:
        stage.carrier.hears_frame(b"\xff" * 160)
        await asyncio.sleep(0.1)


async def test_what_cannot_be_read_is_passed_over_until_it_is_too_much() -> None:
    async with TelephoneStage() as stage:
        for _ in range(50):
            stage.carrier.says(event="media", media={"payload": "%"})
        await answered(stage)
        stage.carrier.says(event="media", media={"payload": "%"})
        assert await stage.ended() is CallEnd.FAILED


def piece(**fields: Any) -> AudioDelta:
    return AudioDelta(response_id="resp_1", item_id="item_9", delta="", **fields)


async def test_a_providers_audio_is_paced_and_its_events_end_here() -> None:
    """The half of a transport that a speech-to-speech call uses."""
    async with TelephoneStage() as stage:
        line, carrier = stage.line, stage.carrier
        assert not line.passes_audio
        line.play_as(piece(), b"\x10" * 8 * 510)
        assert len(carrier.audio) == 300 * 8
        line.pass_on('{"type": "response.output_audio.done", "item_id": "item_9"}')
        line.pass_on('{"type": "response.created", "response": {}}')
        await stage.bell.until(lambda: len(carrier.audio) == 520 * 8)
        assert carrier.sent[-1]["event"] == "mark"
        line.pass_on('{"type": "input_audio_buffer.speech_started", "audio_start_ms": 1}')
        assert carrier.sent[-1]["event"] == "clear"
        line.play_as(piece(), b"\x10" * 800)
        assert carrier.sent[-1]["event"] == "clear", "what is late of an item that was cut is not said"


async def test_silence_is_not_asked_for_when_nobody_listens_to_the_agent() -> None:
    async with TelephoneStage(Agent(instructions="Be kind.")) as stage:
        await stage.ears.opened()
        stage.line.clear(7)
        assert stage.carrier.events("clear") == []
