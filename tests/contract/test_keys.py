"""Keys on every transport: OpenAI's event for each, and the agent's hook."""

from typing import Any

import pytest
from openai.types.realtime import InputAudioBufferDtmfEventReceivedEvent
from tests.contract.kinds.call import KINDS, agent_for, on

from repartee.agent.context import CallContext


def pressed(digit: str) -> Any:
    return {"type": "repartee.dtmf", "digit": digit}


@pytest.mark.parametrize("kind", KINDS)
async def test_a_clients_keypad_reaches_the_agent_and_comes_back_as_openais_event(kind: str) -> None:
    agent, got = agent_for(kind), list[str]()

    @agent.on_dtmf(digits=2)
    async def keys(ctx: CallContext, digits: str) -> None:
        got.append(digits)
        ctx.say("Thank you.")

    async with on(kind, agent, asks=False) as call:
        for digit in "4#7":
            await call.caller.connection.send(pressed(digit))
        for digit in "4#7":
            heard = await call.caller.hears("input_audio_buffer.dtmf_event_received")
            assert isinstance(heard, InputAudioBufferDtmfEventReceivedEvent)
            assert heard.event == digit and heard.received_at > 1_700_000_000
        await call.hears_said("Thank you.")
        assert got[0] == "4"
        await call.caller.connection.send(pressed("x"))
        refused = await call.caller.hears("error")
        assert refused.error.param == "digit"
