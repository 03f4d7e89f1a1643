"""The README's agent works as pasted, written to and spoken to."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from openai import AsyncOpenAI
from tests.contract.caller import Caller, calling
from tests.regional.app.running import region, stand_ins

from repartee.agent.agent import worker_side
from repartee.agent.loader import load
from repartee.client.call import CallOptions
from repartee.client.calling import AskedLine, converse
from repartee.client.speech import spoken

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
            called = [e.name for e in caller.events if e.type == "repartee.tool.called"]

    assert "9:00" in answer or "nine" in answer.lower(), answer
    assert called == ["check_availability"] or not called, "looked up, or foreseen"
    assert "schedule_appointment" not in called


@pytest.fixture(scope="module")
def speaking() -> Iterator[dict[str, str]]:
    """Stand-ins with ears and a voice."""
    with stand_ins("budget", light=False) as variables:
        yield variables


@pytest.mark.parametrize(
    ("said", "day", "time"),
    [
        (["Book Monday at nine o'clock."], "monday", "9:00"),
        (["Can you book Monday at half past eleven?"], "monday", "11:30"),
        (["Can I have an appointment on Tuesday?", "At two o'clock please."], "tuesday", "14:00"),
    ],
)
async def test_the_agent_books_what_a_caller_says(
    speaking: dict[str, str], tmp_path: Path, said: list[str], day: str, time: str
) -> None:
    agent = load(f"{pasted(tmp_path)}:agent")
    free = worker_side(agent).tools["check_availability"].function.__globals__["FREE"]
    assert time in free[day]
    async with region(speaking, agent=agent) as running:
        options = CallOptions(url=f"ws://127.0.0.1:{running.port}", api_key="dev", rate_hz=24_000)
        call = await converse(options, [AskedLine(spoken(text, options.rate_hz)) for text in said])

    told = [turn.answer for turn in call.turns]
    assert time not in free[day], [(turn.heard_as, turn.answer) for turn in call.turns]
    assert "booked" in told[-1]
    assert not any("sorry" in answer or "not free" in answer for answer in told), told


async def test_the_agent_says_what_else_is_free(speaking: dict[str, str], tmp_path: Path) -> None:
    agent = load(f"{pasted(tmp_path)}:agent")
    free = worker_side(agent).tools["check_availability"].function.__globals__["FREE"]
    before = {day: list(times) for day, times in free.items()}
    async with region(speaking, agent=agent) as running:
        options = CallOptions(url=f"ws://127.0.0.1:{running.port}", api_key="dev", rate_hz=24_000)
        call = await converse(options, [AskedLine(spoken("Book Monday at ten o'clock.", options.rate_hz))])

    [turn] = call.turns
    assert "9:00 or 11:30" in turn.answer
    assert "Error" not in turn.answer and "not free. These are" not in turn.answer
    assert free == before
