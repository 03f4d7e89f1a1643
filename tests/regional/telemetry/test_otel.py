"""Traces and metrics by OTLP, to a collector that reads them by the protocol's own definition."""

import itertools
import socket
import time
from typing import Any

import msgspec
import pytest
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes as gen_ai
from tests.promptness import DEADLINE_S
from tests.regional.telemetry.collector import Collector, collector, named
from tests.regional.telemetry.samples import call_ended, turn_over

from repartee.app.exporting import check_exporters
from repartee.app.settings import read_settings
from repartee.errors import ConfigurationError
from repartee.latency.timeline import TurnTrace
from repartee.telemetry import events as t
from repartee.telemetry.otel import OtelExporter, OtlpTarget
from repartee.telemetry.stream import Stream, StreamLimits

SHARED: Any = {"call_id": "call", "at_s": 1_000.0, "region": "here", "agent": "desk:agent"}
PROVIDERS = {"stt": "deepgram/flux", "llm": "openai/gpt-x", "tts": "cartesia/sonic"}
BEGAN = t.CallBegan(**SHARED, providers=PROVIDERS, caller="+15550100", version="abc")
STAGES = {"end_of_turn": 150.0, "llm": 140.0, "chunk": 30.0, "tts": 100.0}


def turn() -> t.TurnOver:
    trace = TurnTrace(1, 1, 420.0, STAGES, False)
    over = turn_over("answered", 420.0)
    return msgspec.structs.replace(
        over, trace=trace, providers=PROVIDERS, audible_at_s=1_010.42, at_s=1_012.0
    )


def at(event: t.CallEvent, seconds: float) -> t.CallEvent:
    return msgspec.structs.replace(event, at_s=seconds)


def exported(*events: t.CallEvent, headers: dict[str, str] | None = None) -> Collector:
    """What a collector has after these."""
    with collector() as found:
        exporter = OtelExporter(OtlpTarget(found.url, headers or {}), "here", "1.2.3")
        for event in events:
            exporter.export(event)
        exporter.close()
    assert found.faults == []
    return found


def test_a_call_is_one_trace_with_a_span_for_each_turn_and_each_of_its_stages() -> None:
    found = exported(BEGAN, turn(), call_ended())
    assert len({span.trace_id for span in found.spans}) == 1
    root, over = named(found.spans, "invoke_agent desk:agent"), named(found.spans, "turn")
    assert root.parent_id == ""
    assert (root.began_s, root.ended_s) == (1_000.0, 1_060.0)
    assert over.parent_id == root.span_id
    assert over.began_s == pytest.approx(1_010.0)
    stages = [span for span in found.spans if span.parent_id == over.span_id]
    assert [span.name for span in stages] == [
        "speech_to_text deepgram/flux",
        "chat openai/gpt-x",
        "chunk",
        "text_to_speech cartesia/sonic",
    ]
    lengths = [round((span.ended_s - span.began_s) * 1000, 1) for span in stages]
    assert lengths == list(STAGES.values())
    for earlier, later in itertools.pairwise(stages):
        assert later.began_s == pytest.approx(earlier.ended_s, abs=1e-6)
    assert stages[-1].ended_s == pytest.approx(1_010.42)


def test_tools_prefetches_and_hedges_have_spans() -> None:
    ran = t.ToolRan(
        **SHARED, turn_id=1, tool="lookup", ok=True, prefetch="hit", waited_ms=5.0, saved_ms=300.0
    )
    hedge = t.ExtraRequestMade(**SHARED, kind="hedge")
    found = exported(BEGAN, at(hedge, 1_010.2), at(ran, 1_010.3), turn(), call_ended())
    over = named(found.spans, "turn")
    for name in ("hedge", "execute_tool lookup"):
        assert named(found.spans, name).parent_id == over.span_id
    ahead = named(found.spans, "prefetch lookup")
    assert ahead.ended_s - ahead.began_s == pytest.approx(0.305, abs=1e-3)


def test_names_are_those_of_the_conventions() -> None:
    ran = t.ToolRan(**SHARED, turn_id=1, tool="lookup", ok=True, prefetch=None, waited_ms=5.0, saved_ms=0.0)
    found = exported(BEGAN, ran, turn(), call_ended())
    known = {value for name, value in vars(gen_ai).items() if name.startswith("GEN_AI_")}
    used = {name for span in found.spans for name in span.attributes if name.startswith("gen_ai.")}
    assert used <= known
    operations = {one.value for one in gen_ai.GenAiOperationNameValues}
    root, chat = named(found.spans, "invoke_agent desk:agent"), named(found.spans, "chat openai/gpt-x")
    tool = named(found.spans, "execute_tool lookup")
    assert {span.attributes[gen_ai.GEN_AI_OPERATION_NAME] for span in (root, chat, tool)} <= operations
    assert root.attributes[gen_ai.GEN_AI_CONVERSATION_ID] == "call"
    assert chat.attributes[gen_ai.GEN_AI_REQUEST_MODEL] == "gpt-x"
    assert chat.attributes[gen_ai.GEN_AI_PROVIDER_NAME] == "openai"
    assert found.resources[0]["service.name"] == "repartee"


