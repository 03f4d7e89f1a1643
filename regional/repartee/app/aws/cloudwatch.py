"""CloudWatch metrics in the embedded metric format: one JSON line a minute on standard output, which CloudWatch Logs
turns into metrics. Terraform's autoscaler and alarms live on them (terraform/modules/region).

Must not know how a log gets to CloudWatch. A worker that is cold or draining publishes nothing: it takes no calls, so
its slots are none that the autoscaler may count on.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any, TextIO

import msgspec

from repartee.app.worker import WorkerState
from repartee.telemetry.tally import TurnFigures, TurnTally, p90_ms

NAMESPACE = "Repartee"
SERVICE = "worker"
EVERY_S = 60.0

UNITS = {"CallSlotsUsedPct": "Percent", "VoiceToVoiceP90Ms": "Milliseconds", "UnansweredTurns": "Count"}


def metrics_document(region: str, state: WorkerState, turns: TurnFigures, at_s: float) -> dict[str, Any]:
    """The metrics of a minute that ended at ``at_s`` (seconds since the epoch); no P90 of no turns."""
    latency_ms = p90_ms(turns.latencies_ms)
    values: dict[str, float] = {"CallSlotsUsedPct": round(100 * state.active / state.slots, 2)}
    if latency_ms is not None:
        values["VoiceToVoiceP90Ms"] = round(latency_ms, 1)
    values["UnansweredTurns"] = turns.unanswered
    directive = {
        "Namespace": NAMESPACE,
        "Dimensions": [["Region", "Service"]],
        "Metrics": [{"Name": name, "Unit": UNITS[name]} for name in values],
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
        document = metrics_document(self._region, state, self._turns.take(), now)
        self._out.write(msgspec.json.encode(document).decode() + "\n")
        self._out.flush()
