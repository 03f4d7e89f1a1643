"""One call's tools: what is run, what is answered without running, and what the model is told."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Literal

import pytest

from repartee import Agent, CallContext, Limits, ToolError
from repartee.agent.experience import Experience
from repartee.agent.prefetch import PrefetchPolicy
from repartee.agent.toolbox import Run, Toolbox


class Desk:
    """An agent whose tools wait until the test lets them go on, and what they did."""

    def __init__(self, **options: Any) -> None:
        self.began: list[str] = []
        self.waiting: dict[str, asyncio.Future[Any]] = {}
        self.now = 0.0
        self.agent = Agent("Hi.", **options)
        self.experience = Experience()
        agent = self.agent

        @agent.tool(read_only=True)
        async def lookup(ctx: CallContext) -> Any:
            """Look up."""
            result = await self._work("lookup")
            ctx.state["customer"] = result["customer_id"]
            ctx.say("Found.")
            return result

        @agent.tool(read_only=True)
        async def balance(customer_id: str, account: Literal["checking", "savings"] = "checking") -> Any:
            """Get the balance."""
            return await self._work(f"balance {customer_id} {account}")

        @agent.tool
        async def book(day: str) -> Any:
            """Book."""
            return await self._work(f"book {day}")

        @agent.tool(repeatable=True)
        async def ring() -> Any:
            """Ring."""
            return await self._work("ring")

    async def _work(self, what: str) -> Any:
        self.began.append(what)
        self.waiting[what] = asyncio.get_running_loop().create_future()
        return await self.waiting[what]

    def toolbox(self, policy: PrefetchPolicy | None = None) -> Toolbox:
        self.said: list[str] = []
        self.context = self.agent.new_call("c1", {"phone": "+1"}, say=self.said.append)
        return Toolbox(
            self.agent, self.context, self.experience, policy, clock=lambda: self.now, wall_clock=lambda: 0.0
        )

    def answer(self, what: str, result: Any) -> None:
        waiting = self.waiting[what]
        if isinstance(result, BaseException):
            waiting.set_exception(result)
        else:
            waiting.set_result(result)


async def settle() -> None:
    """Let everything run that can."""
    for _ in range(10):
        await asyncio.sleep(0)


def running(awaitable: Awaitable[Any]) -> asyncio.Task[Any]:
    async def wait() -> Any:
        return await awaitable

    return asyncio.create_task(wait())


async def run_with(function: Callable[..., Any], arguments: str = "{}", **options: Any) -> Any:
    """Run one tool of an agent that has only this one; what the model is told."""
    agent = Agent("Hi.", limits=Limits(result_chars=60))
    agent.tool(name="tool", **options)(function)
    return json.loads(await Toolbox(agent, agent.new_call("c1")).run(1, "call_1", "tool", arguments))


# --- one tool -----------------------------------------------------------------------------------------------------


async def test_results_are_json() -> None:
    async def several() -> dict[str, Any]:
        """Several."""
        from datetime import date

        return {"day": date(2026, 11, 22), "sizes": {3}, "nothing": None}

    async def text() -> str:
        """Text."""
        return "café"

    async def nothing() -> None:
        """Nothing."""

    assert await run_with(several) == {"day": "2026-11-22", "sizes": [3], "nothing": None}
    assert await run_with(text) == "café"
    assert await run_with(nothing) == {"status": "done"}


async def test_a_long_result_is_cut_and_that_is_said() -> None:
    async def long() -> str:
        """Long."""
        return "word " * 1000

    told = await run_with(long)
    assert (told["truncated"], told["length"], len(told["beginning"])) == (True, 5002, 60)


async def test_what_goes_wrong_is_told_and_logged_without_values(caplog: pytest.LogCaptureFixture) -> None:
    async def fails(day: str) -> None:
        """Fail."""
        raise ValueError(f"no such day: {day}")

    async def leaves() -> None:
        """Leave."""
        raise SystemExit(3)

    async def odd() -> object:
        """Odd."""
        return object()

    async def gives_up() -> None:
        """Give up."""
        raise asyncio.CancelledError

    async def own_timeout() -> None:
        """Time out."""
        raise TimeoutError("mine")

    caplog.set_level(logging.INFO)
    said = await run_with(fails, '{"day": "secret"}')
    assert said == {
        "error": "The tool failed. Whether it took effect is not known. Apologise; do not guess the result."
    }
    assert await run_with(fails, '{"day": "secret"}', read_only=True) == {
        "error": "The tool failed. Apologise; do not guess the result."
    }
    assert "The tool failed" in (await run_with(leaves))["error"]
    assert "cannot be read" in (await run_with(odd))["error"]
    assert "The tool failed" in (await run_with(gives_up))["error"]
    assert "The tool failed" in (await run_with(own_timeout))["error"]
    assert "Tool tool failed in call c1: ValueError at " in caplog.text
    assert "test_toolbox.py:" in caplog.text
    assert "secret" not in caplog.text


async def test_a_tool_that_hangs_is_given_up() -> None:
    async def hangs() -> None:
        """Hang."""
        await asyncio.Event().wait()

    said = await run_with(hangs, timeout_s=0.001)
    assert "did not answer within 0.001 s. Whether it took effect is not known." in said["error"]


async def test_wrong_calls_are_refused_in_words_and_run_nothing() -> None:
    desk = Desk()
    toolbox = desk.toolbox()
    told = [
        json.loads(await toolbox.run(turn, str(turn), name, arguments))["error"]
        for turn, (name, arguments) in enumerate(
            [("nope", "{}"), ("book", '{"dya": 1}'), ("book", "{"), ("book", '"' + "x" * 20_000 + '"')]
        )
    ]
    assert told[0] == "There is no tool 'nope'. The tools are: lookup, balance, book, ring."
    assert told[1].startswith("The arguments are wrong: day: Field required; dya: Extra inputs")
    assert "Invalid JSON" in told[2]
    assert told[3] == "The arguments are too long."
    assert desk.began == []
    assert toolbox.ran("1") == Run("book", 1, ok=False)
    assert toolbox.answered("1") == ()


async def test_a_model_that_calls_in_circles_is_stopped() -> None:
    desk = Desk(limits=Limits(tool_calls_per_turn=2))
    toolbox = desk.toolbox()
    errors = [json.loads(await toolbox.run(7, str(n), "book", "{}"))["error"] for n in range(3)]
    assert errors[1].startswith("The arguments are wrong")
    assert errors[2] == "Too many tool calls. Answer the caller with what is known."
    assert "arguments are wrong" in await toolbox.run(8, "3", "book", "{}")


# --- what changes something ---------------------------------------------------------------------------------------


async def test_the_same_booking_is_made_once_and_answered_with_the_first_result() -> None:
    desk = Desk()
    toolbox = desk.toolbox()
    first = running(toolbox.run(1, "1", "book", '{"day": "monday"}'))
    second = running(toolbox.run(1, "2", "book", '{ "day":"monday" }'))
    other = running(toolbox.run(1, "3", "book", '{"day": "friday"}'))
    await settle()
    assert desk.began == ["book monday", "book friday"]
    desk.answer("book monday", {"at": "ten"})
    desk.answer("book friday", None)
    assert await first == await second == '{"at":"ten"}'
    assert await other == '{"status":"done"}'
    assert await toolbox.run(2, "4", "book", '{"day": "monday"}') == '{"at":"ten"}'
    assert desk.began == ["book monday", "book friday"]


async def test_a_repeatable_tool_is_repeated() -> None:
    desk = Desk()
    toolbox = desk.toolbox()
    for call_id in "12":
        task = running(toolbox.run(1, call_id, "ring", "{}"))
        await settle()
        desk.answer("ring", None)
        await task
    assert desk.began == ["ring", "ring"]


async def test_a_failed_booking_is_not_repeated_unless_nothing_was_done() -> None:
    desk = Desk()
    toolbox = desk.toolbox()
    for day, error in [("monday", ToolError("Closed.")), ("friday", ToolError("Taken.", retry=True))]:
        task = running(toolbox.run(1, day, "book", f'{{"day": "{day}"}}'))
        await settle()
        desk.answer(f"book {day}", error)
        assert json.loads(await task) == {"error": str(error)}
    assert await toolbox.run(2, "3", "book", '{"day": "monday"}') == '{"error":"Closed."}'
    again = running(toolbox.run(2, "4", "book", '{"day": "friday"}'))
    await settle()
    assert desk.began == ["book monday", "book friday", "book friday"]
    desk.answer("book friday", "booked")
    assert await again == '"booked"'


async def test_a_booking_cut_off_by_cancellation_is_not_repeated_either() -> None:
    desk = Desk()
    toolbox = desk.toolbox()
    first = running(toolbox.run(1, "1", "book", '{"day": "monday"}'))
    second = running(toolbox.run(1, "2", "book", '{"day": "monday"}'))
    await settle()
    first.cancel()
    assert "Whether it took effect is not known" in await second
    assert "Whether it took effect is not known" in await toolbox.run(1, "3", "book", '{"day": "monday"}')
    assert desk.began == ["book monday"]
    assert toolbox.must_finish("book")
    assert not toolbox.must_finish("lookup")
    assert not toolbox.must_finish("nope")


# --- on a guess ---------------------------------------------------------------------------------------------------


async def test_a_predicted_call_answers_at_once_and_counts_only_then() -> None:
    desk = Desk(predictions={"greeting": "lookup"})
    toolbox = desk.toolbox()
    [predicted] = toolbox.call_started()
    guess = running(toolbox.prefetch(predicted))
    await settle()
    desk.now = 0.8
    desk.answer("lookup", {"customer_id": "C-1"})
    await guess
    assert desk.context.state == {}
    assert desk.context.known["customer_id"] == "C-1"
    asked = toolbox.run(1, "1", "lookup", "{}")
    with pytest.raises(StopIteration):  # it never waits
        asked.send(None)
    assert desk.context.state == {"customer": "C-1"}
    assert desk.said == []
    assert desk.began == ["lookup"]
    run = toolbox.ran("1")
    assert run is not None
    assert (run.prefetch, run.waited_ms, run.saved_ms) == ("hit", 0.0, 800.0)
    assert toolbox.prefetched(1) == "hit"
    assert toolbox.prefetched(2) is None
    assert toolbox.expected_ms("lookup") == 800.0


async def test_a_result_used_twice_is_applied_once() -> None:
    desk = Desk(predictions={"greeting": "lookup"})
    toolbox = desk.toolbox()
    guess = running(toolbox.prefetch(toolbox.call_started()[0]))
    await settle()
    desk.answer("lookup", {"customer_id": "C-1"})
    await guess
    await toolbox.run(1, "1", "lookup", "{}")
    desk.context.state["customer"] = "changed since"
    await toolbox.run(1, "2", "lookup", "{}")
    assert desk.context.state == {"customer": "changed since"}


async def test_a_result_is_not_used_after_30_s() -> None:
    desk = Desk(predictions={"greeting": "lookup"})
    toolbox = desk.toolbox()
    guess = running(toolbox.prefetch(toolbox.call_started()[0]))
    await settle()
    desk.answer("lookup", {"customer_id": "C-1"})
    await guess
    desk.now = 31.0
    late = running(toolbox.run(1, "1", "lookup", "{}"))
    await settle()
    desk.answer("lookup", {"customer_id": "C-2"})
    assert json.loads(await late) == {"customer_id": "C-2"}
    run = toolbox.ran("1")
    assert run is not None
    assert run.prefetch == "miss"
    assert toolbox.prefetched(1) == "miss"
    assert (toolbox.figures.wasted, toolbox.figures.misses, toolbox.figures.hits) == (1, 1, 0)


async def test_a_real_call_waits_for_the_guess_and_lifts_its_limit() -> None:
    desk = Desk(predictions={"greeting": "lookup"})
    toolbox = desk.toolbox(PrefetchPolicy(limit_s=0.01))
    guess = running(toolbox.prefetch(toolbox.call_started()[0]))
    await asyncio.sleep(0)
    desk.now = 0.5
    real = running(toolbox.run(1, "1", "lookup", "{}"))
    await asyncio.sleep(0.03)  # past the guess's limit, which does not count any more
    desk.now = 0.8
    desk.answer("lookup", {"customer_id": "C-1"})
    assert json.loads(await real) == {"customer_id": "C-1"}
    await guess
    assert desk.began == ["lookup"]
    run = toolbox.ran("1")
    assert run is not None
    assert (run.prefetch, round(run.waited_ms), round(run.saved_ms)) == ("hit", 300, 500)
    assert desk.context.state == {"customer": "C-1"}


async def test_a_guess_past_its_limit_is_given_up_and_the_real_call_is_run() -> None:
    desk = Desk(predictions={"greeting": "lookup"})
    toolbox = desk.toolbox(PrefetchPolicy(limit_s=0.001))
    await toolbox.prefetch(toolbox.call_started()[0])
    assert toolbox.figures.failed == 1
    real = running(toolbox.run(1, "1", "lookup", "{}"))
    await settle()
    desk.answer("lookup", {"customer_id": "C-1"})
    assert json.loads(await real) == {"customer_id": "C-1"}
    assert desk.began == ["lookup", "lookup"]


async def test_a_guess_that_fails_is_not_the_callers_business() -> None:
    desk = Desk(predictions={"greeting": "lookup"})
    toolbox = desk.toolbox()
    guess = running(toolbox.prefetch(toolbox.call_started()[0]))
    await settle()
    desk.answer("lookup", RuntimeError("down"))
    await guess
    real = running(toolbox.run(1, "1", "lookup", "{}"))
    await settle()
    desk.answer("lookup", {"customer_id": "C-1"})
    assert json.loads(await real) == {"customer_id": "C-1"}


async def test_what_a_guess_finds_makes_the_next_possible() -> None:
    desk = Desk(predictions={"greeting": ["lookup", "balance"]})
    toolbox = desk.toolbox()
    [predicted] = toolbox.call_started()
    guess = running(toolbox.prefetch(predicted))
    await settle()
    desk.answer("lookup", {"customer_id": "C-1"})
    await settle()
    assert desk.began == ["lookup", "balance C-1 checking"]
    desk.answer("balance C-1 checking", 1240)
    await guess
    assert await toolbox.run(1, "1", "balance", '{"customer_id": "C-1"}') == "1240"


async def test_what_the_client_tells_of_the_caller_predicts_too() -> None:
    desk = Desk(predictions={"greeting": "balance"})
    toolbox = desk.toolbox()
    assert toolbox.call_started() == []
    [predicted] = toolbox.told({"customer_id": "C-1"})
    assert predicted.key == ("balance", '{"account":"checking","customer_id":"C-1"}')
    assert desk.context.metadata == {"phone": "+1", "customer_id": "C-1"}


async def test_words_and_answers_and_speculative_replies_predict() -> None:
    desk = Desk(predictions={"savings": "balance", "lookup": "balance"})
    toolbox = desk.toolbox()
    assert toolbox.call_started() == []
    assert toolbox.heard(1, "my savings") == []
    asked = toolbox.asked("lookup", "{}")
    assert [p.source for p in asked] == ["model"]
    guess = running(toolbox.prefetch(asked[0]))
    await settle()
    desk.answer("lookup", {"customer_id": "C-1"})
    await settle()
    assert desk.began == ["lookup", "balance C-1 savings"]
    desk.answer("balance C-1 savings", 1)
    await guess
    assert toolbox.answered("1") == ()
    await toolbox.run(1, "1", "lookup", "{}")
    assert toolbox.heard(2, "and") == []
    [followed] = toolbox.answered("1")
    assert followed.key == ("balance", '{"account":"checking","customer_id":"C-1"}')
    assert toolbox.asked("book", '{"day": "monday"}') == ()
    assert toolbox.asked("balance", "{}") == ()
    assert toolbox.asked("nope", "{}") == ()
    guess = running(toolbox.prefetch(followed))
    await settle()
    guess.cancel()


async def test_a_change_makes_what_was_read_before_void() -> None:
    desk = Desk(predictions={"greeting": "lookup", "hours": "lookup"})
    toolbox = desk.toolbox()
    guess = running(toolbox.prefetch(toolbox.call_started()[0]))
    await settle()
    desk.answer("lookup", {"customer_id": "old"})
    await guess
    booking = running(toolbox.run(1, "1", "book", '{"day": "monday"}'))
    await settle()
    assert toolbox.heard(1, "your hours") == []  # it would read what is about to change
    desk.answer("book monday", None)
    await booking
    real = running(toolbox.run(1, "2", "lookup", "{}"))
    await settle()
    desk.answer("lookup", {"customer_id": "new"})
    assert json.loads(await real) == {"customer_id": "new"}


async def test_a_guess_from_before_a_change_does_not_answer_for_one_after_it() -> None:
    desk = Desk(predictions={"greeting": "lookup", "hours": "lookup"})
    toolbox = desk.toolbox()
    old = running(toolbox.prefetch(toolbox.call_started()[0]))
    await settle()
    waiting = desk.waiting["lookup"]
    ring = running(toolbox.run(1, "1", "ring", "{}"))
    await settle()
    desk.answer("ring", None)
    await ring
    [again] = toolbox.heard(2, "your hours")
    new = running(toolbox.prefetch(again))
    await settle()
    waiting.set_result({"customer_id": "old"})
    await old
    real = running(toolbox.run(2, "2", "lookup", "{}"))
    await settle()
    desk.answer("lookup", {"customer_id": "new"})
    assert json.loads(await real) == {"customer_id": "new"}
    await new


async def test_a_guess_that_fails_while_the_real_call_waits_is_the_real_calls_failure() -> None:
    desk = Desk(predictions={"greeting": "lookup"})
    toolbox = desk.toolbox()
    guess = running(toolbox.prefetch(toolbox.call_started()[0]))
    await settle()
    real = running(toolbox.run(1, "1", "lookup", "{}"))
    await settle()
    desk.answer("lookup", RuntimeError("down"))
    assert "The tool failed" in json.loads(await real)["error"]
    assert desk.began == ["lookup"]
    await guess


async def test_a_guess_that_begins_after_the_real_call_is_not_run() -> None:
    desk = Desk(predictions={"greeting": "lookup"})
    toolbox = desk.toolbox()
    [predicted] = toolbox.call_started()
    real = running(toolbox.run(1, "1", "lookup", "{}"))
    await settle()
    await toolbox.prefetch(predicted)
    desk.answer("lookup", {"customer_id": "C-1"})
    await real
    assert desk.began == ["lookup"]
    assert toolbox.figures.started == 0


async def test_a_read_that_began_before_a_change_is_not_shared_after_it() -> None:
    desk = Desk()
    toolbox = desk.toolbox()
    before = running(toolbox.run(1, "1", "lookup", "{}"))
    await settle()
    waiting = desk.waiting["lookup"]
    ring = running(toolbox.run(1, "2", "ring", "{}"))
    await settle()
    desk.answer("ring", None)
    await ring
    after = running(toolbox.run(2, "3", "lookup", "{}"))
    await settle()
    desk.answer("lookup", {"customer_id": "new"})
    waiting.set_result({"customer_id": "old"})
    assert json.loads(await before)["customer_id"] == "old"
    assert json.loads(await after)["customer_id"] == "new"


async def test_two_reads_at_the_same_time_are_one() -> None:
    desk = Desk()
    toolbox = desk.toolbox()
    first = running(toolbox.run(1, "1", "lookup", "{}"))
    second = running(toolbox.run(1, "2", "lookup", "{}"))
    await settle()
    assert desk.began == ["lookup"]
    first.cancel()
    await settle()
    assert desk.began == ["lookup", "lookup"]
    desk.answer("lookup", {"customer_id": "C-1"})
    assert json.loads(await second) == {"customer_id": "C-1"}
    assert repr(toolbox) == "<Toolbox c1: 0 running, <PrefetchCache: empty>>"


async def test_prefetching_can_be_switched_off() -> None:
    desk = Desk(predictions={"greeting": "lookup"})
    toolbox = desk.toolbox(PrefetchPolicy(per_call=0))
    assert toolbox.call_started() == []
    real = running(toolbox.run(1, "1", "lookup", "{}"))
    await settle()
    desk.answer("lookup", {"customer_id": "C-1"})
    await real
    run = toolbox.ran("1")
    assert run is not None
    assert run.prefetch is None


async def test_calls_teach_what_follows() -> None:
    desk = Desk()
    for _ in range(3):
        toolbox = desk.toolbox()
        assert toolbox.call_started() == []
        task = running(toolbox.run(1, "1", "lookup", "{}"))
        await settle()
        desk.answer("lookup", {"customer_id": "C-1"})
        await task
        toolbox.answered("1")
        assert toolbox.close() == [("greeting", "lookup"), ("lookup", "")]
    toolbox = desk.toolbox()
    assert [p.source for p in toolbox.call_started()] == ["learnt"]
    desk.agent.learn = False
    toolbox = desk.toolbox()
    assert toolbox.call_started() == []
    assert toolbox.close() == ()
