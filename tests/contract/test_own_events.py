"""What is Repartee's own, beside OpenAI's protocol: only clients that ask are told of it, and nobody else's tools."""

import json
from typing import Any

import pytest
from openai import AsyncOpenAI
from tests.contract.caller import calling
from tests.contract.kinds.call import CASCADE, KINDS, agent_for, on
from tests.regional.app.running import Region
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from repartee.agent.agent import Agent

WEATHER = {
    "type": "function",
    "name": "weather_forecast",
    "description": "The weather forecast for a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}


def bank(kind: str) -> Agent:
    agent = agent_for(kind)

    @agent.tool
    async def get_balance() -> str:
        """The balance of the caller's account."""
        return "1240 pounds"

    return agent


def without_ids(event: Any) -> str:
    return str(event.to_json())


@pytest.mark.parametrize("kind", KINDS)
async def test_an_agents_own_tools_are_not_the_clients_business(kind: str) -> None:
    async with on(kind, bank(kind), asks=False) as call:
        await call.asks()
        await call.hears_said("1240")
        await call.asks()
        await call.is_idle()
        events = call.caller.events
        assert not [e.type for e in events if "function_call" in without_ids(e)]
        assert not [e.type for e in events if e.type.startswith("repartee.")]
        assert call.errors == []


@pytest.mark.parametrize("kind", KINDS)
async def test_no_item_follows_one_that_the_client_does_not_know(kind: str) -> None:
    async with on(kind, bank(kind), asks=False) as call:
        for _ in range(2):
            await call.asks()
            await call.is_idle()
        known: set[str | None] = {None}
        for event in call.caller.events:
            if event.type == "conversation.item.added":
                assert event.previous_item_id in known
                known.add(event.item.id)


@pytest.mark.parametrize("kind", KINDS)
async def test_who_asks_sees_the_agents_own_tools(kind: str) -> None:
    async with on(kind, bank(kind)) as call:
        await call.asks()
        called = await call.caller.hears("repartee.tool.called")
        answered = await call.caller.hears("repartee.tool.answered")
        assert (called.name, called.call_id) == ("get_balance", answered.call_id)
        assert "1240" in answered.output


@pytest.mark.parametrize("kind", KINDS)
async def test_a_client_still_runs_what_it_declared(kind: str) -> None:
    async with on(kind, bank(kind), asks=False, session={"tools": [WEATHER]}) as call:
        await call.asks("What is the weather forecast?")
        asked = await call.caller.hears("response.function_call_arguments.done")
        assert asked.name == "weather_forecast"
        done = await call.caller.hears("response.done")
        assert [item.type for item in done.response.output] == ["function_call"]


async def test_an_item_of_an_own_tools_is_unknown_to_the_client() -> None:
    async with on(CASCADE, bank(CASCADE)) as call:
        await call.asks()
        await call.hears_said("1240")
        call_id = call.worker_call_id
        for number in range(1, 8):
            await call.caller.connection.conversation.item.retrieve(item_id=f"item_{call_id}_{number}")
        await call.caller.connection.session.update(session={"type": "realtime", "instructions": "x"})
        await call.caller.hears("session.updated")
        shown = [e.item.type for e in call.caller.events if e.type == "conversation.item.retrieved"]
        assert shown and set(shown) == {"message"}
        assert {e.code for e in call.errors} == {"item_retrieve_invalid_item_id"}


@pytest.mark.asyncio(loop_scope="session")
async def test_a_spoken_call_has_no_events_of_our_own_unless_asked(openai: AsyncOpenAI) -> None:
    async with calling(openai, asks=False) as caller:
        await caller.says_something()
        await caller.hears("response.done")
        assert not [name for name in caller.types if name.startswith("repartee.")]


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("offered", [["repartee.events"], ["realtime", "repartee.events"]])
async def test_a_subprotocol_asks_too(worker: Region, offered: list[str]) -> None:
    async with connect(worker.url, subprotocols=[Subprotocol(name) for name in offered]) as socket:
        assert socket.subprotocol == offered[0]
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello?"}]}
        await socket.send(json.dumps({"type": "conversation.item.create", "item": item}))
        await socket.send(json.dumps({"type": "response.create"}))
        types: list[str] = []
        async for frame in socket:
            types.append(json.loads(frame)["type"])
            if types[-1] == "repartee.turn.finished":
                break
        assert types[0] == "session.created"
