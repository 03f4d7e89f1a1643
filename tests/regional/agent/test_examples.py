"""The agents that people start from."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from repartee import Agent
from repartee.agent.agent import worker_side
from repartee.agent.loader import load
from repartee.agent.toolbox import Toolbox

EXAMPLES = Path(__file__).parents[3] / "examples"


@pytest.fixture
def example(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Agent:
    agent = load(f"{EXAMPLES / request.param}.py")
    tool = next(iter(worker_side(agent).tools.values()))
    monkeypatch.setitem(tool.function.__globals__, "DATABASE", tmp_path / "example.sqlite3")
    return agent


class Caller:
    """A call to an agent, without a session."""

    def __init__(self, agent: Agent, **metadata: Any) -> None:
        self.context = worker_side(agent).new_call("c1", metadata)
        self.toolbox = Toolbox(agent, self.context)
        self._calls = 0

    async def says(self, text: str) -> None:
        self._calls += 1
        await asyncio.gather(*map(self.toolbox.prefetch, self.toolbox.heard(self._calls, text)))

    async def asks(self, name: str, **arguments: Any) -> tuple[Any, str | None]:
        self._calls += 1
        call_id = str(self._calls)
        output = await self.toolbox.run(self._calls, call_id, name, json.dumps(arguments))
        run = self.toolbox.ran(call_id)
        assert run is not None
        return json.loads(output), run.prefetch


@pytest.mark.parametrize("example", ["bank"], indirect=True)
async def test_the_bank_knows_the_caller_and_fetches_the_balance_before_it_is_asked(example: Agent) -> None:
    caller = Caller(example, phone="+15550101")
    await asyncio.gather(*map(caller.toolbox.prefetch, caller.toolbox.call_started()))
    assert await caller.asks("lookup_customer") == ({"customer_id": "C-1002", "name": "Tom Reed"}, "hit")
    await caller.says("what is the balance of my")
    balance = {"account": "checking", "balance": 87.2, "currency": "USD"}
    assert await caller.asks("get_balance", customer_id="C-1002") == (balance, "hit")
    await caller.says("and my last payments")
    paid, prefetch = await caller.asks("get_recent_transactions", customer_id="C-1002", limit=3)
    assert prefetch == "hit"
    assert paid == {
        "transactions": [{"day": "friday", "merchant": "the bookshop", "amount": 23.9, "currency": "USD"}]
    }


@pytest.mark.parametrize("example", ["bank"], indirect=True)
async def test_the_bank_tells_nobody_of_anothers_account(example: Agent) -> None:
    caller = Caller(example, phone="+15550101")
    refused, _ = await caller.asks("get_balance", customer_id="C-1001")
    assert refused == {"error": "The caller has no checking account."}
    assert await caller.asks("get_recent_transactions", customer_id="C-1001") == (
        {"transactions": []},
        "miss",
    )
    unknown, _ = await Caller(example, phone="+999").asks("lookup_customer")
    assert "Nobody is known" in unknown["error"]
    known, _ = await Caller(example).asks("lookup_customer")
    assert known["name"] == "Anna Keller"


@pytest.mark.parametrize("example", ["clinic"], indirect=True)
async def test_the_clinic_offers_free_times_and_books_each_once(example: Agent) -> None:
    first, second = Caller(example), Caller(example)
    await first.says("can i have an appointment on thursday")
    offered, prefetch = await first.asks("check_availability", day="thursday")
    assert prefetch == "hit"
    assert offered == {"day": "thursday", "free": ["nine o'clock", "half past ten", "two o'clock"]}
    booked, _ = await first.asks("schedule_appointment", day="thursday", time="two", patient_name="Anna")
    assert booked == {"booked": True, "day": "thursday", "time": "two o'clock", "patient_name": "Anna"}
    again, _ = await first.asks("schedule_appointment", day="thursday", time="two", patient_name="Anna")
    assert again == booked
    taken, _ = await second.asks(
        "schedule_appointment", day="Thursday", time="two o'clock", patient_name="Tom"
    )
    assert "two o'clock on thursday is not free. Nothing was booked." in taken["error"]
    left, prefetch = await first.asks("check_availability", day="thursday")
    assert (left["free"], prefetch) == (["nine o'clock", "half past ten"], "miss")


@pytest.mark.parametrize("example", ["clinic"], indirect=True)
async def test_the_clinic_understands_spoken_times_and_days(example: Agent) -> None:
    caller = Caller(example, name="Anna")
    booked, _ = await caller.asks(
        "schedule_appointment", day="monday", time="at three thirty", patient_name="A"
    )
    assert booked["time"] == "half past three"
    weekend, _ = await caller.asks("check_availability", day="sunday")
    assert weekend["free"] == []
    today, _ = await caller.asks("check_availability", day="today")
    assert today["day"].endswith("day")
    await worker_side(example).call_started(caller.context)
    assert (caller.context.greeting or "").startswith("Hello Anna")


@pytest.mark.parametrize("example", ["bank", "clinic"], indirect=True)
async def test_several_processes_may_make_the_database_at_once(example: Agent) -> None:
    name = next(iter(worker_side(example).tools))
    arguments = {"day": "monday"} if name == "check_availability" else {}
    answers = await asyncio.gather(*[Caller(example).asks(name, **arguments) for _ in range(8)])
    assert all(answer == answers[0] for answer in answers)
    assert "error" not in answers[0][0]


def test_each_example_is_about_a_page() -> None:
    for path in EXAMPLES.glob("*.py"):
        assert len(path.read_text().splitlines()) <= 120
