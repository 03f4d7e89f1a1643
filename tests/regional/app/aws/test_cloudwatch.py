"""What CloudWatch is told: names, units and dimensions as Terraform reads them, and nothing by a draining worker."""

import asyncio
import io
import json
from typing import Any

import pytest
from tests.regional.app.running import calling, region, speech, until

from repartee.app.aws.cloudwatch import CloudWatch, latency_documents, metrics_document
from repartee.app.worker import WorkerState
from repartee.telemetry.tally import TurnFigures, TurnTally, p90_ms

BUSY = WorkerState(active=30, slots=40, ready=True, draining=False)
DRAINING = WorkerState(active=30, slots=40, ready=False, draining=True)
NOW = 1_800_000_000.25


def lines(out: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_a_minute_in_embedded_metric_format() -> None:
    turns = TurnFigures(tuple(float(ms) for ms in range(100, 200)), unanswered=2)
    assert metrics_document("eu-west", BUSY, turns, NOW) == {
        "_aws": {
            "Timestamp": 1_800_000_000_250,
            "CloudWatchMetrics": [
                {
                    "Namespace": "Repartee",
                    "Dimensions": [["Region", "Service"]],
                    "Metrics": [
                        {"Name": "CallSlotsUsedPct", "Unit": "Percent"},
                        {"Name": "VoiceToVoiceP90Ms", "Unit": "Milliseconds"},
                        {"Name": "UnansweredTurns", "Unit": "Count"},
                    ],
                }
            ],
        },
        "Region": "eu-west",
        "Service": "worker",
        "CallSlotsUsedPct": 75.0,
        "VoiceToVoiceP90Ms": 189.0,
        "UnansweredTurns": 2,
    }


def test_no_turns_have_no_latency_but_a_count_of_none_unanswered() -> None:
    document = metrics_document("eu-west", BUSY, TurnFigures(), NOW)
    named = [metric["Name"] for metric in document["_aws"]["CloudWatchMetrics"][0]["Metrics"]]
    assert named == ["CallSlotsUsedPct", "UnansweredTurns"]
    assert "VoiceToVoiceP90Ms" not in document
    assert document["UnansweredTurns"] == 0


def test_every_turn_is_published_once() -> None:
    tally, out = TurnTally(), io.StringIO()
    cloudwatch = CloudWatch("eu-west", lambda: BUSY, tally, out)
    tally.add("answered", 400.0)
    tally.add("unanswered", None)
    cloudwatch.publish(NOW)
    cloudwatch.publish(NOW + 60)
    first, latencies, second = lines(out)
    assert latencies["VoiceToVoiceMs"] == [400.0]
    assert (first["VoiceToVoiceP90Ms"], first["UnansweredTurns"]) == (400.0, 1)
    assert ("VoiceToVoiceP90Ms" in second, second["UnansweredTurns"]) == (False, 0)


def test_every_latency_and_stage_reaches_cloudwatch_a_hundred_to_a_document() -> None:
    tally = TurnTally()
    for ms in range(250):
        tally.add("answered", 400.0 + ms, {"end_of_turn": 100.0 + ms, "llm": 140.0})
    tally.add("answered", 500.0, {"model": 300.0})
    documents = list(latency_documents("eu-west", tally.take(), NOW))
    assert [len(document["VoiceToVoiceMs"]) for document in documents] == [100, 100, 51]
    assert [len(document["LlmMs"]) for document in documents] == [100, 100, 50]
    assert [ms for document in documents for ms in document["EndOfTurnMs"]] == [
        100.0 + ms for ms in range(250)
    ]
    for document in documents:
        named = {metric["Name"] for metric in document["_aws"]["CloudWatchMetrics"][0]["Metrics"]}
        assert named == {key for key, value in document.items() if isinstance(value, list)}
    assert list(latency_documents("eu-west", tally.take(), NOW)) == [], "every turn once"


def test_a_worker_that_takes_no_calls_publishes_nothing() -> None:
    out = io.StringIO()
    CloudWatch("eu-west", lambda: DRAINING, TurnTally(), out).publish(NOW)
    assert out.getvalue() == ""


async def test_a_worker_writes_lines_of_json_and_nothing_else(
    providers: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("repartee.app.aws.cloudwatch.EVERY_S", 0.2)
    said = ""

    def published() -> list[dict[str, Any]]:
        nonlocal said
        said += capsys.readouterr().out
        return [line for line in map(json.loads, said.splitlines()) if "_aws" in line]

    def turns() -> list[dict[str, Any]]:
        return [line for line in map(json.loads, said.splitlines()) if "_aws" not in line]

    def turns_published() -> bool:
        return any("VoiceToVoiceP90Ms" in line for line in published()) and bool(turns())

    emf = {"REPARTEE_CLOUDWATCH": "emf", "REPARTEE_REGION": "eu-west", "REPARTEE_MAX_CALLS": "4"}
    async with region({**providers, **emf, "REPARTEE_LATENCY_LOG": ""}) as worker:
        async with calling(f"{worker.url}?audio=binary&events=repartee") as call:
            audio = speech(400) + bytes(48_000)
            for start in range(0, len(audio), 960):
                await call.send(audio[start : start + 960])
                await asyncio.sleep(0.01)
            await until(turns_published)
        assert {line["Region"] for line in published()} == {"eu-west"}
        assert 25.0 in {line.get("CallSlotsUsedPct") for line in published()}
        assert {"call_id", "voice_to_voice_ms"} <= turns()[0].keys()
        await worker.worker.drain()
        count = len(published())
        await asyncio.sleep(0.5)
        assert len(published()) == count


@pytest.mark.parametrize(
    ("latencies", "expected"),
    [([], None), ([5.0], 5.0), ([9.0, 1.0], 9.0), ([float(n) for n in range(1, 11)], 9.0)],
)
def test_p90_is_a_latency_that_was_measured(latencies: list[float], expected: float | None) -> None:
    assert p90_ms(latencies) == expected
