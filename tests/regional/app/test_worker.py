"""A worker as those see it who run it: readiness, metrics, the latency log, and how it ends calls."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from tests.promptness import DEADLINE_S
from tests.regional.app.running import Region, calling, region, spoken_turn, until
from websockets.exceptions import ConnectionClosedError

from repartee.agent.agent import Agent

METRICS = {
    "repartee_calls_active",
    "repartee_call_slots",
    "repartee_calls_total",
    "repartee_turns_total",
    "repartee_voice_to_voice_seconds_bucket",
    "repartee_stage_seconds_bucket",
    "repartee_pool_connections",
    "repartee_pool_acquire_seconds_total",
    "repartee_pool_hits_total",
    "repartee_pool_misses_total",
    "repartee_provider_errors_total",
    "repartee_speculations_total",
    "repartee_tickets_refused_total",
    "repartee_draining",
}
"""What dashboards and alerts rely on."""


@pytest.fixture
async def worker(providers: dict[str, str]) -> AsyncIterator[Region]:
    async with region(providers) as running:
        yield running


async def get(url: str) -> httpx.Response:
    async with httpx.AsyncClient() as client:
        return await client.get(url)


async def test_it_is_alive_at_once_and_ready_when_warm(providers: dict[str, str]) -> None:
    nobody = {**providers, "CARTESIA_BASE_URL": "http://127.0.0.1:9"}
    async with region(nobody, warm=False) as cold:
        assert (await get(f"{cold.http}/healthz")).status_code == 200
        answer = await get(f"{cold.http}/readyz")
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
        assert "not warm" in answer.text
    async with region(providers) as warm:
        assert (await get(f"{warm.http}/readyz")).status_code == 200


async def test_a_turn_is_counted_and_written_as_one_line(providers: dict[str, str], tmp_path: Path) -> None:
    log = tmp_path / "latency.jsonl"
    settings = {**providers, "REPARTEE_LATENCY_LOG": str(log), "REPARTEE_REGION": "eu-west"}
    async with region(settings) as worker:
        async with calling(f"{worker.url}?audio=binary&events=repartee") as websocket:
            told = (await spoken_turn(websocket))[-1]
            figures = await worker.metrics()
            assert figures["repartee_calls_active"] == 1
        await worker.until_idle()
        figures = await worker.metrics()
    [line] = [json.loads(line) for line in log.read_text().splitlines()]
    assert line["stages_ms"] == told["stages_ms"]
    assert sum(line["stages_ms"].values()) == pytest.approx(line["voice_to_voice_ms"], abs=1)
    assert (line["call_id"], line["turn_id"], line["region"]) == (told["call_id"], 1, "eu-west")
    assert line["providers"] == {"stt": "deepgram/flux", "llm": "openai", "tts": "cartesia"}
    assert line["outcome"] in ("answered", "interrupted")
    assert figures['repartee_voice_to_voice_seconds_count{kind="plain"}'] == 1
    assert figures['repartee_stage_seconds_count{kind="plain",provider="openai",stage="llm"}'] == 1
    assert figures['repartee_calls_total{outcome="ended"}'] == 1
    assert figures["repartee_calls_active"] == 0
    assert sum(value for name, value in figures.items() if name.startswith("repartee_turns_total")) == 1
    assert sum(value for name, value in figures.items() if name.startswith("repartee_pool_hits_total")) >= 3


async def test_the_metrics_that_dashboards_rely_on_are_there(worker: Region) -> None:
    text = (await get(f"{worker.http}/metrics")).text
    declared = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    for name in METRICS:
        family = name.removesuffix("_bucket")
        assert family in declared or family.removesuffix("_total") in declared, name
    figures = await worker.metrics()
    assert figures["repartee_call_slots"] == 100
    assert figures["repartee_draining"] == 0
    for provider in ("deepgram", "openai", "cartesia"):
        assert f'repartee_pool_connections{{provider="{provider}",state="idle"}}' in figures


async def test_what_is_not_there_and_what_is_not_a_websocket(worker: Region) -> None:
    assert (await get(f"{worker.http}/nowhere")).status_code == 404
    for path in ("/v1/voice/session", "/v1/realtime"):
        answer = await get(worker.http + path)
        assert (answer.status_code, answer.headers["Upgrade"]) == (426, "websocket")
    assert "text/html" in (await get(f"{worker.http}/")).headers["Content-Type"]


async def test_draining_refuses_new_calls_and_waits_for_those_there_are(worker: Region) -> None:
    async with calling(worker.url) as websocket:
        await websocket.recv()
        draining = asyncio.create_task(worker.worker.drain())
        await until(lambda: worker.worker.slots.draining)
        assert (await get(f"{worker.http}/readyz")).json()["why"] == "draining"
        assert (await worker.metrics())["repartee_draining"] == 1
        await websocket.send('{"type":"input_audio_buffer.clear"}')
        assert json.loads(await websocket.recv())["type"] == "input_audio_buffer.cleared"
        assert not draining.done()
    await asyncio.wait_for(draining, DEADLINE_S)


async def test_at_the_drains_limit_calls_are_closed_with_1012(providers: dict[str, str]) -> None:
    async with (
        region({**providers, "REPARTEE_DRAIN_S": "0.1"}) as worker,
        calling(worker.url) as websocket,
    ):
        await websocket.recv()
        await asyncio.wait_for(worker.worker.drain(), DEADLINE_S)
        await websocket.wait_closed()
        assert (websocket.close_code, websocket.close_reason) == (
            1012,
            "the worker is being replaced: connect again",
        )
        await worker.until_idle()
        assert (await worker.metrics())['repartee_calls_total{outcome="drained"}'] == 1


async def test_ears_that_are_gone_are_told_and_close_the_call_with_1011(providers: dict[str, str]) -> None:
    async with (
        # Nothing is kept ready, so that the call is the first to learn of the key.
        region(
            {**providers, "DEEPGRAM_API_KEY": "bad-key", "REPARTEE_WARM_CALLS": "0"}, warm=False
        ) as worker,
        calling(worker.url) as websocket,
    ):
        events = []
        with pytest.raises(ConnectionClosedError):
            while True:
                events.append(json.loads(await websocket.recv())["type"])
        assert events[0] == "session.created"
        assert events[-1] == "error"
        assert websocket.close_code == 1011
        figures = await worker.metrics()
        assert figures['repartee_provider_errors_total{provider="deepgram",stage="stt"}'] >= 1
        assert figures['repartee_calls_total{outcome="providers_gone"}'] == 1


async def test_a_call_that_cannot_even_begin_gives_its_slot_back(
    worker: Region, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*arguments: object, **options: object) -> None:
        raise RuntimeError("broken on purpose")

    monkeypatch.setattr("repartee.app.worker.Call", broken)
    async with calling(worker.url) as websocket:
        await websocket.wait_closed()
    await worker.until_idle()
    assert worker.worker.slots.taken == 0
    caplog.clear()


async def test_a_client_that_stops_reading_is_closed_and_its_slot_comes_back(
    providers: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """Real sockets: the client's and the server's buffers fill up, then the call's own queue."""
    async with (
        region(providers, agent=Agent(instructions="x" * 90_000)) as worker,
        calling(worker.url) as websocket,
    ):
        await websocket.recv()
        websocket.transport.pause_reading()
        for _ in range(400):
            await websocket.send('{"type":"session.update","session":{"type":"realtime"}}')
        await worker.until_idle()
        assert (await worker.metrics())['repartee_calls_total{outcome="client_slow"}'] == 1
        websocket.transport.abort()
    assert [r for r in caplog.records if r.levelno >= logging.ERROR] == []
