"""Several language models as one: who is asked, who is listened to, and what the caller hears of it. Virtual time."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any

import pytest
from tests.regional.providers.lineups import FallbackBrain, Noted, fault, lineup_of
from tests.regional.session.virtual_time import now, run

from repartee.errors import PoolTimeout, ProviderError
from repartee.latency.breaker import BreakerState
from repartee.latency.extra_requests import ExtraRequests
from repartee.providers.continuing import GO_ON
from repartee.providers.fallback_llm import FallbackLLM
from repartee.providers.interfaces import LLM, CalledTool, ReplyPart, ReplyRequest, TextDelta
from repartee.providers.lineup import Lineup

REQUEST = ReplyRequest(messages=[{"role": "user", "content": "Hello?"}])
BUSY_S = 0.5


def on_virtual_time(
    play: Callable[..., Coroutine[Any, Any, None]],
) -> Callable[..., None]:
    @wraps(play)
    def test(*args: Any, **named: Any) -> None:
        run(play(*args, **named))

    return test


class Asked:
    """A reply of these models, and what became of it."""

    def __init__(self, *models: FallbackBrain) -> None:
        self.notes = Noted()
        self.lineup: Lineup[LLM] = lineup_of("llm", models)
        self.llm = FallbackLLM(self.lineup).for_call(self.notes)

    async def said(self, request: ReplyRequest = REQUEST) -> str:
        parts = await self.parts(request)
        return "".join(part.text for part in parts if isinstance(part, TextDelta))

    async def parts(self, request: ReplyRequest = REQUEST) -> list[ReplyPart]:
        return [part async for part in self.llm.reply(request)]

    def state(self, place: int) -> BreakerState:
        return self.lineup.standings[place].breaker.state(0.0)


@on_virtual_time
async def test_the_first_is_asked_alone_while_it_is_prompt() -> None:
    first, second = FallbackBrain(0.69, "Good ", "day."), FallbackBrain("Hm.")
    asked = Asked(first, second)
    assert await asked.said() == "Good day."
    assert (len(first.asked), len(second.asked)) == (1, 0)
    assert asked.notes.who == ["a"] and not asked.notes.whom


@pytest.mark.parametrize(
    "failure",
    [
        fault(status=503),
        fault(status=401, retryable=False),
        fault(status=400, retryable=False),
        fault(status=429, retry_after_s=30.0),
        fault(status=429, retry_after_s=3.0),
        fault(status=429),
        fault(),
        PoolTimeout("no connection"),
    ],
    ids=["503", "401", "400", "429-long", "429-later-than-its-deadline", "429-bare", "closed", "pool"],
)
@on_virtual_time
async def test_one_that_fails_is_followed_at_once(failure: ProviderError | PoolTimeout) -> None:
    first, second = FallbackBrain(failure), FallbackBrain(0.1, "Good day.")
    asked = Asked(first, second)
    began = now()
    assert await asked.said() == "Good day."
    assert now() - began < 0.2
    assert (asked.notes.whom, asked.notes.who) == (["a"], ["b"])


@on_virtual_time
async def test_a_busy_one_is_asked_again_if_that_is_before_its_deadline() -> None:
    class Busy(FallbackBrain):
        async def reply(self, request: ReplyRequest) -> Any:
            self.asked.append(request)
            if len(self.asked) == 1:
                raise fault(status=429, retry_after_s=BUSY_S)
            yield TextDelta("Here I am.")

    first, second = Busy(), FallbackBrain("Hm.")
    asked = Asked(first, second)
    began = now()
    assert await asked.said() == "Here I am."
    assert now() - began == pytest.approx(BUSY_S)
    assert not second.asked and asked.state(0) is BreakerState.CLOSED


@on_virtual_time
async def test_one_that_stalls_is_overtaken_within_its_deadline_and_its_request_is_ended() -> None:
    first, second = FallbackBrain(60.0, "Late."), FallbackBrain(0.1, "Good ", 0.1, "day.")
    asked = Asked(first, second)
    began = now()
    assert await asked.said() == "Good day."
    assert now() - began == pytest.approx(0.9)
    assert first.closed == 1
    assert (asked.notes.whom, asked.notes.who) == (["a"], ["b"])


@on_virtual_time
async def test_the_first_word_wins_whosever_it_is() -> None:
    first, second = FallbackBrain(0.75, "Just ", 0.5, "so."), FallbackBrain(0.3, "Hm.")
    asked = Asked(first, second)
    assert await asked.said() == "Just so."
    assert second.closed == 1
    assert asked.notes.who == ["a"]


@on_virtual_time
async def test_three_that_stall_are_each_overtaken() -> None:
    models = [FallbackBrain(60.0) for _ in range(3)]
    asked = Asked(*models, FallbackBrain("At last."))
    began = now()
    assert await asked.said() == "At last."
    assert now() - began == pytest.approx(3 * 0.7)


@pytest.mark.parametrize("left", [0, 1, 2])
@on_virtual_time
async def test_a_turns_budget_bounds_whom_it_asks(left: int) -> None:
    models = [FallbackBrain(1.0 + place, "Hm.") for place in range(4)]
    counted: list[str] = []
    request = ReplyRequest(REQUEST.messages, extra=ExtraRequests(left, counted.append))
    assert await Asked(*models).said(request) == "Hm."
    assert sum(len(model.asked) for model in models) == min(1 + left, 2)  # the first answers after 1 s
    assert counted == ["vendor"] * min(left, 1)


@on_virtual_time
async def test_without_a_budget_a_failure_is_the_callers() -> None:
    request = ReplyRequest(REQUEST.messages, extra=ExtraRequests(0))
    with pytest.raises(ProviderError, match="gone"):
        await Asked(FallbackBrain(fault()), FallbackBrain("Hm.")).said(request)


@on_virtual_time
async def test_when_all_fail_the_soonest_wish_to_be_asked_again_is_told() -> None:
    asked = Asked(
        FallbackBrain(fault(status=429, retry_after_s=9.0)),
        FallbackBrain(fault(status=429, retry_after_s=4.0)),
    )
    with pytest.raises(ProviderError) as caught:
        await asked.said()
    assert (caught.value.retryable, caught.value.retry_after_s) == (True, 4.0)


@on_virtual_time
async def test_one_that_breaks_off_is_gone_on_with() -> None:
    first, second = FallbackBrain("We are open ", "from nine", fault()), FallbackBrain("to ", "six.")
    asked = Asked(first, second)
    assert await asked.said() == "We are open from nine to six."
    assert [message["content"] for message in second.asked[0].messages] == [
        "Hello?",
        "We are open from nine",
        GO_ON,
    ]
    assert (asked.notes.whom, asked.notes.who) == (["a"], ["a", "b"])


@on_virtual_time
async def test_one_that_begins_anew_says_nothing_twice() -> None:
    first = FallbackBrain("We are open ", "from nine", fault())
    second = FallbackBrain("We are open from nine to six.")
    assert await Asked(first, second).said() == "We are open from nine to six."


@on_virtual_time
async def test_each_may_break_off() -> None:
    models = FallbackBrain("One, ", fault()), FallbackBrain("two, ", fault()), FallbackBrain("three.")
    assert await Asked(*models).said() == "One, two, three."


@on_virtual_time
async def test_a_tool_that_was_called_is_not_called_again() -> None:
    called = CalledTool("1", "book", "{}")
    first, second = FallbackBrain("A moment. ", called, fault()), FallbackBrain("Hm.")
    with pytest.raises(ProviderError) as caught:
        await Asked(first, second).parts()
    assert not second.asked and not caught.value.retryable


@on_virtual_time
async def test_a_fault_after_the_last_vendor_is_no_wish_for_another_try() -> None:
    with pytest.raises(ProviderError) as caught:
        await Asked(FallbackBrain("One", fault()), FallbackBrain(fault())).said()
    assert not caught.value.retryable


@on_virtual_time
async def test_one_that_keeps_failing_is_no_longer_asked_first() -> None:
    first, second = FallbackBrain(fault(status=503)), FallbackBrain("Good day.")
    asked = Asked(first, second)
    for _ in range(5):
        assert await asked.said() == "Good day."
    assert (len(first.asked), len(second.asked)) == (3, 5)


@on_virtual_time
async def test_a_bad_request_is_not_the_vendors_fault() -> None:
    first = FallbackBrain(fault(status=400, retryable=False))
    asked = Asked(first, FallbackBrain("Good day."))
    for _ in range(5):
        await asked.said()
    assert len(first.asked) == 5


@on_virtual_time
async def test_a_caller_who_interrupts_ends_all_requests() -> None:
    models = FallbackBrain(60.0, "a"), FallbackBrain(60.0, "b")
    asking = asyncio.ensure_future(Asked(*models).said())
    await asyncio.sleep(1.0)
    asking.cancel()
    await asyncio.wait([asking])
    assert [model.closed for model in models] == [1, 1]
