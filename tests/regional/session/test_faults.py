"""What may go wrong around a call: providers that hang, break or vanish, and clients that do."""

import asyncio
import base64
import json
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from tests.regional.session.actors import Stage, caller_audio, heard_ms
from tests.regional.session.scripted_providers import failure

from repartee.agent.agent import Agent
from repartee.agent.notices import Notices
from repartee.errors import PoolTimeout
from repartee.session.hearing import Hearing
from repartee.session.hearing_policy import HearingPolicy
from repartee.session.shell import Shell, name_of
from repartee.telemetry import events as t
from repartee.transport.interfaces import CallEnd
from repartee.turn.events import EndOfTurn, PartialTranscript, StartOfTurn
from repartee.turn.session_watch import WatchPolicy


async def test_a_model_and_a_voice_that_hang_hold_up_nobody() -> None:
    async with Stage() as stage:
        stage.voice.hangs = True
        await stage.turn("Hello?")
        await stage.brain.asked()
        await stage.bell.until(lambda: stage.voice.asked)
        ears = await stage.ears.opened()
        before = heard_ms(ears)
        for _ in range(50):
            stage.client.sends_audio(caller_audio(20))
        await stage.bell.until(lambda: heard_ms(ears) >= before + 980)
        stage.client.sends("session.update", session={"type": "realtime", "instructions": "Still there?"})
        await stage.client.hears("session.updated")


async def test_ears_that_cannot_be_dialled_hold_up_nobody() -> None:
    stage = Stage()
    stage.ears.obstacles.append("hang")
    async with stage:
        await stage.bell.until(lambda: stage.ears.asked)
        for _ in range(50):
            stage.client.sends_audio(caller_audio(20))
        stage.client.sends("conversation.item.retrieve", item_id="nowhere")
        assert (await stage.client.hears("error"))["error"]["code"] == "item_retrieve_invalid_item_id"


async def test_audio_that_came_before_the_ears_were_there_is_heard() -> None:
    stage = Stage()
    stage.ears.obstacles.append(PoolTimeout("No connection in time."))
    async with stage:
        stage.client.sends_audio(caller_audio(500))
        ears = await stage.ears.opened()
        await stage.bell.until(lambda: heard_ms(ears) >= 480)


async def test_ears_lost_in_mid_turn_are_replaced_and_nothing_said_is_lost() -> None:
    async with Stage() as stage:
        first = await stage.ears.opened()
        stage.client.sends_audio(caller_audio(100))
        first.hears(StartOfTurn(), PartialTranscript("I would like to"))
        await stage.client.hears("repartee.transcript.partial")
        first.is_lost()
        second = await stage.ears.opened(2)
        stage.client.sends_audio(caller_audio(100))
        await stage.bell.until(lambda: heard_ms(second) >= 190)
        second.hears(StartOfTurn("I would"), EndOfTurn("I would like to book a table."))
        answer = await stage.brain.asked()
        said = [m["content"] for m in answer.request.messages if m["role"] == "user"]
        assert said == ["I would like to book a table."]
        assert len(stage.brain.thoughts) == 1
        assert first.closed


async def test_ears_that_cannot_be_had_end_the_call_with_a_word() -> None:
    stage = Stage()
    stage.ears.obstacles.append(failure("stt", retryable=False))
    async with stage:
        error = (await stage.client.hears("error"))["error"]
        assert (error["type"], error["code"]) == ("server_error", "stt_failed")
        assert await stage.ended() is CallEnd.PROVIDERS_GONE
    assert [stage for stage, _ in stage.notes.failures] == ["stt"]


SOON = HearingPolicy(
    look_s=0.01, watch=WatchPolicy(tell_after_s=0.1, away_s=0.4, last_try_s=0.1, backoff_most_s=0.05)
)


async def recorded(stage: Stage, *phrases: str) -> None:
    """Have these in memory, 100 ms each."""
    recording = asyncio.create_task(stage.phrases.record(phrases, name=None, language="en"))
    for number in range(1, len(phrases) + 1):
        utterance = await stage.voice.opened(number)
        utterance.speaks(100)
        utterance.ends()
    await recording


