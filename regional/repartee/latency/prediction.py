"""What a deployment's turns will take, from what its stages took one by one. Pure.

A turn's answer is prepared from the eager end of the turn on, and released at its end:

    voice to voice = max(end of turn, eager end + first piece of the answer + its first audible sample) + our share

Stages have nothing to do with each other, so each measurement of one is put beside each of the others.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

OWN_MS = 2.0
"""What the worker itself adds at the median (docs/latency.md, `repartee bench latency`) beside what it adds within
the stages: a request is measured by the worker's own code, so that is part of what the stage took."""

TARGET_MS = 500.0
"""The budget of a turn, at P90."""

EAGER_MS, END_MS, TOKEN_MS, SOUND_MS = 120.0, 250.0, 140.0, 100.0
"""What the stages may take for that: an eager end and an end of the turn, a first token, a first audible sample. The
profile `budget` has these."""

STAGES = ("stt", "llm", "tts")
PERCENTS = {"p50": 50, "p90": 90, "p99": 99}
MOST_EACH = 100
"""So many measurements of a stage are put beside those of the others; of more, as many spread over all."""

Percentiles = dict[str, float]
Figures = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class StageTimes:
    """What was measured, in ms. ``ends`` are pairs of an eager end and an end of a turn, after the last sample of
    speech; ``first_tokens`` and ``pieces`` are one request's each, from when it was made; ``sounds`` the first
    audible samples after a piece was said."""

    ends: Sequence[tuple[float, float]]
    first_tokens: Sequence[float]
    pieces: Sequence[float]
    sounds: Sequence[float]


def percentiles_of(values: Sequence[float] | Figures) -> Percentiles:
    """P50, P90 and P99, to a tenth."""
    found = np.percentile(np.asarray(values, float), list(PERCENTS.values()))
    return {name: round(float(value), 1) for name, value in zip(PERCENTS, found, strict=True)}


def voice_to_voice(times: StageTimes) -> Percentiles:
    """What turns will take."""
    ends = _spread(times.ends)
    answers = np.add.outer(_spread(times.pieces), _spread(times.sounds)).ravel()
    turns = np.maximum(ends[:, 1, None], ends[:, 0, None] + answers)
    return percentiles_of(turns.ravel() + OWN_MS)


def stages_ms(times: StageTimes) -> dict[str, Percentiles]:
    """What each stage took."""
    return {
        "eager_end_of_turn": percentiles_of([eager for eager, _ in times.ends]),
        "end_of_turn": percentiles_of([end for _, end in times.ends]),
        "llm": percentiles_of(times.first_tokens),
        "chunk": percentiles_of(
            [piece - token for piece, token in zip(times.pieces, times.first_tokens, strict=True)]
        ),
        "tts": percentiles_of(times.sounds),
    }


def gains_ms(times: StageTimes) -> dict[str, float]:
    """By how much turns would be quicker at P90 if one stage took what the budget has for it."""
    now = voice_to_voice(times)["p90"]
    return {stage: round(now - voice_to_voice(_on_target(times, stage))["p90"], 1) for stage in STAGES}


def to_change(times: StageTimes) -> str | None:
    """The stage that costs most; None where turns keep to the budget."""
    if voice_to_voice(times)["p90"] < TARGET_MS:
        return None
    gains = gains_ms(times)
    return max(gains, key=gains.__getitem__)


def _on_target(times: StageTimes, stage: str) -> StageTimes:
    if stage == "stt":
        return replace(times, ends=[(min(EAGER_MS, eager), min(END_MS, end)) for eager, end in times.ends])
    if stage == "llm":
        pairs = zip(times.pieces, times.first_tokens, strict=True)
        return replace(times, pieces=[piece - max(0.0, token - TOKEN_MS) for piece, token in pairs])
    return replace(times, sounds=[min(SOUND_MS, sound) for sound in times.sounds])


def _spread(values: Sequence[float] | Sequence[tuple[float, float]]) -> Figures:
    """As many as are put beside others; of more, by their order, spread over all."""
    array = np.asarray(sorted(values, key=_last), float)
    if len(array) <= MOST_EACH:
        return array
    places = np.linspace(0, len(array) - 1, MOST_EACH).round().astype(int)
    return np.take(array, places, axis=0)


def _last(value: float | tuple[float, float]) -> float:
    return value[-1] if isinstance(value, tuple) else value
