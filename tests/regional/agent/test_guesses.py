"""One call's tools run on a guess: when that answers the real call, when not, and what it costs."""

import asyncio
import json

import pytest
from tests.regional.agent.desk import Desk, running, settle

from repartee.agent.prefetch import PrefetchPolicy
from repartee.turn.foresight import Foreseen


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


async def test_what_the_words_ask_for_is_offered_before_the_model_asks() -> None:
    desk = Desk(predictions={"greeting": "lookup", "savings": "balance", "hours": "lookup"})
    toolbox = desk.toolbox()
    guess = running(toolbox.prefetch(toolbox.call_started()[0]))
    await settle()
    desk.answer("lookup", {"customer_id": "C-1"})
    await guess
    guess = running(toolbox.prefetch(toolbox.heard(1, "what is on my savings")[0]))
    await settle()
    assert toolbox.foreseen(1, "what is on my savings") == []
    desk.answer("balance C-1 savings", 8300)
    await guess
    assert toolbox.foreseen(1, "what else can you do") == []
    offered = [
        Foreseen("lookup", "{}", '{"customer_id":"C-1"}'),
        Foreseen("balance", '{"account":"savings","customer_id":"C-1"}', "8300"),
    ]
    assert toolbox.foreseen(1, "what is on my savings") == offered
    assert toolbox.foreseen(1, "what is on my savings") == offered
    assert (desk.context.state, toolbox.figures.hits) == ({}, 0)
    for result in offered:
        toolbox.used(1, result)
    assert (desk.context.state, toolbox.figures.hits) == ({"customer": "C-1"}, 2)
    assert toolbox.foreseen(2, "and my savings again") == []
    assert toolbox.close() == [("greeting", "lookup"), ("lookup", "balance"), ("balance", "")]
    assert desk.began == ["lookup", "balance C-1 savings"]


async def test_what_was_offered_is_not_after_a_change_or_half_a_minute() -> None:
    desk = Desk(predictions={"greeting": "lookup", "who": "lookup"})
    toolbox = desk.toolbox()
    guess = running(toolbox.prefetch(toolbox.call_started()[0]))
    await settle()
    desk.answer("lookup", {"customer_id": "C-1"})
    await guess
    [offered] = toolbox.foreseen(1, "who am i")
    desk.now = 31.0
    assert toolbox.foreseen(1, "who am i") == []
    toolbox.used(1, offered)
    assert desk.context.state == {"customer": "C-1"}
    toolbox.used(1, offered)
    assert toolbox.close() == [("greeting", "lookup"), ("lookup", "")]
