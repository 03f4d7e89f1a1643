"""What regions would stream to the dashboard after an hour of many turns, and what it draws of their budget."""

import random
import time

import msgspec
from tests.regional.telemetry.samples import turn_over

from repartee.latency.budgets import BUDGETS_MS
from repartee.latency.timeline import TurnTrace
from repartee.telemetry.latency_windows import ERROR, LatencyWindows
from repartee.telemetry.running_counts import RunningCounts
from repartee.telemetry.turn_traces import TurnTraces
from repartee.telemetry.windows import WINDOWS

BUDGET_PIXELS = """() => {
  const canvas = document.querySelector("#whole-chart canvas");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const colour = getComputedStyle(document.body).getPropertyValue("--budget").trim();
  const wanted = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
  const near = (at) => wanted.every((part, of) => Math.abs(part - data[at + of]) < 8) && data[at + 3] > 200;
  return Array.from({ length: data.length / 4 }, (_, at) => near(4 * at)).filter(Boolean).length;
}"""
"""How many pixels of the whole chart have the colour of the budget's line."""


def many_turns(regions: int, turns: int) -> tuple[list[bytes], list[bytes]]:
    """The parts of so many regions: all that they counted in the last hour, and what has changed since."""
    chances, now, clock = random.Random(5), time.time(), 0.0
    whole: list[bytes] = []
    later: list[bytes] = []

    def at() -> float:
        return clock

    for number in range(regions):
        clock = now - 3_300
        windows, counts = LatencyWindows(at), RunningCounts(clock=at)
        traces, name = TurnTraces(), f"region-{number}"
        for turn in range(turns // regions):
            clock += 3_280 / (turns // regions)
            stages = {
                stage: chances.lognormvariate(4.6, 0.4) for stage in ("end_of_turn", "llm", "chunk", "tts")
            }
            trace = TurnTrace(turn, 1, sum(stages.values()), stages, False)
            over = msgspec.structs.replace(
                turn_over("answered", 1.0, turn),
                trace=trace,
                at_s=clock,
                call_id=f"{name}-{turn}",
                region=name,
            )
            for counter in (windows, counts, traces):
                counter.export(over)
        for parts, since in ((whole, 0.0), (later, now - 10)):
            part = {
                "source": f"{name}/0",
                "region": name,
                "at": now,
                "since": since,
                "error": ERROR,
                "windows": {each: (window.slot_s, window.slots) for each, window in WINDOWS.items()},
                "budgets_ms": BUDGETS_MS,
                "currency": "USD",
                "calls": 5,
                "slots": 100,
                "ready": True,
                "loop_lag_ms": 0.0,
                "pools": [],
                "latencies": {each: list(windows.slots(each, since)) for each in WINDOWS},
                "counts": {each: list(counts.slots(each, since)) for each in WINDOWS},
                "slow_turns": [kept.as_json() for kept in traces.since(since, 1_000)],
            }
            parts.append(b"data: " + msgspec.json.encode(part) + b"\n\n")
    return whole, later