@pytest.mark.parametrize("in_mid_turn", [False, True])
async def test_a_caller_who_is_not_heard_is_told_by_voice_and_the_call_ends_in_words(
    in_mid_turn: bool,
) -> None:
    agent = Agent("Be kind.", notices=Notices(unheard="One moment.", goodbye="Goodbye."))
    async with Stage(agent, SOON) as stage:
        await recorded(stage, "One moment.", "Goodbye.")
        ears = await stage.ears.opened()
        if in_mid_turn:
            ears.hears(StartOfTurn("I would"))
            await stage.client.hears("input_audio_buffer.speech_started")
        stage.ears.obstacles += [failure("stt")] * 100
        ears.is_lost()
        for said in ("One moment.", "Goodbye."):
            await stage.client.hears("response.created")
            assert base64.b64decode((await stage.client.hears("response.output_audio.delta"))["delta"])
            done = await stage.client.hears("response.done")
            assert done["response"]["output"][0]["content"][0]["transcript"] == said
        error = (await stage.client.hears("error"))["error"]
        assert (error["type"], error["code"]) == ("server_error", "stt_failed")
        assert await stage.ended() is CallEnd.PROVIDERS_GONE
        assert not stage.brain.thoughts
        assert "conversation_already_has_active_response" not in str(stage.client.events)


async def test_a_notice_does_not_cut_into_an_answer() -> None:
    agent = Agent("Be kind.", notices=Notices(unheard="One moment.", goodbye=""))
    soon = replace(SOON, watch=replace(SOON.watch, away_s=60.0))
    async with Stage(agent, soon) as stage:
        await recorded(stage, "One moment.")
        await stage.turn("Hello?")
        thought = await stage.brain.asked()
        thought.says("Good day. ")
        utterance = await stage.voice.opened(2)
        utterance.speaks(400)
        await stage.client.hears("response.output_audio.delta")
        stage.ears.obstacles += [failure("stt")] * 10_000
        stage.ears.transcribers[0].is_lost()
        await stage.bell.until(lambda: stage.ears.asked > 6)
        assert "One moment." not in str(stage.client.events)
        thought.ends()
        utterance.ends()
        await stage.client.hears("response.done")
        done = await stage.client.hears("response.done")
        assert done["response"]["output"][0]["content"][0]["transcript"] == "One moment."


async def test_a_model_that_breaks_before_its_first_word_is_asked_again() -> None:
    async with Stage() as stage:
        await stage.turn("Hello?")
        (await stage.brain.asked()).fails()
        second = await stage.brain.asked(2)
        assert second.last_words == "Hello?"
        second.says("Hi. ")
        second.ends()
        utterance = await stage.voice.opened()
        await stage.bell.until(lambda: utterance.complete)
        assert "".join(utterance.said).strip() == "Hi."
        assert len(stage.voice.utterances) == 1


async def test_a_model_that_breaks_in_mid_answer_is_not_asked_again() -> None:
    async with Stage() as stage:
        await stage.turn("Hello?")
        thought = await stage.brain.asked()
        thought.says("Good day. ", "I am")
        utterance = await stage.voice.opened()
        await stage.bell.until(lambda: utterance.said)
        thought.fails()
        await stage.bell.until(lambda: utterance.complete)
        utterance.speaks(20)
        utterance.ends()
        done = await stage.client.hears("response.done")
        assert done["response"]["status"] != "completed"
        assert len(stage.brain.thoughts) == 1
    assert [stage for stage, _ in stage.notes.failures] == ["llm"]


async def test_a_model_that_refuses_is_not_asked_again() -> None:
    async with Stage() as stage:
        await stage.turn("Hello?")
        (await stage.brain.asked()).fails(retryable=False)
        done = await stage.client.hears("response.done")
        assert done["response"]["status_details"]["error"]["message"] == "The llm broke."
        assert len(stage.brain.thoughts) == 1


async def test_a_voice_that_breaks_fails_the_response_and_the_call_goes_on() -> None:
    async with Stage() as stage:
        await stage.turn("Hello?")
        thought = await stage.brain.asked()
        thought.says("Hi. ")
        thought.ends()
        (await stage.voice.opened()).fails()
        assert (await stage.client.hears("response.done"))["response"]["status"] == "failed"
        await stage.turn("Are you there?")
        assert (await stage.brain.asked(2)).last_words == "Are you there?"


async def test_a_client_that_stops_reading_is_let_go_before_it_costs_memory() -> None:
    async with Stage(outbox_bytes=100_000) as stage:
        stage.client.stops_reading()
        await stage.turn("Tell me everything.")
        thought = await stage.brain.asked()
        thought.says("Well. ")
        utterance = await stage.voice.opened()
        for _ in range(20):
            utterance.speaks(200)
        assert await stage.ended() is CallEnd.CLIENT_SLOW
        stage.client.vanishes()


