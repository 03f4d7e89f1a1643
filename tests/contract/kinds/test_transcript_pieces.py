"""A caller's words as they come, on both kinds of call: pieces that add up to the transcript."""

import asyncio
import base64

import pytest
from tests.contract.kinds.call import CASCADE, KINDS, BothKinds, agent_for, on
from tests.regional.app.running import speech

DELTA = "conversation.item.input_audio_transcription.delta"
COMPLETED = "conversation.item.input_audio_transcription.completed"
WORDS = "I would like to know what the balance of my second account was on the first of May."


async def speaks_for(call: BothKinds, ms: int) -> None:
    audio = speech(ms) + bytes(48 * 800)
    for start in range(0, len(audio), 960):
        frame = base64.b64encode(audio[start : start + 960]).decode()
        await call.caller.connection.input_audio_buffer.append(audio=frame)
        await asyncio.sleep(0.005)


@pytest.mark.parametrize("kind", KINDS)
async def test_the_pieces_are_the_transcript(kind: str) -> None:
    async with on(kind, agent_for(kind), hears=WORDS, asks=False) as call:
        await speaks_for(call, 3_000)
        heard = await call.caller.hears(COMPLETED)
        pieces = [event for event in call.caller.events if event.type == DELTA]
        assert {event.item_id for event in pieces} == {heard.item_id}
        assert "".join(event.delta for event in pieces) == heard.transcript == WORDS


async def test_a_cascades_come_while_the_caller_speaks() -> None:
    async with on(CASCADE, agent_for(CASCADE), hears=WORDS, asks=False) as call:
        await speaks_for(call, 3_000)
        await call.caller.hears(COMPLETED)
        types = call.caller.types
        assert types.index("input_audio_buffer.speech_started") < types.index(DELTA)
        assert types.index(DELTA) < types.index("input_audio_buffer.speech_stopped")
        assert types.count(DELTA) > 2
