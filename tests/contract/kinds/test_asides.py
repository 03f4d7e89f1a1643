"""Responses outside the conversation, on both kinds of call, with OpenAI's client."""

import json
from typing import Any

import pytest
from tests.contract.kinds.call import BALANCE, CASCADE, HOURS, KINDS, BothKinds, agent_for, on
from websockets.asyncio.client import connect

TEXT = {"output_modalities": ["text"], "conversation": "none"}


async def aside(call: BothKinds, **response: Any) -> Any:
    """The whole of one, from its beginning to its end."""
    given: Any = TEXT | response
    await call.caller.connection.response.create(response=given)
    done = await call.caller.hears("response.done", lambda e: e.response.conversation_id is None)
    return done.response


@pytest.mark.parametrize("kind", KINDS)
async def test_it_is_answered_and_the_history_stays_as_it_is(kind: str) -> None:
    async with on(kind, agent_for(kind)) as call:
        await call.asks(HOURS)
        await call.hears_said("eight thirty")
        await call.is_idle()
        before = [e.type for e in call.caller.events if e.type.startswith("conversation.item.")]
        item = {
            "type": "message",
            "role": "user",
            "content": [{"type": "input_text", "text": "What is your address?"}],
        }
        response = await aside(call, input=[item], metadata={"topic": "address"})
        assert response.status == "completed"
        assert response.metadata == {"topic": "address"}
        assert response.output[0].content[0].text
        after = [e.type for e in call.caller.events if e.type.startswith("conversation.item.")]
        assert after == before
        assert call.errors == []


@pytest.mark.parametrize("kind", KINDS)
async def test_it_may_answer_the_conversation_and_items_of_it(kind: str) -> None:
    async with on(kind, agent_for(kind)) as call:
        await call.writes(HOURS)
        added = await call.caller.hears("conversation.item.added")
        whole = await aside(call)
        part = await aside(call, input=[{"type": "item_reference", "id": added.item.id}])
        assert said_in_text(whole) == said_in_text(part)
        assert "eight thirty" in said_in_text(part)


@pytest.mark.parametrize("kind", KINDS)
async def test_it_does_not_keep_the_caller_from_an_answer(kind: str) -> None:
    async with on(kind, agent_for(kind)) as call:
        given: Any = TEXT | {"metadata": {"number": "1"}}
        await call.caller.connection.response.create(response=given)
        await call.asks(HOURS)
        await call.hears_said("eight thirty")
        await call.is_idle()
        assert call.errors == []


async def test_none_of_the_agents_tools_is_offered() -> None:
    agent = agent_for(CASCADE)

    @agent.tool
    async def get_balance() -> str:
        """The balance of the caller's account."""
        raise AssertionError("nobody on the call has asked for it")

    async with on(CASCADE, agent) as call:
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": BALANCE}]}
        response = await aside(call, input=[item])
        assert response.status == "completed"
        assert call.tools_offered == set()
        assert call.outputs == []


@pytest.mark.parametrize(
    ("response", "param"),
    [
        ({"conversation": "mine"}, "response.conversation"),
        ({"input": []}, "response.input"),
        (
            {**TEXT, "input": [{"type": "message", "role": "user", "content": []}]},
            "response.input[0].content",
        ),
        ({**TEXT, "input": [{"type": "item_reference"}]}, "response.input[0].id"),
        ({**TEXT, "input": [{"type": "item_reference", "id": "nowhere"}]}, "item_id"),
    ],
    ids=["another conversation", "input within it", "no words", "no id", "no such item"],
)
async def test_what_it_cannot_be_is_named(response: Any, param: str) -> None:
    async with on(CASCADE, agent_for(CASCADE)) as call:
        await call.caller.connection.response.create(response=response)
        assert (await call.caller.hears("error")).error.param == param


def said_in_text(response: Any) -> str:
    return "".join(part.text or part.transcript or "" for item in response.output for part in item.content)


async def test_spoken_its_audio_is_sent_as_its_own() -> None:
    async with on(CASCADE, agent_for(CASCADE)) as call:
        response = await aside(call, output_modalities=["audio"], instructions="Say hello.")
        assert response.status == "completed"
        assert len(call.caller.audio(response.id)) > 24_000
        assert response.output[0].content[0].transcript
        assert not [event for event in call.caller.events if event.type.startswith("conversation.item.")]


async def test_where_its_audio_could_not_be_told_from_the_calls_it_is_refused() -> None:
    async with on(CASCADE, agent_for(CASCADE)) as call:
        url = f"ws://127.0.0.1:{call.worker.port}/v1/realtime?audio=binary"
        async with connect(url) as socket:
            await socket.recv()
            for modality in ("audio", "text"):
                response = TEXT | {"output_modalities": [modality]}
                await socket.send(json.dumps({"type": "response.create", "response": response}))
            refused, begun = [json.loads(await socket.recv()) for _ in range(2)]
            assert refused["error"]["param"] == "response.output_modalities"
            assert begun["type"] == "response.created"
