"""When a turn starts, pauses and ends, for Flux and for nova. Pure: audio time goes in, events come out.

Knows no words and no wire format. A client that stops sending audio stops this clock.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Literal

from repartee.standins.detector import Detector

UPDATE_MS = 250.0
"""Flux tells what it has heard about every quarter second of audio; so does nova with interim results."""

UNFINISHED_MS = 800.0
"""A turn whose words break off ("my name is") waits for as much silence before it ends."""


class TurnEvent(Enum):
    """What is told to the client, in Flux's names."""

    START = "StartOfTurn"
    UPDATE = "Update"
    EAGER = "EagerEndOfTurn"
    RESUMED = "TurnResumed"
    END = "EndOfTurn"


Trigger = Literal["model", "manual", "timeout"]


@dataclass(frozen=True, slots=True)
class TurnTimes:
    """One turn's delays in ms of audio: after the first sound, and of silence after the last."""

    start_ms: float
    eager_ms: float
    end_ms: float


@dataclass(slots=True)
class FluxTurns:
    """Flux's turns: idle → speaking → (paused after an eager end) → idle.

    ``eager`` says whether eager ends are wanted; ``timeout_ms`` of silence end a turn in any case; ``times`` draws
    the delays of each turn anew.
    """

    times: Callable[[], TurnTimes]
    eager: bool
    timeout_ms: float
    turn_index: int = 0
    speaking: bool = False
    paused: bool = False
    trigger: Trigger = "model"
    _now: TurnTimes | None = None
    _next_update_ms: float = 0.0
    _eager_at_ms: float = 0.0

    @property
    def first_pause_ms(self) -> float:
        """How much silence comes before this turn's first word of an end, eager or not."""
        if self._now is None:
            return 0.0
        return min(self._now.eager_ms if self.eager else self._now.end_ms, self.timeout_ms)

    def step(self, heard: Detector, *, unfinished: bool = False) -> list[TurnEvent]:
        """What follows from the audio so far. Call it after each step of the detector."""
        if heard.onset_ms is None:
            return []
        if self._now is None:
            self._now = self.times()
        if not self.speaking:
            return self._maybe_start(heard, self._now)
        silence_ms = heard.position_ms - heard.last_sound_ms
        events: list[TurnEvent] = []
        if self.paused and heard.last_sound_ms > self._eager_at_ms:
            self.paused = False
            events.append(TurnEvent.RESUMED)
        hold_ms = UNFINISHED_MS if unfinished else 0.0
        end_ms = max(self._now.end_ms, hold_ms)
        eager_ms = end_ms - (self._now.end_ms - self._now.eager_ms)
        timed_out = silence_ms >= self.timeout_ms
        if self.eager and not self.paused and silence_ms >= min(eager_ms, self.timeout_ms):
            self.paused = True
            self._eager_at_ms = heard.last_sound_ms
            events.append(TurnEvent.EAGER)
        if silence_ms >= end_ms or timed_out:
            self.trigger = "model" if silence_ms >= end_ms else "timeout"
            events.append(TurnEvent.END)
        elif not self.paused and heard.position_ms >= self._next_update_ms:
            self._next_update_ms = heard.position_ms + UPDATE_MS
            events.append(TurnEvent.UPDATE)
        return events

    def _maybe_start(self, heard: Detector, times: TurnTimes) -> list[TurnEvent]:
        assert heard.onset_ms is not None
        if not heard.confirmed or heard.position_ms < heard.onset_ms + times.start_ms:
            return []
        self.speaking = True
        self._next_update_ms = heard.position_ms + UPDATE_MS
        return [TurnEvent.START]

    def force_end(self, heard: Detector) -> list[TurnEvent]:
        """The client ends the turn now; nothing if there is none."""
        if heard.onset_ms is None:
            return []
        events = [] if self.speaking else [TurnEvent.START]
        self.speaking = True
        self.trigger = "manual"
        return [*events, TurnEvent.END]

    def over(self) -> None:
        """The end has been told: the next sound opens the next turn."""
        self.turn_index += 1
        self.speaking = False
        self.paused = False
        self.trigger = "model"
        self._now = None


class NovaEvent(Enum):
    """What nova tells: its messages, before they have words."""

    SPEECH_STARTED = "SpeechStarted"
    INTERIM = "interim"
    FINAL = "final"
    SPEECH_FINAL = "speech final"
    UTTERANCE_END = "UtteranceEnd"


@dataclass(slots=True)
class NovaTurns:
    """Nova's utterances. ``endpointing_ms`` None: never ``speech_final``; ``utterance_end_ms`` None: no UtteranceEnd.

    An utterance longer than ``segment_ms`` is made final piece by piece.
    """

    start_ms: Callable[[], float]
    endpointing_ms: float | None
    utterance_end_ms: float | None
    interim: bool
    segment_ms: float = 4000.0
    speaking: bool = False
    ended_at_ms: float | None = None
    _delay_ms: float | None = None
    _next_interim_ms: float = 0.0
    _segment_start_ms: float = 0.0

    def step(self, heard: Detector) -> list[NovaEvent]:
        """What follows from the audio so far. Call it after each step of the detector."""
        events: list[NovaEvent] = []
        if self.ended_at_ms is not None and self.utterance_end_ms is not None:
            starts = heard.onset_ms is not None
            if heard.position_ms - self.ended_at_ms >= self.utterance_end_ms or starts:
                if not starts:
                    events.append(NovaEvent.UTTERANCE_END)
                self.ended_at_ms = None
        if heard.onset_ms is None:
            return events
        if self._delay_ms is None:
            self._delay_ms = self.start_ms()
        if not self.speaking:
            if heard.confirmed and heard.position_ms >= heard.onset_ms + self._delay_ms:
                self.speaking = True
                self._segment_start_ms = heard.onset_ms
                self._next_interim_ms = heard.position_ms
                events.append(NovaEvent.SPEECH_STARTED)
            return events
        return events + self._speaking(heard)

    def _speaking(self, heard: Detector) -> list[NovaEvent]:
        silence_ms = heard.position_ms - heard.last_sound_ms
        ends_ms = self.endpointing_ms if self.endpointing_ms is not None else self.segment_ms
        if silence_ms >= ends_ms:
            return [NovaEvent.SPEECH_FINAL if self.endpointing_ms is not None else NovaEvent.FINAL]
        if heard.position_ms - self._segment_start_ms >= self.segment_ms:
            self._segment_start_ms = heard.position_ms
            self._next_interim_ms = heard.position_ms + UPDATE_MS
            return [NovaEvent.FINAL]
        if self.interim and heard.position_ms >= self._next_interim_ms:
            self._next_interim_ms = heard.position_ms + UPDATE_MS
            return [NovaEvent.INTERIM]
        return []

    def over(self, heard: Detector) -> None:
        """The utterance has been told to its end: the next sound opens the next one."""
        self.ended_at_ms = heard.last_sound_ms
        self.speaking = False
        self._delay_ms = None
