"""Which calls are expected, from the state of the conversation, from past calls, and from what the caller says."""

import logging
from collections.abc import Sequence
from typing import Any, Literal

import pytest

from repartee import Agent, CallContext, ToolCall
from repartee.agent.agent import worker_side
from repartee.agent.predictions import Predictor, holds, words_of
from repartee.agent.prefetch import Prefetch

Day = Literal["today", "monday", "thursday"]


def predictor(
    predictions: Any, metadata: dict[str, Any] | None = None, learnt: dict[str, Sequence[str]] | None = None
) -> tuple[Predictor, CallContext]:
    agent = Agent("Hi.", predictions=predictions)

    @agent.tool(read_only=True)
    async def lookup(phone: str) -> None:
        """Look up."""

    @agent.tool(read_only=True)
    async def balance(customer_id: str, account: Literal["checking", "savings"] = "checking") -> None:
        """Get the balance."""

    @agent.tool(read_only=True)
    async def times(day: Day) -> None:
        """See times."""

    @agent.tool(read_only=True)
    async def hours() -> None:
        """Opening hours."""

    @agent.tool
    async def book(day: str) -> None:
        """Book."""

    context = worker_side(agent).new_call("1", metadata)
    signatures = {name: tool.signature for name, tool in worker_side(agent).tools.items() if tool.read_only}
    learnt = learnt or {}
    return Predictor(
        worker_side(agent).rules, signatures, context, lambda state: learnt.get(state, ())
    ), context


def keys(prefetches: Sequence[Prefetch]) -> list[tuple[str, str]]:
    return [prefetch.key for prefetch in prefetches]


def test_arguments_come_from_the_callers_metadata() -> None:
    known, _ = predictor({"greeting": "lookup"}, {"phone": "+1"})
    assert known.enter("greeting") == [Prefetch(("lookup", '{"phone":"+1"}'), "state")]
    unknown, _ = predictor({"greeting": "lookup"}, {"name": "Anna"})
    assert unknown.enter("greeting") == []


def test_a_fact_that_does_not_fit_is_not_used() -> None:
    wrong, _ = predictor({"greeting": "lookup"}, {"phone": 15550100})
    assert wrong.enter("greeting") == []


def test_what_lacks_an_argument_is_tried_again_when_it_is_known() -> None:
    calls, context = predictor({"greeting": ["hours", "balance"]})
    assert keys(calls.enter("greeting")) == [("hours", "{}"), ("balance", "")][:1]
    calls.settle(("hours", "{}"))
    context.learn({"customer_id": "C-1"})
    assert keys(calls.reconsider()) == [("balance", '{"account":"checking","customer_id":"C-1"}')]


def test_words_of_the_caller_before_the_turn_has_ended() -> None:
    calls, _ = predictor({("appointment", "come in"): "times", "savings": "hours"})
    assert calls.hear(1, "I would like an") == []
    assert calls.hear(1, "I would like an appointment") == []
    assert calls.hear(1, "I would like an appointment on Thursday,") == [
        Prefetch(("times", '{"day":"thursday"}'), "words")
    ]
    assert keys(calls.hear(2, "Can I come in today or -- no, Monday?")) == [("times", '{"day":"monday"}')]
    assert calls.hear(3, "I come from Inverness on a Monday") == []


def test_the_same_is_told_once_a_turn() -> None:
    calls, _ = predictor({"hours": "hours"})
    [first] = calls.hear(1, "your hours")
    calls.settle(first.key)
    assert calls.hear(1, "your hours please") == []
    assert keys(calls.hear(2, "your hours")) == [("hours", "{}")]


def test_a_choice_that_is_said_replaces_the_default() -> None:
    calls, _ = predictor({"balance": "balance"}, {"customer_id": "C-1"})
    assert keys(calls.hear(1, "the balance of my savings")) == [
        ("balance", '{"account":"savings","customer_id":"C-1"}')
    ]


def test_a_tools_answer_is_a_state() -> None:
    calls, _ = predictor({"greeting": "hours", "lookup": "balance"}, {"customer_id": "C-1"})
    assert keys(calls.enter("greeting")) == [("hours", "{}")]
    assert keys(calls.enter("lookup")) == [("balance", '{"account":"checking","customer_id":"C-1"}')]


def test_a_prediction_may_give_arguments_or_be_a_function() -> None:
    def from_words(ctx: CallContext, text: str) -> ToolCall | None:
        return ToolCall("balance", {"customer_id": ctx.metadata["vip"]}) if "money" in text else None

    calls, _ = predictor(
        {"greeting": [ToolCall("times", {"day": "monday"}), from_words]}, {"vip": "C-9", "phone": "+1"}
    )
    assert keys(calls.enter("greeting")) == [("times", '{"day":"monday"}')]
    calls.settle(("times", '{"day":"monday"}'))
    assert keys(calls.hear(1, "my money")) == [("balance", '{"account":"checking","customer_id":"C-9"}')]


def test_a_function_that_fails_is_not_asked_again(caplog: pytest.LogCaptureFixture) -> None:
    asked = []

    def fails(ctx: CallContext, text: str) -> ToolCall | None:
        asked.append(text)
        raise KeyError("secret")

    with caplog.at_level(logging.WARNING):
        calls, _ = predictor({"hello": fails})
        assert calls.hear(1, "hello") == []
        assert calls.hear(2, "hello again") == []
    assert asked == ["hello"]
    assert "KeyError" in caplog.text
    assert "secret" not in caplog.text


def test_a_function_cannot_predict_what_changes_something() -> None:
    calls, _ = predictor({"hello": lambda ctx, text: ToolCall("book", {"day": "monday"})})
    assert calls.hear(1, "hello") == []


def test_past_calls_add_to_the_map() -> None:
    calls, _ = predictor(
        {"greeting": "hours"}, {"phone": "+1"}, {"greeting": ["lookup", "hours", "gone", "book"]}
    )
    assert calls.enter("greeting") == [
        Prefetch(("hours", "{}"), "state"),
        Prefetch(("lookup", '{"phone":"+1"}'), "learnt"),
    ]


def test_phrases_are_whole_words_and_plurals() -> None:
    words = words_of("What's on my ACCOUNTS, the café one?")
    assert words == ("what's", "on", "my", "accounts", "the", "café", "one")
    assert holds(words, ("account",)) == 3
    assert holds(words, ("my", "account")) == 2
    assert holds(words, ("count",)) is None
    assert holds(words, ()) is None
    assert holds((), ("account",)) is None
    assert holds(("a", "b", "a"), ("a",)) == 2
