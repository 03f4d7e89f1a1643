"""What a client may send at most, and what becomes of one that sends more."""

import pytest
from tests.regional.session.actors import Stage

from repartee.session.too_much import ClientLimits


class TestLimits:
    """What a client sends too much of is refused by name, and the call goes on."""

    @pytest.mark.parametrize("binary", [True, False])
    async def test_audio_is_bounded_by_its_length(self, binary: bool) -> None:
        async with Stage(binary=binary) as stage:
            send = stage.client.sends_bytes if binary else stage.client.sends_audio
            await stage.ears.opened()
            send(bytes(48_000 * 60 + 2))
            error = (await stage.client.hears("error"))["error"]
            assert (error["code"], error["param"]) == ("event_too_large", "audio")
            assert "60 s" in error["message"]
            send(bytes(48_000 * 60))
            stage.client.sends("input_audio_buffer.clear")
            await stage.client.hears("input_audio_buffer.cleared")
            assert stage.client.types.count("error") == 1

    async def test_300_seeded_items_are_taken_at_once(self) -> None:
        async with Stage() as stage:
            content = [{"type": "input_text", "text": "Hello."}]
            item = {"type": "message", "role": "user", "content": content}
            for _ in range(300):
                stage.client.sends("conversation.item.create", item=item)
            for _ in range(300):
                await stage.client.hears("conversation.item.done")
            assert "error" not in stage.client.types

    async def test_what_the_conversation_is_too_long_for_is_told(self) -> None:
        async with Stage() as stage:
            for name in ("a", "b", "c"):
                content = [{"type": "input_text", "text": "x" * 1_000_000}]
                item = {"type": "message", "id": name, "role": "user", "content": content}
                stage.client.sends("conversation.item.create", item=item)
            assert (await stage.client.hears("conversation.item.deleted"))["item_id"] == "a"

    async def test_responses_and_settings_have_a_rate(self) -> None:
        limits = ClientLimits(requests_per_s=0.5, burst_s=10)
        async with Stage(limits=limits) as stage:
            for _ in range(6):
                stage.client.sends("session.update", event_id="mine", session={})
            error = (await stage.client.hears("error"))["error"]
            assert (error["code"], error["event_id"]) == ("rate_limit_exceeded", "mine")
            assert stage.client.types.count("session.updated") == 5

    async def test_audio_that_recognition_cannot_take_is_refused_and_not_dropped(self) -> None:
        async with Stage() as stage:
            await stage.ears.opened()
            for _ in range(4):
                stage.client.sends_audio(bytes(48_000 * 50))
            error = (await stage.client.hears("error"))["error"]
            assert error["code"] == "rate_limit_exceeded"
