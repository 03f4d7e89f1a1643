"""An OTLP collector: takes what the protocol's own definition can read, refuses the rest as the real one does."""

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

PATHS: dict[str, Any] = {
    "/v1/traces": (ExportTraceServiceRequest, ExportTraceServiceResponse),
    "/v1/metrics": (ExportMetricsServiceRequest, ExportMetricsServiceResponse),
}


@dataclass(frozen=True, slots=True)
class SeenSpan:
    """A span, with its attributes as a dict; times in seconds since 1970."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    began_s: float
    ended_s: float
    attributes: dict[str, Any]
    events: tuple[str, ...]
    failed: bool


@dataclass
class Collector:
    """What was received. ``statuses`` are answered first, one a request; ``hold`` keeps requests waiting."""

    url: str = ""
    spans: list[SeenSpan] = field(default_factory=list)
    metrics: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    resources: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    hold: threading.Event = field(default_factory=threading.Event)

    def take(self, path: str, body: bytes) -> bytes:
        """The response's body. Raises ValueError for what is not OTLP."""
        if path not in PATHS:
            raise ValueError(f"there is nothing at {path}")
        form, response = PATHS[path]
        try:
            request = form.FromString(body)
        except Exception as error:  # protobuf's DecodeError comes without types
            raise ValueError(f"not protobuf: {error}") from None
        if path == "/v1/traces":
            self._take_spans(request)
        else:
            self._take_metrics(request)
        answer: bytes = response().SerializeToString()
        return answer

    def _take_spans(self, request: Any) -> None:
        for resource in request.resource_spans:
            self.resources.append(_attributes(resource.resource.attributes))
            for scope in resource.scope_spans:
                for span in scope.spans:
                    self.spans.append(_seen(span))

    def _take_metrics(self, request: Any) -> None:
        for resource in request.resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    data = getattr(metric, metric.WhichOneof("data"))
                    points = [
                        {
                            "attributes": _attributes(point.attributes),
                            "value": getattr(point, "sum", None) or getattr(point, "as_int", None),
                            "count": getattr(point, "count", None),
                            "bounds": tuple(getattr(point, "explicit_bounds", ())),
                        }
                        for point in data.data_points
                    ]
                    self.metrics[metric.name] = points


def _seen(span: Any) -> SeenSpan:
    if len(span.trace_id) != 16 or len(span.span_id) != 8 or not any(span.trace_id):
        raise ValueError("an id has the wrong length")
    if span.end_time_unix_nano < span.start_time_unix_nano:
        raise ValueError(f"{span.name} ends before it begins")
    return SeenSpan(
        span.name,
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        span.start_time_unix_nano / 1e9,
        span.end_time_unix_nano / 1e9,
        _attributes(span.attributes),
        tuple(event.name for event in span.events),
        span.status.code == 2,
    )


def _attributes(pairs: Any) -> dict[str, Any]:
    found = {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}
    if len(found) != len(pairs):
        raise ValueError("an attribute is there twice")
    return found


def named(spans: list[SeenSpan], name: str) -> SeenSpan:
    """The one span of this name."""
    [span] = [span for span in spans if span.name == name]
    return span


@contextmanager
def collector() -> Iterator[Collector]:
    """One on a port of its own."""
    made = Collector()
    made.hold.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            made.headers.append({name.lower(): value for name, value in self.headers.items()})
            made.hold.wait()
            if made.statuses and (status := made.statuses.pop(0)) != 200:
                self._answer(status, b"")
                return
            try:
                if self.headers["Content-Type"] != "application/x-protobuf":
                    raise ValueError(f"the content type is {self.headers['Content-Type']}")
                plain = gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body
                answer = made.take(self.path, plain)
            except ValueError as error:
                made.faults.append(str(error))
                self._answer(400, b"")
                return
            self._answer(200, answer)

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        made.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield made
        finally:
            made.hold.set()
            server.shutdown()
            thread.join()
