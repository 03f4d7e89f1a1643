"""CloudWatch metrics in the embedded metric format: lines of JSON on standard output each minute, which CloudWatch
Logs turns into metrics. Terraform's autoscaler, alarms and dashboard live on them (terraform/modules/region).

Must not know how a log gets to CloudWatch. A worker that is cold or draining publishes nothing: it takes no calls, so
its slots are none that the autoscaler may count on.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TextIO

import msgspec

from repartee.app.worker import WorkerState
from repartee.telemetry.tally import TurnFigures, TurnTally, p90_ms

NAMESPACE = "Repartee"
SERVICE = "worker"
EVERY_S = 60.0

UNITS = {"CallSlotsUsedPct": "Percent", "UnansweredTurns": "Count"}
"""Everything else is milliseconds."""

VOICE_TO_VOICE = "VoiceToVoiceMs"

MOST_VALUES = 100
"""Of one metric in one document of the format: CloudWatch takes no more."""


def metrics_document(region: str, state: WorkerState, turns: TurnFigures, at_s: float) -> dict[str, Any]:
    """The metrics of a minute that ended at ``at_s`` (seconds since the epoch); no P90 of no turns."""
    latency_ms = p90_ms(turns.latencies_ms)
    values: dict[str, float] = {"CallSlotsUsedPct": round(100 * state.active / state.slots, 2)}
    if latency_ms is not None:
        values["VoiceToVoiceP90Ms"] = round(latency_ms, 1)
    values["UnansweredTurns"] = turns.unanswered
    return _document(region, values, at_s)


def stage_metric(stage: str) -> str:
    """What a stage's metric is called: ``end_of_turn`` is ``EndOfTurnMs``."""
    return "".join(word.capitalize() for word in stage.split("_")) + "Ms"


def latency_documents(region: str, turns: TurnFigures, at_s: float) -> Iterator[dict[str, Any]]:
    """Every turn's latency and stages, for CloudWatch to find percentiles over all workers; none of no turns."""
    samples = {VOICE_TO_VOICE: turns.latencies_ms}
    samples |= {stage_metric(stage): times for stage, times in turns.stages_ms.items()}
    most = max(map(len, samples.values()))
    for start in range(0, most, MOST_VALUES):
        values = {
            name: part for name, times in samples.items() if (part := times[start : start + MOST_VALUES])
        }
        yield _document(region, {name: [round(ms, 1) for ms in part] for name, part in values.items()}, at_s)


def _document(region: str, values: Mapping[str, float | list[float]], at_s: float) -> dict[str, Any]:
    directive = {
        "Namespace": NAMESPACE,
        "Dimensions": [["Region", "Service"]],
        "Metrics": [{"Name": name, "Unit": UNITS.get(name, "Milliseconds")} for name in values],
    }
    described = {"Timestamp": int(at_s * 1000), "CloudWatchMetrics": [directive]}
    return {"_aws": described, "Region": region, "Service": SERVICE, **values}


class CloudWatch:
    """Writes a worker's metrics."""

    def __init__(self, region: str, state: Callable[[], WorkerState], turns: TurnTally, out: TextIO) -> None:
        self._region = region
        self._state = state
        self._turns = turns
        self._out = out

    async def run(self) -> None:
        """Publish every minute until cancelled."""
        while True:
            await asyncio.sleep(EVERY_S)
            self.publish(time.time())

    def publish(self, now: float) -> None:
        """Write a line, unless the worker takes no calls; its turns then wait for the next line."""
        state = self._state()
        if not state.ready:
            return
        turns = self._turns.take()
        documents = (
            metrics_document(self._region, state, turns, now),
            *latency_documents(self._region, turns, now),
        )
        self._out.writelines(msgspec.json.encode(document).decode() + "\n" for document in documents)
        self._out.flush()
