"""Two requests race; the caller hears one of them."""

import asyncio
from collections.abc import AsyncGenerator

import pytest
from tests.promptness import DEADLINE_S

from repartee.errors import ProviderError
from repartee.latency.hedging import HedgePolicy, HedgeSettings
from repartee.providers.hedged_llm import HedgedLLM
from repartee.providers.interfaces import Finished, ReplyPart, ReplyRequest, TextDelta

REQUEST = ReplyRequest(messages=[{"role": "user", "content": "Hello?"}])
AT_ONCE = HedgeSettings(first_deadline_ms=0.0)


class ScriptedBrain:
    """Says its word when it is let; counts what became of its requests."""

    def __init__(self, word: str, *, failure: ProviderError | None = None) -> None:
        self.word = word
        self.failure = failure
        self.may_speak = asyncio.Event()
        self.was_asked = asyncio.Event()
        self.was_closed = asyncio.Event()
        self.asked = 0
        self.closed = 0

    async def reply(self, request: ReplyRequest) -> AsyncGenerator[ReplyPart, None]:
        self.asked += 1
        self.was_asked.set()
        try:
            await self.may_speak.wait()
            if self.failure:
                raise self.failure
            yield TextDelta(self.word)
            yield Finished("stop")
        finally:
            self.closed += 1
            self.was_closed.set()


def fault(retryable: bool = True) -> ProviderError:
    return ProviderError("gone", provider="scripted", stage="llm", retryable=retryable)


async def said(brain: HedgedLLM) -> str:
    return "".join([part.text async for part in brain.reply(REQUEST) if isinstance(part, TextDelta)])


async def test_a_prompt_model_is_asked_once() -> None:
    first, second = ScriptedBrain("first"), ScriptedBrain("second")
    first.may_speak.set()
    brain = HedgedLLM(first, second)

    assert await said(brain) == "first"
    assert (first.asked, second.asked) == (1, 0)


async def test_a_late_model_is_overtaken_and_closed() -> None:
    first, second = ScriptedBrain("first"), ScriptedBrain("second")
    second.may_speak.set()
    brain = HedgedLLM(first, second, HedgePolicy(AT_ONCE))

    assert await said(brain) == "second"
    assert first.closed == second.closed == 1
    assert (brain.policy.hedged, brain.policy.won) == (1, 1)


async def test_what_is_late_is_learnt_while_a_request_waits() -> None:
    first, second = ScriptedBrain("first"), ScriptedBrain("second")
    second.may_speak.set()
    policy = HedgePolicy(HedgeSettings(first_deadline_ms=3_600_000.0))
    answer = asyncio.ensure_future(said(HedgedLLM(first, second, policy)))
    await first.was_asked.wait()
    for _ in range(HedgeSettings().needed):
        policy.answered(1.0)

    async with asyncio.timeout(DEADLINE_S):
        assert await answer == "second"


async def test_the_late_model_may_still_win() -> None:
    first, second = ScriptedBrain("first"), ScriptedBrain("second")
    brain = HedgedLLM(first, second, HedgePolicy(AT_ONCE))
    answer = asyncio.ensure_future(said(brain))
    await second.was_asked.wait()
    first.may_speak.set()

    assert await answer == "first"
    assert second.closed == 1
    assert brain.policy.won == 0


async def test_one_that_fails_leaves_the_race_to_the_other() -> None:
    first, second = ScriptedBrain("first", failure=fault()), ScriptedBrain("second")
    brain = HedgedLLM(first, second, HedgePolicy(AT_ONCE))
    answer = asyncio.ensure_future(said(brain))
    await second.was_asked.wait()
    first.may_speak.set()
    await first.was_closed.wait()
    second.may_speak.set()

    assert await answer == "second"


async def test_when_all_fail_the_caller_is_told() -> None:
    first, second = ScriptedBrain("", failure=fault()), ScriptedBrain("", failure=fault(retryable=False))
    first.may_speak.set()
    second.may_speak.set()
    with pytest.raises(ProviderError, match="gone"):
        await said(HedgedLLM(first, second, HedgePolicy(AT_ONCE)))


async def test_hanging_up_ends_both_requests() -> None:
    first, second = ScriptedBrain("first"), ScriptedBrain("second")
    answer = asyncio.ensure_future(said(HedgedLLM(first, second, HedgePolicy(AT_ONCE))))
    await second.was_asked.wait()

    answer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await answer
    assert first.closed == second.closed == 1
