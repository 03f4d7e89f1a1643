"""The README's agent works as pasted."""

import re
from pathlib import Path

import pytest
from openai import AsyncOpenAI
from tests.contract.caller import Caller, calling
from tests.regional.app.running import region

from repartee.agent.loader import load

pytestmark = pytest.mark.asyncio(loop_scope="session")

README = Path(__file__).parents[2] / "README.md"


def pasted(folder: Path) -> Path:
    """The agent's file, as a reader of the README would have it."""
    [code] = [
        block
        for block in re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
        if "agent = Agent(" in block
    ]
    path = folder / "clinic.py"
    path.write_text(code)
    return path


async def asked(caller: Caller, text: str) -> str:
    """What the agent answers to a written question, tools and fillers aside."""
    await caller.connection.conversation.item.create(
        item={"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
    )
    await caller.connection.response.create(response={"output_modalities": ["text"]})
    done = await caller.hears(
        "response.done",
        where=lambda event: any(
            item.type == "message" and item.role == "assistant" for item in event.response.output
        ),
    )
    [message] = [item for item in done.response.output if item.type == "message"]
    return str(message.content[0].text)


async def test_the_agent_looks_things_up_and_does_things(providers: dict[str, str], tmp_path: Path) -> None:
    agent = load(f"{pasted(tmp_path)}:agent")
    async with region(providers, agent=agent) as running:
        url = f"ws://127.0.0.1:{running.port}/v1"
        async with (
            AsyncOpenAI(api_key="dev", websocket_base_url=url) as client,
            calling(client) as caller,
        ):
            await caller.hears("response.done")  # the greeting
            answer = await asked(caller, "Can I have an appointment on Monday?")
            called = [e.name for e in caller.events if e.type == "response.function_call_arguments.done"]

    assert "9:00" in answer or "nine" in answer.lower(), answer
    assert called == ["check_availability"] or not called, "looked up, or foreseen"
    assert "schedule_appointment" not in called
