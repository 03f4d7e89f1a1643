"""A worker's calls at an OpenTelemetry collector, over real sockets."""

from tests.regional.app.running import calling, region, spoken_turn
from tests.regional.telemetry.collector import collector, named

from repartee.app.exporting import exporting
from repartee.app.settings import read_settings


async def test_it_is_off_unless_a_collector_is_named(providers: dict[str, str]) -> None:
    settings = read_settings({})
    assert settings.otlp_url == ""
    async with exporting(settings) as stream:
        assert repr(stream) == "<Stream: 0 counts, 1 exporters>"
    with collector() as found:
        async with region(providers) as worker, calling(worker.url):
            pass
        assert found.headers == []


async def test_a_workers_call_arrives_as_a_trace(providers: dict[str, str]) -> None:
    with collector() as found:
        async with region({**providers, "REPARTEE_OTLP_URL": found.url}) as worker:
            async with calling(f"{worker.url}?audio=binary&events=repartee") as websocket:
                await spoken_turn(websocket)
            await worker.until_idle()
    assert found.faults == []
    root, over = named(found.spans, "invoke_agent plain"), named(found.spans, "turn")
    assert over.parent_id == root.span_id
    assert root.began_s <= over.began_s <= over.ended_s <= root.ended_s + 0.001
    stages = [span for span in found.spans if span.parent_id == over.span_id]
    assert {"speech_to_text", "chat", "text_to_speech"} <= {span.name.split()[0] for span in stages}
