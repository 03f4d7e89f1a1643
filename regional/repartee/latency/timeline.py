"""Where the milliseconds of a turn went.

A timeline is a row of marks in the order of time, from the caller's last sample of speech to the answer's first
audible one. A stage is what lies between two marks, so each millisecond belongs to exactly one stage and the
stages sum to the voice-to-voice latency. Times are seconds, on any monotonic clock; results are ms.
"""

from dataclasses import dataclass
from typing import Literal

import msgspec

from repartee.latency.kinds import TurnKind, over_budget

Stage = Literal["end_of_turn", "llm", "model", "tool", "chunk", "tts", "hold", "filler", "lead_in"]

STAGES: dict[Stage, str] = {
    "end_of_turn": "the caller's last sample arrived → the (eager) end of the turn was heard",
    "llm": "→ the model's first token",
    "model": "→ a speech-to-speech model's first byte of speech, or its tool call",
    "tool": "→ the tools' results were there",
    "chunk": "→ the first speakable chunk went to the voice",
    "tts": "→ the first byte of speech",
    "hold": "→ the turn was confirmed and the audio released",
    "filler": "→ what was being said while a tool ran had been heard to its end",
    "lead_in": "→ the first audible sample (silence at the head of that audio)",
}
"""What each stage covers, in the order of time; a stage that did not happen is left out of a trace."""


@dataclass(slots=True)
class _Start:
    """Where a turn's timelines begin: they all move if it turns out to have been earlier."""

    at: float
    certain: bool = True


class Timeline:
    """One turn's marks."""

    def __init__(self, starts_at: float, *, certain: bool = True) -> None:
        self._start = _Start(starts_at, certain)
        self._marks: list[tuple[Stage, float]] = []

    def __repr__(self) -> str:
        return f"<Timeline {self.stages_ms()}>"

    def mark(self, stage: Stage, at: float) -> None:
        """The stage ended at this time: what has passed since the mark before belongs to it.

        A time before the last mark (a clock read late) counts as that mark, so a stage is never negative.
        """
        self._marks.append((stage, max(at, self._last)))

    def start_at(self, at: float, *, certain: bool = True) -> None:
        """The caller's last sample of speech arrived then, at the first mark or before; for all copies too."""
        self._start.at = min(at, self._marks[0][1]) if self._marks else at
        self._start.certain = certain

    @property
    def certain(self) -> bool:
        """Whether that time is sure; noise may hide the end of speech."""
        return self._start.certain

    @property
    def starts_at(self) -> float:
        """When the caller's last sample of speech arrived (seconds)."""
        return self._start.at

    @property
    def total_ms(self) -> float:
        """Voice-to-voice latency so far."""
        return (self._last - self._start.at) * 1000

    def stages_ms(self) -> dict[str, float]:
        """Milliseconds by stage, in the order of time."""
        stages_s: dict[str, float] = {}
        last = self._start.at
        for stage, at in self._marks:
            stages_s[stage] = stages_s.get(stage, 0.0) + at - last
            last = at
        return {stage: round(seconds * 1000, 3) for stage, seconds in stages_s.items()}

    def copy(self) -> "Timeline":
        """A timeline with the same marks, and marks of its own from here on."""
        twin = Timeline(self._start.at)
        twin._start = self._start
        twin._marks = list(self._marks)
        return twin

    @property
    def _last(self) -> float:
        return self._marks[-1][1] if self._marks else self._start.at


class TurnTrace(msgspec.Struct, frozen=True):
    """What is known of a turn when its answer has become audible.

    ``filler_ms``: when the caller heard something while a tool ran; ``prefetch``: ``hit`` or ``miss``, None without
    a tool that may be run ahead. ``speech_end_certain`` is false where noise hid the end of the caller's speech: then
    the latency is an estimate.
    """

    turn_id: int
    reply_id: int
    voice_to_voice_ms: float
    stages_ms: dict[str, float]
    speculative: bool
    filler_ms: float | None = None
    prefetch: str | None = None
    kind: TurnKind = "plain"
    speech_end_certain: bool = True

    @property
    def over_budget(self) -> bool:
        """It took longer than a turn of its kind may."""
        return over_budget(self.kind, self.voice_to_voice_ms, self.stages_ms, self.filler_ms)
