"""A client that has set ``idle_timeout_ms``, with an agent that asks silent callers itself: one of them asks."""

import pytest
from tests.contract.kinds.call import KINDS, agent_for, on

IDLE_MS = 5_000
"""The least that OpenAI takes."""


@pytest.mark.parametrize("kind", KINDS)
async def test_the_caller_is_asked_once_by_the_model_and_the_client_is_told(kind: str) -> None:
    agent = agent_for(kind, idle_s=1.0)
    detection = {"type": "server_vad", "idle_timeout_ms": IDLE_MS}
    session = {"audio": {"input": {"turn_detection": detection}}}
    async with on(kind, agent, session=session) as call:
        await call.speaks()
        await call.caller.hears("response.done")
        told = await call.caller.hears("input_audio_buffer.timeout_triggered")
        assert told.audio_end_ms >= told.audio_start_ms
        await call.caller.hears("response.done")
        await call.is_idle()
        assert call.caller.types.count("input_audio_buffer.timeout_triggered") == 1
        assert call.caller.types.count("response.created") == 2, "nobody else has asked"
        assert not [text for text in call.said if "still there" in text.lower()]
        assert call.errors == []


@pytest.mark.parametrize("kind", KINDS)
async def test_it_is_shown_in_the_session(kind: str) -> None:
    async with on(kind, agent_for(kind)) as call:
        detection = {"type": "server_vad", "idle_timeout_ms": IDLE_MS, "threshold": 0.5}
        await call.updates(audio={"input": {"turn_detection": detection}})
        shown = call.caller.events[-1].session.audio.input.turn_detection
        assert shown.idle_timeout_ms == IDLE_MS
