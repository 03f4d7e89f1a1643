"""What a client asks for in vain, over a real socket: OpenAI's codes and words, which clients match on."""

import json
from typing import Any

import pytest
from openai import AsyncOpenAI
from tests.contract.caller import Caller, calling
from tests.contract.kinds.call import CASCADE, agent_for, on
from tests.regional.app.running import Region
from websockets.asyncio.client import connect

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def refused(caller: Caller, event: dict[str, Any]) -> Any:
    await caller.connection.send_raw(json.dumps(event))
    return (await caller.hears("error")).error


def item(**fields: Any) -> dict[str, Any]:
    return {"type": "conversation.item.create", "item": fields}


def message(text: str = "Where are you?", **fields: Any) -> dict[str, Any]:
    return item(type="message", role="user", content=[{"type": "input_text", "text": text}], **fields)


async def test_nothing_to_cancel(openai: AsyncOpenAI) -> None:
    async with calling(openai) as caller:
        error = await refused(caller, {"type": "response.cancel", "event_id": "mine"})
        assert error.message == "Cancellation failed: no active response found"
        assert (error.code, error.event_id) == ("response_cancel_not_active", "mine")
        error = await refused(caller, {"type": "response.cancel", "response_id": "resp_x"})
        assert error.message == "Cancellation failed: no active response found"


async def test_clearing_what_is_silent_is_no_mistake(openai: AsyncOpenAI) -> None:
    async with calling(openai) as caller:
        await caller.connection.send_raw('{"type": "output_audio_buffer.clear"}')
        await refused(caller, {"type": "response.cancel"})
        assert caller.types.count("error") == 1


async def test_a_second_response(openai: AsyncOpenAI) -> None:
    async with calling(openai) as caller:
        await caller.connection.send_raw(json.dumps(message()))
        await caller.connection.response.create()
        error = await refused(caller, {"type": "response.create"})
        created = next(e for e in caller.events if e.type == "response.created")
        assert error.code == "conversation_already_has_active_response"
        assert (
            f"Conversation already has an active response in progress: {created.response.id}."
            in error.message
        )


async def test_an_items_id_is_its_own(openai: AsyncOpenAI) -> None:
    async with calling(openai) as caller:
        await caller.connection.send_raw(json.dumps(message(id="mine")))
        error = await refused(caller, message(id="mine"))
        assert error.code == "item_create_duplicate_item_id"


async def test_outputs_answer_a_call_once(openai: AsyncOpenAI) -> None:
    async with calling(openai) as caller:
        output = item(type="function_call_output", call_id="c1", output="{}")
        error = await refused(caller, output)
        assert (error.code, error.param) == ("invalid_tool_call_id", "item.call_id")
        call = item(type="function_call", call_id="c1", name="f", arguments="{}")
        await caller.connection.send_raw(json.dumps(call))
        await caller.connection.send_raw(json.dumps(output))
        await caller.hears("conversation.item.added", lambda e: e.item.type == "function_call_output")
        error = await refused(caller, output)
        assert (error.code, error.param) == ("invalid_tool_call_id", "item.call_id")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"type": "function_call", "call_id": "c" * 41, "name": "f", "arguments": "{}"}, "item.call_id"),
        ({"type": "function_call", "call_id": "", "name": "f", "arguments": "{}"}, "item.call_id"),
        ({"type": "function_call", "call_id": "c", "name": "get it", "arguments": "{}"}, "item.name"),
        (
            {"type": "message", "role": "user", "content": [{"type": "input_image", "image_url": "data:"}]},
            "item.content[0].type",
        ),
    ],
)
async def test_items_that_a_chat_api_would_refuse(
    openai: AsyncOpenAI, fields: dict[str, Any], param: str
) -> None:
    async with calling(openai) as caller:
        assert (await refused(caller, item(**fields))).param == param


async def test_an_mcp_tool_does_not_lose_the_rest(openai: AsyncOpenAI) -> None:
    async with calling(openai) as caller:
        mcp = {"type": "mcp", "server_label": "x", "server_url": "https://x.example"}
        function = {"type": "function", "name": "f", "description": None, "parameters": None}
        update = {"type": "realtime", "instructions": "Be brief.", "tools": [mcp, function]}
        error = await refused(caller, {"type": "session.update", "session": update, "event_id": "mine"})
        assert (error.code, error.param, error.event_id) == (
            "unsupported_parameter",
            "session.tools[0]",
            "mine",
        )
        [updated] = [e for e in caller.events if e.type == "session.updated"]
        assert updated.session.instructions == "Be brief."
        assert [tool.name for tool in updated.session.tools] == ["f"]


@pytest.mark.parametrize("kind", [CASCADE, "speech to speech"])
async def test_a_function_named_like_an_agents_tool(kind: str) -> None:
    agent = agent_for(kind)

    @agent.tool
    async def get_balance() -> str:
        """The balance of the caller's account."""
        return "1240"

    async with on(kind, agent) as call:
        update = {"type": "realtime", "tools": [{"type": "function", "name": "get_balance"}]}
        error = await refused(call.caller, {"type": "session.update", "session": update})
        assert error.param == "session.tools[0].name"


async def test_a_spoken_turn_is_retrieved_as_audio(openai: AsyncOpenAI) -> None:
    async with calling(openai) as caller:
        await caller.says_something()
        committed = await caller.hears("input_audio_buffer.committed")
        await caller.connection.conversation.item.retrieve(item_id=committed.item_id)
        shown = await caller.hears("conversation.item.retrieved")
        [part] = shown.item.content
        assert part.type == "input_audio"
        assert part.transcript


@pytest.mark.parametrize(
    ("query", "headers", "code"),
    [
        ("", {"OpenAI-Beta": "realtime=v1"}, "beta_api_shape_disabled"),
        ("?intent=transcription", {}, "unsupported_parameter"),
    ],
)
async def test_at_the_door(worker: Region, query: str, headers: dict[str, str], code: str) -> None:
    async with connect(worker.url + query, additional_headers=headers) as socket:
        told = json.loads(await socket.recv())
        assert (told["type"], told["error"]["code"]) == ("error", code)
        await socket.wait_closed()
        assert socket.close_code == 4000
    await worker.until_idle()