def test_metrics_go_too_with_our_buckets_and_no_label_of_a_call() -> None:
    failed = t.ProviderFailed(**SHARED, stage="llm", provider="l", message="My name is Anna.")
    found = exported(BEGAN, turn(), failed, call_ended())
    [point] = found.metrics["repartee.voice_to_voice.duration"]
    assert point["value"] == pytest.approx(0.42)
    assert 0.5 in point["bounds"]
    assert {
        point["attributes"]["repartee.stage"] for point in found.metrics["repartee.stage.duration"]
    } == set(STAGES)
    for name in ("repartee.calls", "repartee.turns", "repartee.provider.errors"):
        assert [point["value"] for point in found.metrics[name]] == [1]
    labels = {name for points in found.metrics.values() for point in points for name in point["attributes"]}
    assert not labels & {"call_id", "gen_ai.conversation.id", "caller"}


def test_no_word_and_no_caller_leaves_by_it() -> None:
    said = t.WordsSaid(
        **SHARED, item_id="q", turn_id=1, who="caller", text="blue falcon", said_at_s=1.0, interrupted=False
    )
    words = t.ToolWords('{"name": "blue falcon"}', '"blue falcon"')
    ran = t.ToolRan(
        **SHARED, turn_id=1, tool="lookup", ok=True, prefetch=None, waited_ms=5.0, saved_ms=0.0, words=words
    )
    failed = t.ProviderFailed(**SHARED, stage="llm", provider="l", message="blue falcon")
    found = exported(BEGAN, said, ran, failed, turn(), call_ended())
    assert "blue falcon" not in repr(found)
    assert "+15550100" not in repr(found)


def test_an_interruption_a_failure_and_an_authors_fault_stand_in_the_call() -> None:
    events = [
        t.Interrupted(**SHARED, turn_id=1, heard_ms=120.0),
        t.ProviderFailed(**SHARED, stage="llm", provider="l", message="It is down."),
        t.AuthorFault(**SHARED, what="Tool lookup", error="KeyError", place="bank.py:3"),
    ]
    found = exported(BEGAN, *events, turn_over("unanswered"), call_ended("providers_gone"))
    root = named(found.spans, "invoke_agent desk:agent")
    assert root.events == ("interrupted", "provider failed", "author's fault")
    assert root.failed and named(found.spans, "turn").failed


def test_headers_are_sent_along() -> None:
    found = exported(BEGAN, call_ended(), headers={"x-key": "hunter2"})
    assert all(headers["x-key"] == "hunter2" for headers in found.headers)


def test_a_collector_that_is_away_for_a_moment_gets_it_all_the_same() -> None:
    with collector() as found:
        found.statuses = [503, 503]
        exporter = OtelExporter(OtlpTarget(found.url, timeout_s=DEADLINE_S), "here", "1")
        for event in (BEGAN, turn(), call_ended()):
            exporter.export(event)
        _until(lambda: len(found.spans) == 6)
        exporter.close()


async def test_a_collector_that_hangs_holds_up_nobody_and_the_end_is_bounded() -> None:
    with collector() as found:
        found.hold.clear()
        stream = Stream(StreamLimits(queue=100, close_s=0.2))
        stream.add(OtelExporter(OtlpTarget(found.url), "here", "1"))
        longest = 0.0
        for _ in range(5_000):
            began = time.perf_counter()
            stream.emit(turn())
            longest = max(longest, time.perf_counter() - began)
        began = time.perf_counter()
        await stream.aclose()
        assert time.perf_counter() - began < 5, "the stream waits no longer than it may"
        assert longest < 1.0
        found.hold.set()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("REPARTEE_OTLP_URL", "collector:4318", "must begin with http:// or https://"),
        ("REPARTEE_OTLP_HEADERS", "hunter2", "must be name=value"),
    ],
)
def test_settings_that_are_wrong_are_named(name: str, value: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=name) as refused:
        read_settings({name: value})
    assert said in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_its_exporter_can_be_made_before_the_start() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    check_exporters(read_settings({"REPARTEE_OTLP_URL": f"http://127.0.0.1:{port}"}))


def _until(seen: Any) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not seen():
        assert time.monotonic() < deadline
        time.sleep(0.01)
