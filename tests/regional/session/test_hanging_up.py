"""Hanging up at any moment: every task ends, everything is given back, nothing is logged as unhandled."""

import asyncio
import gc
import logging
from collections.abc import Awaitable, Callable, Iterator

import pytest
from tests.regional.session.actors import Stage, caller_audio

from repartee.agent.agent import Agent
from repartee.transport.interfaces import CallEnd
from repartee.turn.events import EagerEndOfTurn, EndOfTurn, PartialTranscript, StartOfTurn

Moment = Callable[[Stage], Awaitable[None]]


async def at_once(stage: Stage) -> None:
    pass


async def while_the_caller_speaks(stage: Stage) -> None:
    ears = await stage.ears.opened()
    stage.client.sends_audio(caller_audio(100))
    ears.hears(StartOfTurn(), PartialTranscript("I would"))
    await stage.client.hears("repartee.transcript.partial")


async def while_an_early_answer_is_held(stage: Stage) -> None:
    ears = await stage.ears.opened()
    ears.hears(StartOfTurn(), EagerEndOfTurn("Hello?"))
    thought = await stage.brain.asked()
    thought.says("Hi there. ")
    utterance = await stage.voice.opened()
    await stage.bell.until(lambda: utterance.said)


async def while_the_model_thinks(stage: Stage) -> None:
    await stage.turn("Hello?")
    await stage.brain.asked()


async def while_the_voice_is_dialled(stage: Stage) -> None:
    stage.voice.hangs = True
    await stage.turn("Hello?")
    thought = await stage.brain.asked()
    thought.says("Hi there. ")
    await stage.bell.until(lambda: stage.voice.asked)


async def while_the_agent_speaks(stage: Stage) -> None:
    await stage.turn("Hello?")
    thought = await stage.brain.asked()
    thought.says("Hi there. ", "How are")
    (await stage.voice.opened()).speaks(500)
    await stage.client.hears("response.output_audio.delta")


async def while_the_rest_is_played(stage: Stage) -> None:
    await while_the_agent_speaks(stage)
    stage.brain.thoughts[0].ends()
    stage.voice.utterances[0].ends()
    await stage.client.hears("response.done")


async def while_the_model_is_asked_again(stage: Stage) -> None:
    await stage.turn("Hello?")
    (await stage.brain.asked()).fails()
    await stage.brain.asked(2)


async def while_ears_are_found_again(stage: Stage) -> None:
    ears = await stage.ears.opened()
    stage.ears.obstacles.append("hang")
    ears.is_lost()
    await stage.bell.until(lambda: stage.ears.asked == 2)


async def while_the_clients_tool_runs(stage: Stage) -> None:
    stage.client.sends("session.update", session={"type": "realtime", "tools": [{"name": "lookup"}]})
    await stage.turn("Look it up.")
    thought = await stage.brain.asked()
    thought.calls("call_1", "lookup")
    thought.ends("tool_calls")
    await stage.client.hears("response.done")


async def while_the_agents_tool_runs(stage: Stage) -> None:
    await stage.turn("Look it up.")
    thought = await stage.brain.asked()
    thought.calls("call_1", "slow")
    thought.ends("tool_calls")
    await stage.client.hears("response.done")


async def while_a_committed_turn_is_awaited(stage: Stage) -> None:
    stage.client.sends("session.update", session={"audio": {"input": {"turn_detection": None}}})
    stage.client.sends_audio(caller_audio(100))
    stage.client.sends("input_audio_buffer.commit")
    ears = await stage.ears.opened()
    await stage.bell.until(lambda: ears.turns_finished)


async def after_a_turn(stage: Stage) -> None:
    ears = await stage.ears.opened()
    ears.hears(StartOfTurn(), EndOfTurn(""))
    await stage.client.hears("input_audio_buffer.speech_stopped")


MOMENTS: list[Moment] = [
    at_once,
    while_the_caller_speaks,
    while_an_early_answer_is_held,
    while_the_model_thinks,
    while_the_voice_is_dialled,
    while_the_agent_speaks,
    while_the_rest_is_played,
    while_the_model_is_asked_again,
    while_ears_are_found_again,
    while_the_clients_tool_runs,
    while_the_agents_tool_runs,
    while_a_committed_turn_is_awaited,
    after_a_turn,
]


def agent() -> Agent:
    served = Agent(instructions="Be kind.")

    @served.tool(read_only=True)
    async def slow() -> str:
        """Look something up, for ever."""
        await asyncio.Event().wait()
        return "never"

    return served


def everything_was_given_back(stage: Stage) -> None:
    assert stage.left_behind() == set()
    assert all(transcriber.closed for transcriber in stage.ears.transcribers)
    assert all(utterance.cancelled for utterance in stage.voice.utterances)
    assert all(thought.stream.closed for thought in stage.brain.thoughts)


@pytest.fixture(scope="module", autouse=True)
def quick_collections() -> Iterator[None]:
    """What was there before these tests need not be looked through after each."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def nothing_unhandled(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    gc.collect()
    assert [r.getMessage() for r in caplog.records if r.levelno >= logging.ERROR] == []


@pytest.mark.parametrize("moment", MOMENTS, ids=lambda moment: moment.__name__)
async def test_the_client_hangs_up(moment: Moment) -> None:
    async with Stage(agent()) as stage:
        await moment(stage)
        stage.client.hangs_up()
        assert await stage.ended() is CallEnd.CLIENT_GONE
        everything_was_given_back(stage)


@pytest.mark.parametrize("moment", MOMENTS, ids=lambda moment: moment.__name__)
async def test_the_clients_socket_breaks(moment: Moment) -> None:
    async with Stage(agent()) as stage:
        await moment(stage)
        stage.client.vanishes()
        stage.client.sends("input_audio_buffer.clear")
        assert await stage.ended() is CallEnd.CLIENT_GONE
        everything_was_given_back(stage)


@pytest.mark.parametrize("moment", MOMENTS, ids=lambda moment: moment.__name__)
async def test_the_worker_ends_the_call(moment: Moment) -> None:
    async with Stage(agent()) as stage:
        await moment(stage)
        stage.call.end(CallEnd.DRAINED)
        stage.call.end(CallEnd.FAILED)
        assert await stage.ended() is CallEnd.DRAINED
        everything_was_given_back(stage)


@pytest.mark.parametrize("moment", MOMENTS, ids=lambda moment: moment.__name__)
async def test_the_call_is_cancelled_from_outside(moment: Moment) -> None:
    stage = Stage(agent())
    await stage.__aenter__()
    await moment(stage)
    await stage.is_cancelled()
    everything_was_given_back(stage)


async def test_a_turn_that_was_not_answered_is_told_to_those_who_count() -> None:
    async with Stage(agent()) as stage:
        await while_the_model_thinks(stage)
    assert [(turn, outcome) for turn, outcome, _ in stage.notes.turns] == [(1, "unanswered")]
