"""The caller's turns as a speech-to-speech provider tells of them: where their time went, and what became of them.

Whose turn it is, the provider decides; this only keeps the record. Times are seconds and come in as ``now``.
"""

from dataclasses import dataclass, field
from typing import Any

from repartee.latency.kinds import kind_of
from repartee.latency.timeline import Timeline, TurnTrace
from repartee.turn import commands as c
from repartee.turn.outcome import TurnOutcome, when_cut, when_left
from repartee.turn.speaker import Speaker
from repartee.turn.tool_wait import ToolWait


@dataclass(slots=True)
class _Turn:
    turn_id: int
    timeline: Timeline | None = None
    trace: TurnTrace | None = None
    answered: bool = False
    silent_ms: float = 0.0


@dataclass(slots=True)
class TurnLedger:
    """The turns so far. ``wait`` knows of fillers and prefetches; ``turn_id`` is the current turn's;
    ``speaking``: the caller is."""

    wait: ToolWait[Any]
    speaker: Speaker = field(default_factory=Speaker)
    turn_id: int = 0
    speaking: bool = False
    _turn: _Turn | None = None
    _ended: bool = True
    _replies: int = 0
    """The speaker's ids for answers are counted from 1, those for all else from -1 down."""
    _fillers: int = 0
    _reply_of: dict[str, int] = field(default_factory=dict)

    def started(self, now: float, *, interrupts: bool = True) -> list[c.Command]:
        """The caller has begun to speak. The turn before ends here, and playing stops if they interrupt."""
        sounding = self.speaker.sounding(now) if interrupts else None
        cut: list[c.Command] = []
        if sounding is not None:
            answered = self._turn.turn_id if self._turn else 0
            cut = [c.SpeechCut(answered, self.speaker.heard_ms(sounding, now))]
        commands = cut + self.ended("superseded" if sounding is None else "interrupted", now)
        if interrupts:
            self.speaker.stop(now)
        self.turn_id += 1
        self.speaking = True
        return commands

    def stopped(self, now: float, speech_ended_at: float | None, *, certain: bool = True) -> list[c.Command]:
        """The caller's turn is over; its last sample of speech had arrived at ``speech_ended_at``, which may not be
        ``certain``."""
        commands = self.ended("superseded", now)
        if not self.speaking:
            self.turn_id += 1
        self.speaking = False
        self._ended = False
        self._turn = _Turn(self.turn_id)
        if speech_ended_at is not None:
            self._turn.timeline = Timeline(min(speech_ended_at, now), certain=certain)
            self._turn.timeline.mark("end_of_turn", now)
        return commands

    def called_tool(self, now: float) -> None:
        """The model has asked for a tool."""
        if self._turn and self._turn.timeline and not self._turn.trace:
            self._turn.timeline.mark("model", now)

    def tools_answered(self, now: float) -> None:
        """The model has all that it asked for."""
        if self._turn and self._turn.timeline and not self._turn.trace:
            self._turn.timeline.mark("tool", now)

    @property
    def speech_ended_at(self) -> float | None:
        """When the last sample of the current turn's speech arrived."""
        return self._turn.timeline.starts_at if self._turn and self._turn.timeline else None

    def sent_filler(self, length_ms: float, lead_in_ms: float, now: float) -> int:
        """Something was sent to be heard while a tool runs. Returns the speaker's id for it."""
        self._fillers -= 1
        starts_at = self.speaker.play(self._fillers, length_ms, now)
        self.wait.note_filler(starts_at + lead_in_ms / 1000)
        return self._fillers

    def sent_audio(
        self, response_id: str, item_id: str, length_ms: float, silent_ms: float, now: float
    ) -> list[c.Command]:
        """Audio of an answer was sent, of which the first ``silent_ms`` are silence (all of it, or less).

        ``silent_ms`` matters until the turn is traced (:attr:`untraced`).
        """
        starts_at = self.speaker.play(self.reply_id(response_id), length_ms, now)
        turn = self._turn
        if turn is None or turn.trace:
            return []
        if turn.timeline is None:
            turn.answered = True
            return []
        if not turn.silent_ms:
            turn.timeline.mark("model", now)
            if starts_at > now:
                turn.timeline.mark("filler", starts_at)
        turn.silent_ms += silent_ms
        if silent_ms >= length_ms:
            return []
        turn.timeline.mark("lead_in", starts_at + silent_ms / 1000)
        return self._traced(turn, response_id, item_id)

    @property
    def untraced(self) -> bool:
        """There is a turn whose answer is not audible yet."""
        return self._turn is not None and self._turn.trace is None

    @property
    def unanswered(self) -> bool:
        """There is a turn of which nothing has been answered."""
        return self._turn is not None and self._turn.trace is None and not self._turn.answered

    def wrote(self) -> None:
        """The answer is in writing, and complete."""
        if self._turn:
            self._turn.answered = True

    def responded(self, now: float, *, more: bool, failed: bool) -> float | None:
        """A response is over; ``more``: another follows in this turn. Returns when to ask :meth:`played`."""
        turn = self._turn
        if turn is None or more:
            return None
        if failed and not turn.trace and not turn.answered:
            self._ended = True
            return now
        self._ended = True
        return max(self.speaker.ends_at, now)

    def played(self, now: float) -> list[c.Command]:
        """Everything that was sent has been played."""
        if not self._ended or self.speaker.ends_at > now:
            return []
        turn = self._turn
        answered = turn is not None and (turn.trace is not None or turn.answered)
        return self.ended("answered" if answered else "unanswered", now)

    def ended(self, outcome: TurnOutcome, now: float) -> list[c.Command]:
        """Whatever turn there is ends so. One that was never audible was not interrupted."""
        turn, self._turn = self._turn, None
        self._ended = True
        self.speaker.forget(now - 60)
        self._reply_of.clear()
        self.wait.forget_turn()
        if turn is None:
            return []
        if outcome == "interrupted":
            outcome = when_cut(audible=turn.trace is not None, unheard="superseded")
        if outcome == "superseded":
            outcome = when_left(answered=turn.trace is not None or turn.answered, otherwise=outcome)
        return [c.TurnFinished(turn.turn_id, outcome, turn.trace)]

    def _traced(self, turn: _Turn, response_id: str, item_id: str) -> list[c.Command]:
        assert turn.timeline is not None
        stages_ms = turn.timeline.stages_ms()
        turn.trace = TurnTrace(
            turn.turn_id,
            self.reply_id(response_id),
            round(turn.timeline.total_ms, 3),
            stages_ms,
            False,
            self.wait.filler_ms,
            self.wait.prefetch,
            kind_of(stages_ms, self.wait.prefetch),
            turn.timeline.certain,
        )
        return [c.TurnTraced(turn.trace, response_id, item_id)]

    def reply_id(self, response_id: str) -> int:
        """The number of a response, which is the speaker's id for it."""
        if response_id not in self._reply_of:
            self._replies += 1
            self._reply_of[response_id] = self._replies
        return self._reply_of[response_id]
