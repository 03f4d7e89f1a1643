"""What a call has used, as a client is told it: equal to what the far ends were given and have counted."""

from typing import Any

import pytest
from openai import AsyncOpenAI
from tests.contract.kinds.call import BALANCE, CASCADE, HOURS, SPEECH_TO_SPEECH, BothKinds, agent_for, on

from repartee.agent.agent import Agent


def done(call: BothKinds) -> list[Any]:
    return [event.response for event in call.caller.events if event.type == "response.done"]


def own(call: BothKinds) -> list[Any]:
    return [event for event in call.caller.events if event.type == "repartee.response.usage"]


async def counted_by_the_stand_in(call: BothKinds, place: int) -> tuple[int, int]:
    """The same request, whole: the stand-in's figures."""
    request: Any = call.wire.requests[place]
    tools = {"tools": list(request.tools), "tool_choice": request.tool_choice} if request.tools else {}
    async with AsyncOpenAI(api_key="key", base_url=f"{call.provider.base_url}/v1") as client:
        create: Any = client.chat.completions.create
        whole = await create(model="stand-in", messages=list(request.messages), **tools)
    return whole.usage.prompt_tokens, whole.usage.completion_tokens


def balance_agent() -> Agent:
    agent = agent_for(CASCADE)

    @agent.tool
    async def get_balance() -> str:
        """The balance of the caller's account."""
        return "1240"

    return agent


async def test_the_models_tokens_are_its_servers() -> None:
    async with on(CASCADE, agent_for(CASCADE)) as call:
        await call.asks(HOURS)
        await call.is_idle()
        [response] = done(call)
        read, written = await counted_by_the_stand_in(call, 0)
        assert (response.usage.input_tokens, response.usage.output_tokens) == (read, written)
        assert response.usage.total_tokens == read + written > 0
        [beside] = own(call)
        assert (beside.input_tokens, beside.output_tokens, beside.response_id) == (read, written, response.id)


async def test_each_response_of_a_turn_with_a_tool_has_its_own() -> None:
    async with on(CASCADE, balance_agent()) as call:
        await call.asks(BALANCE)
        await call.hears_said("1240")
        await call.is_idle()
        figures = [response.usage.input_tokens for response in done(call)]
        assert figures == [(await counted_by_the_stand_in(call, place))[0] for place in range(2)]
        assert figures[0] < figures[1]


async def test_the_characters_are_those_that_the_voice_got() -> None:
    async with on(CASCADE, agent_for(CASCADE)) as call:
        given: list[str] = []
        services: Any = call.worker.worker.services
        await services._recording_openers  # the voice says those too, when the worker starts
        resources = services.resources
        speak = resources.tts.speak

        async def speaks(*args: Any, **named: Any) -> Any:
            utterance = await speak(*args, **named)
            say = utterance.say

            def says(text: str, *, last: bool = False) -> None:
                given.append(text)
                say(text, last=last)

            utterance.say = says
            return utterance

        resources.tts.speak = speaks
        await call.asks(HOURS)
        await call.is_idle()
        [beside] = own(call)
        assert beside.characters == sum(map(len, given)) > 0
        sent = sum(len(call.caller.audio(response.id)) for response in done(call))
        assert beside.audio_seconds == pytest.approx(sent / 48_000, abs=0.002)


async def test_the_seconds_are_those_of_the_audio_sent() -> None:
    manual = {"audio": {"input": {"turn_detection": None}}}
    async with on(CASCADE, agent_for(CASCADE), session=manual) as call:
        for number in range(1, 3):
            await call.caller.says_something(pause_ms=300 * number)
            await call.caller.connection.input_audio_buffer.commit()
            heard = await call.caller.hears("conversation.item.input_audio_transcription.completed")
            assert heard.usage.type == "duration"
            assert heard.usage.seconds == pytest.approx(0.5 + 0.3 * number, abs=0.021)


async def test_a_speech_to_speech_models_are_its_providers() -> None:
    async with on(SPEECH_TO_SPEECH, agent_for(SPEECH_TO_SPEECH)) as call:
        sent: list[str] = []
        sessions: set[Any] = call.provider.state.realtime_sessions
        [session] = [each for each in sessions if each.settings["instructions"]]
        send = session._link.send

        def sends(text: str) -> None:
            sent.append(text)
            send(text)

        session._link.send = sends
        await call.asks(HOURS)
        await call.is_idle()
        [response] = done(call)
        [said] = [text for text in sent if '"type": "response.done"' in text]
        assert f'"total_tokens": {response.usage.total_tokens}' in said
        assert response.usage.total_tokens > 0
