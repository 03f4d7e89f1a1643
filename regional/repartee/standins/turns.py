"""When a turn starts, pauses and ends, for Flux and for nova. Pure: audio time goes in, events come out.

Knows no words and no wire format. A client that stops sending audio stops this clock.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Literal

from repartee.standins.detector import Detector

UPDATE_MS = 250.0
"""Flux tells what it has heard about every quarter second of audio; so does nova with interim results."""

UNFINISHED_MS = 800.0
"""A turn whose words break off ("my name is") waits for as much silence before it ends."""

UNSURE_MS = 1_200.0
"""And one of whose words nothing is understood: the pauses within people's turns are mostly shorter."""

USUAL_EAGER, USUAL_EOT = 0.5, 0.7
"""The thresholds at which a profile's silences end a turn, eagerly and for good."""

NEVER_EOT = 1.0
"""From this threshold on no end is found, as Deepgram has it: the client ends turns, or the time-out does."""


class TurnEvent(Enum):
    """What the client hears of, in Flux's names."""

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

    def silence_ms(self, threshold: float) -> float:
        """How much silence takes the confidence that the turn is over up to a threshold (0 to 1)."""
        if threshold >= NEVER_EOT:
            return math.inf
        if threshold <= USUAL_EAGER:
            return self.eager_ms * threshold / USUAL_EAGER
        slope = (self.end_ms - self.eager_ms) / (USUAL_EOT - USUAL_EAGER)
        return self.eager_ms + slope * (threshold - USUAL_EAGER)


@dataclass(slots=True)
class FluxTurns:
    """Flux's turns: idle → speaking → (paused after an eager end) → idle.

    ``eager_eot`` is the confidence for an eager end (None: none are wanted), ``eot`` that for an end; ``timeout_ms``
    of silence end a turn in any case; ``times`` draws the delays of each turn anew.
    """

    times: Callable[[], TurnTimes]
    eager_eot: float | None
    timeout_ms: float
    eot: float = USUAL_EOT
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
        threshold = self.eot if self.eager_eot is None else self.eager_eot
        return min(self._now.silence_ms(threshold), self.timeout_ms)

    def step(self, heard: Detector, *, hold_ms: float = 0.0, worded: bool = True) -> list[TurnEvent]:
        """What follows from the audio so far. Call it after each step of the detector.

        ``hold_ms``: the turn does not end before so much silence, for what its words are; ``worded``: there are
        some, without which no turn begins or seems to end.
        """
        if heard.onset_ms is None:
            return []
        if self._now is None:
            self._now = self.times()
        if not self.speaking:
            return self._maybe_start(heard, self._now) if worded else []
        silence_ms = heard.position_ms - heard.last_sound_ms
        events: list[TurnEvent] = []
        if self.paused and heard.last_sound_ms > self._eager_at_ms:
            self.paused = False
            events.append(TurnEvent.RESUMED)
        found_ms = self._now.silence_ms(self.eot)
        end_ms = max(found_ms, hold_ms)
        timed_out = silence_ms >= self.timeout_ms
        if not self.paused and worded and self._is_eager(silence_ms, hold_ms):
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

    def _is_eager(self, silence_ms: float, hold_ms: float) -> bool:
        if self.eager_eot is None or self._now is None:
            return False
        eager_ms = self._now.silence_ms(self.eager_eot)
        held_ms = hold_ms - (self._now.end_ms - self._now.eager_ms)
        return silence_ms >= min(max(eager_ms, held_ms), self.timeout_ms)

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


APART_MS = 300.0
"""So much silence parts two of nova's utterances. With a shorter endpointing one utterance comes in pieces."""


class NovaEvent(Enum):
    """What nova tells: its messages, before they have words; and, told to nobody, that an utterance goes on after a
    piece of it was made final, or that it is over."""

    SPEECH_STARTED = "SpeechStarted"
    INTERIM = "interim"
    FINAL = "final"
    SPEECH_FINAL = "speech final"
    UTTERANCE_END = "UtteranceEnd"
    RESUMED = "resumed"
    OVER = "over"


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
    paused: bool = False
    ended_at_ms: float | None = None
    _paused_at_ms: float = 0.0
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
        if self.paused:
            return events + self._after_a_piece(heard)
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

    @property
    def in_pieces(self) -> bool:
        """Its endpointing is shorter than what parts utterances."""
        return self.endpointing_ms is not None and self.endpointing_ms < APART_MS

    def pause(self, heard: Detector) -> None:
        """A piece of the utterance was told as final: it may go on."""
        self.paused, self.speaking = True, False
        self._paused_at_ms = heard.last_sound_ms

    def _after_a_piece(self, heard: Detector) -> list[NovaEvent]:
        if heard.last_sound_ms > self._paused_at_ms:
            self.paused, self.speaking = False, True
            self._segment_start_ms = heard.position_ms
            return [NovaEvent.RESUMED]
        if heard.position_ms - heard.last_sound_ms >= APART_MS:
            return [NovaEvent.OVER]
        return []

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
        self.speaking = self.paused = False
        self._delay_ms = None
