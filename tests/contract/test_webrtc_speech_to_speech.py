"""A speech-to-speech model by WebRTC: the provider's audio is paced out on the track, and a barge-in cuts it."""

from tests.contract.test_speech_to_speech import relaying
from tests.contract.webrtc_caller import calling_by_webrtc
from tests.regional.rtc.link import level_of

from repartee.agent.agent import Agent


async def test_a_turn_is_heard_and_the_next_interrupts_it() -> None:
    agent = Agent(instructions="Be kind.", model="gpt-realtime")
    async with relaying(agent, "budget") as (worker, _, _), calling_by_webrtc(worker.http) as caller:
        assert caller.events[0]["session"]["model"] == "gpt-realtime"
        await caller.says_something()
        started = await caller.hears("output_audio_buffer.started")
        await caller.says_something(ms=900)
        cleared = await caller.hears("output_audio_buffer.cleared")
        assert cleared["response_id"] == started["response_id"]
        truncated = await caller.hears("conversation.item.truncated")
        assert 0 <= truncated["audio_end_ms"] <= truncated["_heard_bytes"] / 48 + 60
        again = await caller.hears("output_audio_buffer.started")
        assert again["response_id"] != started["response_id"]
        await caller.hears("output_audio_buffer.stopped")
        assert level_of(bytes(caller.heard)) > 100
        assert "response.output_audio.delta" not in caller.types
    await worker.until_idle()
