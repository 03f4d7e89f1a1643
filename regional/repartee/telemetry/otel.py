"""Traces and metrics to an OpenTelemetry collector, by OTLP over HTTP. Off unless REPARTEE_OTLP_URL names one.

One trace a call: the call is the root, turns and what happened beside them are its children, a turn's stages are
children of the turn. Names and attributes are those of OpenTelemetry's conventions for generative AI, where they have
one; ours begin with ``repartee.``. No span and no metric holds words.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

from opentelemetry import trace as api
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExplicitBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, Status, StatusCode

from repartee.telemetry import events as t
from repartee.telemetry.labels import vendor_of
from repartee.telemetry.prometheus import LATENCY_BUCKETS_S

SPAN_QUEUE = 10_000
"""Spans that may wait for the collector; further ones are dropped."""

OPERATIONS: Mapping[str, str] = {
    "end_of_turn": "speech_to_text",
    "llm": "chat",
    "model": "speech_to_speech",
    "tts": "text_to_speech",
}
"""What a vendor does in a stage, as ``gen_ai.operation.name``: the conventions have ``chat``, and let others be."""

Value = str | bool | int | float


@dataclass(frozen=True, slots=True)
class OtlpTarget:
    """Where the collector is (``http://host:4318``), what is sent along (a key, say), and how often metrics go."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    metrics_every_s: float = 15.0
    timeout_s: float = 5.0


@dataclass(slots=True)
class _TracedCall:
    root: Span
    began: t.CallBegan
    asides: list[tuple[str, float, dict[str, Value]]] = field(default_factory=list)
    """What began before its turn is over: its name, when, and what is known of it."""


class OtelExporter:
    """Implements :class:`~repartee.telemetry.stream.Exporter`."""

    def __init__(self, target: OtlpTarget, region: str, version: str) -> None:
        resource = Resource.create(
            {"service.name": "repartee", "service.version": version, "repartee.region": region}
        )
        # What the collector cannot take is dropped: no call waits, and the SDK logs it.
        logging.getLogger("opentelemetry").setLevel(logging.ERROR)
        url, timeout_s = target.url.rstrip("/"), target.timeout_s
        headers = dict(target.headers)
        self._traces = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._traces.add_span_processor(
            BatchSpanProcessor(
                OTLPSpanExporter(f"{url}/v1/traces", headers=headers, timeout=timeout_s),
                max_queue_size=SPAN_QUEUE,
                schedule_delay_millis=1_000,
            )
        )
        reader = PeriodicExportingMetricReader(
            OTLPMetricExporter(f"{url}/v1/metrics", headers=headers, timeout=timeout_s),
            export_interval_millis=target.metrics_every_s * 1000,
            export_timeout_millis=timeout_s * 1000,
        )
        buckets = View(
            instrument_name="repartee.*.duration",
            aggregation=ExplicitBucketHistogramAggregation(LATENCY_BUCKETS_S),
        )
        self._metrics = MeterProvider([reader], resource, views=[buckets], shutdown_on_exit=False)
        self._tracer = self._traces.get_tracer("repartee", version)
        meter = self._metrics.get_meter("repartee", version)
        self._turns = meter.create_counter("repartee.turns", "{turn}", "Turns by outcome and kind.")
        self._calls = meter.create_counter("repartee.calls", "{call}", "Calls by outcome.")
        self._errors = meter.create_counter(
            "repartee.provider.errors", "{error}", "Failures of providers that cost a caller something."
        )
        self._voice_to_voice = meter.create_histogram(
            "repartee.voice_to_voice.duration",
            "s",
            "From the caller's last sample of speech to the answer's first.",
        )
        self._stages = meter.create_histogram(
            "repartee.stage.duration", "s", "A stage's share of the voice-to-voice latency."
        )
        self._live: dict[str, _TracedCall] = {}

    def __repr__(self) -> str:
        return f"<OtelExporter: {len(self._live)} calls in progress>"

    def export(self, event: t.CallEvent) -> None:
        """Make spans of what is over, and count it."""
        if isinstance(event, t.CallBegan):
            self._began(event)
            return
        call = self._live.get(event.call_id)
        if call is None:
            return
        match event:
            case t.TurnOver():
                self._turn_over(call, event)
            case t.ToolRan():
                self._tool_ran(call, event)
            case t.ExtraRequestMade(kind=kind):
                call.asides.append(
                    ("hedge" if kind == "hedge" else f"extra request ({kind})", event.at_s, {})
                )
            case t.Interrupted():
                call.root.add_event("interrupted", {"repartee.heard_ms": event.heard_ms}, _ns(event.at_s))
            case t.ProviderFailed():
                self._errors.add(1, {"gen_ai.provider.name": event.provider, "repartee.stage": event.stage})
                failed = {"gen_ai.provider.name": event.provider, "repartee.stage": event.stage}
                call.root.add_event("provider failed", failed, _ns(event.at_s))
            case t.AuthorFault():
                fault = {
                    "error.type": event.error,
                    "code.function.name": event.what,
                    "code.location": event.place,
                }
                call.root.add_event("author's fault", fault, _ns(event.at_s))
            case t.CallEnded():
                self._ended(call, event)

    def close(self) -> None:
        """Send what waits."""
        for call in self._live.values():
            call.root.end()
        self._traces.shutdown()
        self._metrics.shutdown()

    def _began(self, began: t.CallBegan) -> None:
        attributes: dict[str, Value] = {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.agent.name": began.agent,
            "gen_ai.agent.version": began.version,
            "gen_ai.conversation.id": began.call_id,
            "repartee.transport": began.transport,
            "repartee.region": began.region,
        }
        name = f"invoke_agent {began.agent}"
        root = self._tracer.start_span(
            name, Context(), SpanKind.SERVER, attributes, start_time=_ns(began.at_s)
        )
        self._live[began.call_id] = _TracedCall(root, began)

    def _ended(self, call: _TracedCall, ended: t.CallEnded) -> None:
        del self._live[ended.call_id]
        self._flush_asides(call, call.root, ended.at_s)
        call.root.set_attribute("repartee.outcome", ended.outcome)
        if ended.outcome in ("failed", "providers_gone"):
            call.root.set_status(Status(StatusCode.ERROR, ended.outcome))
        call.root.end(_ns(ended.at_s))
        self._calls.add(1, {"repartee.outcome": ended.outcome})

    def _turn_over(self, call: _TracedCall, turn: t.TurnOver) -> None:
        trace = turn.trace
        kind = turn.kind or "none"
        self._turns.add(1, {"repartee.outcome": turn.outcome, "repartee.turn.kind": kind})
        audible_at = turn.audible_at_s or turn.at_s
        began_at = audible_at - trace.voice_to_voice_ms / 1000 if trace else turn.at_s
        attributes: dict[str, Value] = {
            "repartee.turn.id": turn.turn_id,
            "repartee.turn.kind": kind,
            "repartee.turn.first": turn.first,
            "repartee.outcome": turn.outcome,
        }
        if trace:
            attributes["repartee.voice_to_voice_ms"] = trace.voice_to_voice_ms
            attributes["repartee.over_budget"] = trace.over_budget
        span = self._child(call.root, "turn", began_at, attributes)
        self._flush_asides(call, span, audible_at)
        if trace:
            self._voice_to_voice.record(trace.voice_to_voice_ms / 1000, {"repartee.turn.kind": kind})
            at = began_at
            for stage, ms in trace.stages_ms.items():
                self._stage(span, turn, stage, at, ms)
                at += ms / 1000
        if turn.outcome == "unanswered":
            span.set_status(Status(StatusCode.ERROR, "unanswered"))
        span.end(_ns(max(turn.at_s, began_at)))

    def _stage(self, span: Span, turn: t.TurnOver, stage: str, at: float, ms: float) -> None:
        vendor = vendor_of(turn, stage)
        operation = OPERATIONS.get(stage)
        attributes: dict[str, Value] = {"repartee.stage": stage}
        if operation and vendor:
            provider, _, model = vendor.partition("/")
            attributes |= {"gen_ai.operation.name": operation, "gen_ai.provider.name": provider}
            attributes |= {"gen_ai.request.model": model} if model else {}
        name = f"{operation} {vendor}" if operation and vendor else stage
        self._child(span, name, at, attributes, SpanKind.CLIENT if vendor else SpanKind.INTERNAL).end(
            _ns(at + ms / 1000)
        )
        counted = {"repartee.stage": stage, "repartee.turn.kind": turn.kind or "none"}
        self._stages.record(ms / 1000, counted | ({"gen_ai.provider.name": vendor} if vendor else {}))

    def _tool_ran(self, call: _TracedCall, ran: t.ToolRan) -> None:
        attributes: dict[str, Value] = {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": ran.tool,
            "gen_ai.tool.type": "function",
            "repartee.tool.ok": ran.ok,
            "repartee.turn.id": ran.turn_id,
        }
        if ran.prefetch:
            attributes["repartee.prefetch"] = ran.prefetch
        began_at = ran.at_s - ran.waited_ms / 1000
        if ran.prefetch == "hit":
            looked_up_at = began_at - ran.saved_ms / 1000
            ahead = self._child(call.root, f"prefetch {ran.tool}", looked_up_at, dict(attributes))
            ahead.end(_ns(ran.at_s))
        call.asides.append(
            (f"execute_tool {ran.tool}", began_at, {**attributes, "repartee.until_s": ran.at_s})
        )

    def _flush_asides(self, call: _TracedCall, parent: Span, until: float) -> None:
        """What has gone on beside a turn becomes its children."""
        for name, at, attributes in call.asides:
            ended_at = float(attributes.pop("repartee.until_s", max(until, at)))
            self._child(parent, name, at, attributes).end(_ns(ended_at))
        call.asides.clear()

    def _child(
        self,
        parent: Span,
        name: str,
        at: float,
        attributes: Mapping[str, Value],
        kind: SpanKind = SpanKind.INTERNAL,
    ) -> Span:
        context = api.set_span_in_context(parent, Context())
        return self._tracer.start_span(name, context, kind, dict(attributes), start_time=_ns(at))


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)
