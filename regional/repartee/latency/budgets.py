"""What a turn and its stages may take, at P90. Pure.

A stage that has no budget of its own is counted in the whole.
"""

from collections.abc import Mapping

from repartee.latency.kinds import ADDED_BUDGET_MS, BUDGET_MS, FIRST_SOUND_BUDGET_MS

STAGE_BUDGETS_MS: Mapping[str, float] = {
    "capture": 40.0,
    "end_of_turn": 150.0,
    "llm": 200.0,
    "tts": 180.0,
    "network": 160.0,
    "playback": 50.0,
}
"""The upper ends of the ranges in docs/latency.md."""

BUDGETS_MS: Mapping[str, float] = {
    "total": BUDGET_MS,
    "first_sound": FIRST_SOUND_BUDGET_MS,
    "added": ADDED_BUDGET_MS,
    **STAGE_BUDGETS_MS,
}
"""By stage, as latencies are counted by."""
