"""Exact traces of the turns that matter, each with its cause."""

from typing import Any

import msgspec
import pytest
from tests.regional.telemetry.samples import call_ended, turn_over

from repartee.latency.timeline import TurnTrace
from repartee.telemetry import events as t
from repartee.telemetry.turn_traces import MOST_SLOWEST, MOST_TRACES, TurnTraces

SHARED: Any = {"call_id": "call", "at_s": 1_000.0, "region": "here", "agent": "desk:agent"}
USUAL = {"end_of_turn": 150.0, "llm": 140.0, "tts": 100.0}


def turn(turn_id: int = 1, **stages: float) -> t.TurnOver:
    """A turn with these stages; those that are usual for the rest."""
    stages = {**USUAL, **stages}
    whole = sum(stages.values())
    kind: Any = "tool" if "tool" in stages else "plain"
    trace = TurnTrace(
        turn_id, 1, whole, stages, False, kind=kind, filler_ms=100.0 if kind == "tool" else None
    )
    over = turn_over("answered", whole, turn_id, kind=kind)
    return msgspec.structs.replace(over, trace=trace, audible_at_s=1_000.0 + whole / 1000)


def traces(*events: t.CallEvent, lag_ms: float = 0.0) -> TurnTraces:
    """After twenty usual turns and then these."""
    found = TurnTraces(lambda since, until: lag_ms)
    for number in range(20):
        found.export(turn(100 + number))
    for event in events:
        found.export(event)
    return found


def test_each_turn_over_budget_and_each_unanswered_one_is_found_by_its_id() -> None:
    found = traces(turn(1, llm=900.0), turn_over("unanswered", turn_id=2), turn(3))
    assert [kept.turn.turn_id for kept in found.latest(10)] == [2, 1]
    for turn_id in (1, 2):
        kept = found.find("call", turn_id)
        assert kept is not None and kept.turn.turn_id == turn_id
    assert found.find("call", 999) is None


def test_the_slowest_are_kept_whole_and_so_many_at_most() -> None:
    found = TurnTraces()
    for number in range(1, 3 * MOST_TRACES):
        found.export(turn(number, llm=float(number)))
    slowest = found.slowest()
    assert len(slowest) == MOST_SLOWEST
    assert [kept.turn.turn_id for kept in slowest[:3]] == [3 * MOST_TRACES - n for n in (1, 2, 3)]
    assert slowest[0].turn.trace is not None and slowest[0].turn.trace.stages_ms["tts"] == 100.0
    assert len(found.latest(10 * MOST_TRACES)) == MOST_TRACES


def test_a_vendors_tail_is_named_with_its_stage() -> None:
    kept = traces(turn(1, tts=400.0)).find("call", 1)
    assert kept is not None
    assert (kept.cause, kept.blamed, kept.vendor) == ("vendor_tail", "tts", "t")


def test_a_slow_tool_is_named() -> None:
    kept = traces(turn(1, tool=2_000.0)).find("call", 1)
    assert kept is not None and kept.cause == "tool"


def test_an_event_loop_that_was_late_is_named() -> None:
    kept = traces(turn(1, tts=400.0), lag_ms=80.0).find("call", 1)
    assert kept is not None and kept.cause == "event_loop"


@pytest.mark.parametrize("kind", ["hedge", "retry", "vendor"])
def test_a_model_that_was_asked_again_is_named(kind: Any) -> None:
    kept = traces(t.ExtraRequestMade(**SHARED, kind=kind), turn(1, llm=500.0)).find("call", 1)
    assert kept is not None
    assert (kept.cause, kept.vendor) == ("hedged", "l")


@pytest.mark.parametrize("outcome", ["resumed", "reworded"])
def test_a_guess_that_was_wrong_is_named(outcome: Any) -> None:
    event = t.SpeculationSettled(**SHARED, outcome=outcome)
    kept = traces(event, turn(1, hold=200.0)).find("call", 1)
    assert kept is not None and kept.cause == "speculation_missed"


def test_a_provider_that_failed_is_named_for_a_turn_without_an_answer() -> None:
    failed = t.ProviderFailed(**SHARED, stage="llm", provider="l", message="It is down.")
    kept = traces(failed, turn_over("unanswered", turn_id=1)).find("call", 1)
    assert kept is not None
    assert (kept.cause, kept.blamed, kept.vendor) == ("provider_failed", "llm", "l")


def test_what_was_noted_is_for_one_turn_only() -> None:
    hedge = t.ExtraRequestMade(**SHARED, kind="hedge")
    found = traces(hedge, turn(1, llm=400.0), turn(2, hold=300.0), call_ended())
    first, second = found.find("call", 1), found.find("call", 2)
    assert first is not None and first.cause == "hedged"
    assert second is not None and second.cause == "none"


def heard(turn_id: int = 1, *, network: float = 20.0, playback: float = 10.0) -> t.AnswerHeard:
    """What a client reports of a turn."""
    return t.AnswerHeard(**SHARED, turn_id=turn_id, capture_ms=20.0, network_ms=network, playback_ms=playback)


def test_a_connection_that_was_not_warm_is_named() -> None:
    cold = msgspec.structs.replace(turn(1, llm=400.0), cold_ms={"l": 250.0})
    kept = traces(cold).find("call", 1)
    assert kept is not None
    assert (kept.cause, kept.blamed, kept.vendor) == ("cold_connection", "llm", "l")


@pytest.mark.parametrize("order", ["heard first", "over first"])
def test_a_network_that_is_uneven_is_named(order: str) -> None:
    usual = [event for number in range(2, 6) for event in (heard(number), turn(number))]
    late = [heard(9, network=140.0), turn(9)]
    found = traces(*usual, *(late if order == "heard first" else reversed(late)))
    kept = found.find("call", 9)
    assert kept is not None and (kept.cause, kept.blamed) == ("network_jitter", "network")
    assert kept.client_ms == {"capture": 20.0, "network": 140.0, "playback": 10.0}
    assert kept.as_json()["client_ms"] == kept.client_ms
    assert kept in found.latest(10)


def test_a_clients_deep_buffer_is_named() -> None:
    kept = traces(turn(1), heard(1, playback=300.0)).find("call", 1)
    assert kept is not None and (kept.cause, kept.blamed) == ("client_buffer", "playback")


def test_what_the_server_is_to_blame_for_stays_its_own() -> None:
    kept = traces(turn(1, tts=500.0), heard(1, playback=300.0)).find("call", 1)
    assert kept is not None and kept.cause == "vendor_tail"


def test_a_client_that_heard_it_in_time_is_no_cause() -> None:
    assert traces(turn(1), heard(1)).latest(10) == []
