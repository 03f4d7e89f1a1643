"""One short call, over a real socket."""

import pytest
from tests.promptness import measured
from tests.regional.client.scripted_region import Script, running

from repartee.bench.short_call import CallerHabits, short_call


async def test_everything_in_it_is_timed() -> None:
    machine = measured()
    async with running(Script(quiet_ms=200, answer_ms=[200], greeting="Hello there")) as url:
        called = await short_call(CallerHabits(url, greeted=True, api_key="dev"))
    assert called.fault is None
    assert called.ready_ms is not None and called.ready_ms > 0
    assert called.greeting_ms is not None
    assert called.answer_ms is not None and called.answer_ms > 150
    in_time = called.ready_ms < 2000 and called.greeting_ms < 1000 and called.answer_ms < 1000
    machine.promise(in_time, f"it took long: {called}")


@pytest.mark.parametrize("binary", [True, False])
async def test_a_question_sent_at_once_has_an_answer_but_no_latency(binary: bool) -> None:
    async with running(Script(quiet_ms=200, answer_ms=[200])) as url:
        called = await short_call(CallerHabits(url, binary_audio=binary, burst=True, api_key="dev"))
    assert (called.fault, called.answer_ms) == (None, None)


async def test_a_call_without_an_answer_says_so() -> None:
    async with running(Script(mute=True)) as url:
        called = await short_call(CallerHabits(url, burst=True, patience_s=0.3, api_key="dev"))
    assert called.fault == "The question was not answered."


async def test_a_greeting_that_does_not_come_is_told() -> None:
    async with running(Script()) as url:
        called = await short_call(CallerHabits(url, greeted=True, patience_s=0.3, api_key="dev"))
    assert called.fault == "The greeting was not heard."


async def test_a_hasty_caller_does_not_wait_for_the_answers_end() -> None:
    async with running(Script(answer_ms=[60_000], pace=1.0)) as url:
        called = await short_call(CallerHabits(url, burst=True, hasty=True, patience_s=2.0, api_key="dev"))
    assert called.fault is None


async def test_a_worker_that_is_full_is_told_in_words() -> None:
    async with running(Script(refuse_with=503)) as url:
        called = await short_call(CallerHabits(url, api_key="dev"))
    assert called.fault is not None and "no further call" in called.fault
