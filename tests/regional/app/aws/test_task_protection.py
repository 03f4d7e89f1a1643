"""Task protection: decided on virtual time, asked of a stand-in for the ECS agent's endpoint on loopback."""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.regional.app.running import EcsAgent, calling, region, until

from repartee.app.aws.task_protection import ProtectionPolicy, ProtectionSettings, TaskProtection

PROTECT = {"ProtectionEnabled": True, "ExpiresInMinutes": 60}
CLEAR = {"ProtectionEnabled": False}


def policy() -> ProtectionPolicy:
    return ProtectionPolicy(
        ProtectionSettings(lasts_min=60, renew_after_s=1_200, retry_first_s=1, retry_longest_s=8)
    )


def test_nothing_is_asked_without_calls() -> None:
    assert policy().due(0, calls=0) is None
    assert policy().wake_at(calls=0) is None


def test_the_first_call_protects_and_the_last_ends_it() -> None:
    task = policy()
    assert task.due(0, calls=1) is True
    task.succeeded(True, 0)
    assert task.due(1, calls=5) is None
    assert task.due(2, calls=0) is False
    task.succeeded(False, 2)
    assert task.due(3, calls=0) is None


def test_protection_is_renewed_long_before_it_runs_out() -> None:
    task = policy()
    task.succeeded(True, 100)
    assert task.wake_at(calls=1) == 1_300
    assert task.due(1_299, calls=1) is None
    assert task.due(1_300, calls=1) is True


def test_failures_are_repeated_with_growing_pauses() -> None:
    task, now, pauses = policy(), 0.0, []
    for _ in range(6):
        assert task.due(now, calls=1) is True
        pauses.append(task.failed(now))
        assert task.due(now + pauses[-1] - 0.01, calls=1) is None
        now += pauses[-1]
        assert task.wake_at(calls=1) == now
    assert pauses == [1, 2, 4, 8, 8, 8]
    task.succeeded(True, now)
    assert task.failed(now) == 1


def test_what_a_failed_request_did_is_unknown_so_that_the_end_is_asked_for() -> None:
    task = policy()
    task.failed(0)
    assert task.due(10, calls=0) is False


@given(st.lists(st.tuples(st.floats(0.1, 3_000), st.integers(0, 2), st.booleans()), max_size=40))
def test_whatever_happens_it_ends_up_as_the_calls_are(steps: list[tuple[float, int, bool]]) -> None:
    task, now, actual = policy(), 0.0, False
    for passed, calls, works in [*steps, (3_000, 1, True), (3_000, 0, True)]:
        now += passed
        wanted = task.due(now, calls)
        if wanted is None:
            assert actual is (calls > 0) or not works or now < (task.wake_at(calls) or 0)
        elif works:
            actual = wanted
            task.succeeded(wanted, now)
        else:
            task.failed(now)
    assert actual is False
    assert task.due(now + 1e6, calls=0) is None


class Calls:
    """A worker's calls, in step with its protection."""

    def __init__(self, agent_uri: str) -> None:
        self.number = 0
        self.protection = TaskProtection(
            agent_uri, lambda: self.number, ProtectionSettings(retry_first_s=0.02)
        )

    def become(self, number: int) -> None:
        self.number = number
        self.protection.calls_changed()


@contextlib.asynccontextmanager
async def protected(agent_uri: str) -> AsyncIterator[Calls]:
    calls = Calls(agent_uri)
    running = asyncio.create_task(calls.protection.run())
    try:
        yield calls
    finally:
        running.cancel()
        await asyncio.wait([running])
        assert running.cancelled()


async def test_ecs_is_asked_when_the_first_call_comes_and_the_last_goes(agent: EcsAgent) -> None:
    async with protected(agent.uri) as calls:
        calls.become(1)
        await until(lambda: len(agent.requests) == 1)
        calls.become(2)
        calls.become(1)
        calls.become(0)
        await until(lambda: len(agent.requests) == 2)
        calls.become(1)
        await until(lambda: len(agent.requests) == 3)
    assert agent.requests == [PROTECT, CLEAR, PROTECT]


@pytest.mark.parametrize(
    "refusal",
    [
        (
            400,
            {"error": {"Code": "AccessDeniedException", "Message": "not authorized to UpdateTaskProtection"}},
        ),
        (200, {"failure": {"Arn": "arn:x", "Reason": "DEPLOYMENT_BLOCKED", "Detail": None}}),
        (500, {}),
    ],
)
async def test_a_refusal_is_logged_with_its_words_and_asked_again(
    agent: EcsAgent, refusal: tuple[int, dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    agent.answers = [refusal, refusal]
    async with protected(agent.uri) as calls:
        calls.become(1)
        await until(lambda: len(agent.requests) == 3)
    assert agent.requests == [PROTECT] * 3
    told = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(told) == 2
    assert f"protecting this task failed: ECS answered {refusal[0]}: {json.dumps(refusal[1])}" in told[0]


async def test_an_agent_that_is_not_there_harms_no_call(providers: dict[str, str]) -> None:
    async with region({**providers, "ECS_AGENT_URI": "http://127.0.0.1:9/api/x"}) as worker:
        async with calling(worker.url) as call:
            assert json.loads(await call.recv())["type"] == "session.created"
        await worker.until_idle()


async def test_a_worker_protects_itself_while_it_has_calls(
    providers: dict[str, str], agent: EcsAgent
) -> None:
    async with region({**providers, "ECS_AGENT_URI": agent.uri}) as worker:
        async with calling(worker.url) as one, calling(worker.url) as two:
            await asyncio.gather(one.recv(), two.recv())
            await until(lambda: agent.requests == [PROTECT])
            await one.close()
        await until(lambda: agent.requests == [PROTECT, CLEAR])
