"""A worker's calls at an OpenTelemetry collector, over real sockets."""

import re
from pathlib import Path

from tests.regional.app.running import calling, region, spoken_turn, until
from tests.regional.telemetry.collector import Collector, collector, named
from tests.regional.telemetry.real_collector import real_collector

from repartee.app.exporting import exporting
from repartee.app.settings import read_settings

ESCAPES = re.compile(r"\x1b\[\d+m")


async def test_it_is_off_unless_a_collector_is_named(providers: dict[str, str]) -> None:
    settings = read_settings({})
    assert settings.otlp_url == ""
    async with exporting(settings) as stream:
        assert repr(stream) == "<Stream: 0 counts, 1 exporters>"
    with collector() as found:
        async with region(providers) as worker, calling(worker.url):
            pass
        assert found.headers == []


async def one_call(providers: dict[str, str], otlp_url: str) -> None:
    """A spoken turn at a worker that sends its traces there."""
    async with region({**providers, "REPARTEE_OTLP_URL": otlp_url}) as worker:
        async with calling(f"{worker.url}?audio=binary&events=repartee") as websocket:
            await spoken_turn(websocket)
        await worker.until_idle()


def is_one_trace_of_a_call(found: Collector) -> None:
    """Well formed, and what a call is: turns in it, stages in them."""
    assert found.faults == []
    assert len({span.trace_id for span in found.spans}) == 1
    root, over = named(found.spans, "invoke_agent plain"), named(found.spans, "turn")
    assert over.parent_id == root.span_id
    assert root.began_s <= over.began_s <= over.ended_s <= root.ended_s + 0.001
    stages = [span for span in found.spans if span.parent_id == over.span_id]
    assert {"speech_to_text", "chat", "text_to_speech"} <= {span.name.split()[0] for span in stages}
    assert {resource["service.name"] for resource in found.resources} == {"repartee"}


async def test_a_workers_call_arrives_as_a_trace(providers: dict[str, str]) -> None:
    with collector() as found:
        await one_call(providers, found.url)
    is_one_trace_of_a_call(found)


async def test_a_collector_that_others_wrote_takes_it_and_sends_it_on(
    providers: dict[str, str], tmp_path: Path
) -> None:
    with collector() as found:
        with real_collector(found, tmp_path) as (url, log):
            await one_call(providers, url)
            await until(lambda: any(span.parent_id == "" for span in found.spans))
            await until(lambda: "repartee.calls" in found.metrics)
        said = ESCAPES.sub("", log.read_text())
    is_one_trace_of_a_call(found)
    assert "Received traces" in said
    assert not re.search(r"\b(WARN|ERROR)\b", said), said