@pytest.mark.parametrize(
    "answer",
    [
        lambda stage: stage.client.sends("input_audio_buffer.clear"),
        lambda stage: stage.client.sends_text("not JSON"),
        lambda stage: stage.client.sends("session.update", session={}),
        lambda stage: stage.client.sends(
            "conversation.item.create",
            item={"type": "message", "role": "user", "content": [{"type": "input_text", "text": "x" * 500}]},
        ),
    ],
    ids=["clear", "nonsense", "update", "items"],
)
async def test_a_client_that_only_asks_and_never_reads_is_let_go_too(answer: Callable[[Stage], None]) -> None:
    async with Stage(outbox_bytes=20_000) as stage:
        stage.client.stops_reading()
        for _ in range(400):
            answer(stage)
        assert await stage.ended() is CallEnd.CLIENT_SLOW
        stage.client.vanishes()


async def test_a_client_that_vanishes_ends_the_call() -> None:
    async with Stage() as stage:
        stage.client.vanishes()
        stage.client.sends("session.update", session={})
        assert await stage.ended() is CallEnd.CLIENT_GONE


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "[]",
        '{"type":"no.such.event"}',
        '{"type":"input_audio_buffer.append","audio":"!"}',
        '{"type":"session.update","session":{"audio":{"input":{"format":{"type":"audio/pcm","rate":1}}}}}',
        json.dumps({"type": "conversation.item.create", "item": {"type": "message", "role": "user"}}),
        json.dumps({"type": "conversation.item.create", "item": {"type": "function_call_output"}}),
        json.dumps({"type": "response.create", "response": {"conversation": "mine"}}),
        json.dumps({"type": "response.cancel", "response_id": "resp_x"}),
    ],
    ids=lambda frame: frame[:50],
)
async def test_a_mistake_is_answered_and_the_call_goes_on(frame: str) -> None:
    async with Stage() as stage:
        stage.client.sends_text(frame)
        assert (await stage.client.hears("error"))["error"]["type"] == "invalid_request_error"
        await stage.turn("Hello?")
        await stage.brain.asked()


async def test_odd_bytes_are_carried_over_to_the_next_frame() -> None:
    async with Stage() as stage:
        ears = await stage.ears.opened()
        audio = caller_audio(100)
        for start in range(0, len(audio), 7):
            stage.client.sends_audio(audio[start : start + 7])
        await stage.bell.until(lambda: heard_ms(ears) >= 90)
        assert len(ears.fed) % 2 == 0


LINES = [
    ("Call.depend_on", 0),
    ("Call._converse", 0),
    ("Hearing._listen", 0),
    ("ticking", 0),
    ("ticking", 1),
    ("WebSocketTransport._send", 0),
]
"""What a call runs on for as long as it lasts; of several alike, by which was begun first."""


def line_of(name: str, number: int) -> asyncio.Task[Any]:
    """The task that this coroutine is the work of."""
    alike = [task for task in asyncio.all_tasks() if name_of(task) == name]
    return sorted(alike, key=lambda task: int(task.get_name().rpartition("-")[2]))[number]


@pytest.mark.parametrize(("name", "number"), LINES)
async def test_what_a_call_runs_on_is_cancelled_from_outside_and_the_call_ends_with_a_reason(
    name: str, number: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with Stage() as stage:
        await stage.ears.opened()
        line_of(name, number).cancel()
        assert await stage.ended() is CallEnd.FAILED
    assert "cancelled from outside" in caplog.text
    assert "Traceback" not in caplog.text
    assert [ended.outcome for ended in stage.notes.all(t.CallEnded)] == ["failed"]


async def test_a_line_that_ends_by_itself_ends_the_call_with_a_reason(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def ends(self: Hearing) -> None:
        pass

    monkeypatch.setattr(Hearing, "run", ends)
    async with Stage() as stage:
        assert await stage.ended() is CallEnd.FAILED
    assert "Call.depend_on has ended before the call" in caplog.text


async def test_a_worker_that_stops_at_once_logs_no_failure_of_its_calls(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stage = Stage()
    await stage.__aenter__()
    await stage.ears.opened()
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    await stage.is_cancelled()
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_a_task_that_is_dropped_is_no_failure_and_one_that_is_cancelled_is_one() -> None:
    failures: list[BaseException] = []
    shell = Shell("call", failures.append)
    lost, dropped, awaited = (start(forever()) for start in (shell.start, shell.start, shell.start_awaited))
    await asyncio.sleep(0)
    lost.cancel()
    shell.drop(dropped)
    awaited.cancel()
    await asyncio.wait([lost, dropped, awaited])
    assert [str(failure) for failure in failures] == ["forever was cancelled from outside"]
    shell.drop(lost)  # it has ended
    await shell.stop()
    assert len(failures) == 1


async def forever() -> None:
    await asyncio.Event().wait()
