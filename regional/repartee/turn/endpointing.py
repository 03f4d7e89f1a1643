"""When does the caller's turn begin, probably end, go on and end? For recognisers that only transcribe.

Owns the rule that turns a recogniser's results (Deepgram's nova: interim and final transcripts, speech started,
utterance end) and a local voice activity detector's frames into the turn events that the core understands. Pure: the
time comes in as ``now`` (s), a deadline is read from :attr:`Endpointer.deadline`, and asking the recogniser to flush
is an output. Recognisers that decide on turns themselves (Flux) need none of this.

How an eager end of turn comes about, counted from the caller's last sound::

    +60 ms   local silence: the final words do not reach the last sound, so ask the recogniser to finalise
    +~120    the finalised words reach the last sound
    +100     at least this much local silence, and the words complete: EagerEndOfTurn
    ...      local speech again, or other words: TurnResumed
    +360     the recogniser's own end of speech, or local silence as long: EndOfTurn with the same words

Positions in the audio are seconds from the start of the recogniser's stream. Silence is counted in audio, not on the
clock: a network that holds frames back and lets them go in a bunch neither ends a turn nor draws one out. Audio that
is played to a recogniser faster than it was spoken (a turn that another one has lost) runs ahead of its results, so
silence ends no turn, and neither does a pause that the recogniser reports, before it has heard as far as the caller
spoke.
"""

import math
import re
from dataclasses import dataclass

from repartee.turn.events import (
    EagerEndOfTurn,
    EndOfTurn,
    Event,
    PartialTranscript,
    StartOfTurn,
    TurnResumed,
)


@dataclass(frozen=True, slots=True)
class EndpointingSettings:
    """Thresholds; silence and speech are the local detector's."""

    eager_silence_ms: float = 100.0
    """Silence after which complete words are probably the whole turn."""
    end_silence_ms: float = 360.0
    """Silence that ends the turn if the recogniser has not: its own endpointing plus its usual delay."""
    finalize_silence_ms: float | None = 60.0
    """Silence after which final words are asked for, if they do not reach the last sound; None: never, and interim
    words that reach it are taken for complete (they may still lack the last one)."""
    finalize_speech_ms: float = 300.0
    """Speech that must lie between two such requests, so that the gaps within words do not cut them up."""
    resume_speech_ms: float = 60.0
    """Speech after an eager end that takes it back."""
    coverage_slack_ms: float = 60.0
    """Words that end so little before the last sound are complete: the rest is a fading vowel or a breath."""
    empty_turn_ms: float = 1_500.0
    """Silence that ends a turn in which no word was recognised."""
    finalize_wait_ms: float = 1_000.0
    """How long the answer to a request to finalise is waited for."""
    owed_final_ms: float = 500.0
    """So long after such a request a turn does not end without the words that it is to bring; a recogniser that
    answers late loses none of them, and one that does not answer costs no more than this."""
    silent_ms: float = 3_000.0
    """The same for a recogniser whose results, final or not, do not reach the last sound: it has stalled, or is on
    its way there. More than what the session waits (REPARTEE_STALL_S) before another one hears the turn."""
    audio_gap_ms: float = 1_000.0
    """A turn in which no audio comes at all for so long has ended."""


class Finalize(Event, frozen=True, gc=False):
    """Ask the recogniser for the final words of all the audio it has."""


class Transcript(Event, frozen=True, gc=False):
    """A recogniser's result for one stretch of audio, from ``start_s`` to ``end_s`` of its stream.

    ``final``: the words of this stretch will not change; ``speech_final``: the recogniser heard the speech end;
    ``finalized``: the answer to :class:`Finalize`; ``last_word_ends_s``: where its last word ends, in the stream.
    """

    text: str
    start_s: float
    end_s: float
    final: bool = False
    speech_final: bool = False
    finalized: bool = False
    last_word_ends_s: float | None = None


Output = StartOfTurn | PartialTranscript | EagerEndOfTurn | TurnResumed | EndOfTurn | Finalize

_NOT_WORDS = re.compile(r"[^\w\s']+")


def same_words(one: str, other: str) -> bool:
    """Equal but for punctuation and capitals, which a recogniser goes on polishing."""
    return one == other or _words(one) == _words(other)


def _words(text: str) -> list[str]:
    return _NOT_WORDS.sub(" ", text).casefold().split()


def _ms(seconds: float) -> float:
    """Sums of frames, without the dust of adding them up."""
    return round(seconds * 1000, 3)


class Endpointer:
    """One call's turns. Every method returns what follows, in order."""

    def __init__(self, settings: EndpointingSettings, *, frame_ms: float, heard_s: float = 0.0) -> None:
        """``frame_ms`` is the length of the local detector's frames; ``heard_s`` what the stream held before."""
        self._settings = settings
        self._frame_s = frame_ms / 1000
        self._heard_s = heard_s
        self._last_sound_s = heard_s
        self._sounded = False
        self._last_frame_at: float | None = None
        self._speech_run_s = 0.0
        self._speech_since_finalize_s = 0.0
        self._in_turn = False
        self._committed: list[str] = []
        self._interim = ""
        self._covered_s = heard_s
        self._reached_s = heard_s
        self._asked_s = 0.0
        self._shown = ""
        self._eager: str | None = None
        self._finalizing_until: float | None = None
        self._final_owed_until = 0.0
        self._silent_until = 0.0
        self._over = False
        self._stale_until_s = heard_s
        self._flushing_old = False
        self._word_ends_s: float | None = None

    @property
    def in_turn(self) -> bool:
        return self._in_turn

    @property
    def text(self) -> str:
        """The turn's words so far."""
        parts = [*self._committed, self._interim] if self._interim else self._committed
        return " ".join(parts)

    @property
    def deadline(self) -> float | None:
        """When :meth:`expire` wants to be called, if no audio comes before; None without a turn."""
        if not self._in_turn or self._last_frame_at is None:
            return None
        return self._last_frame_at + self._settings.audio_gap_ms / 1000

    def frame(self, speech: bool, now: float) -> list[Output]:
        """One frame of the local detector, whose audio has just been sent to the recogniser."""
        self._heard_s += self._frame_s
        self._last_frame_at = now
        if self._over and not self._final_is_owed(now):
            return self._end()
        if not speech:
            self._speech_run_s = 0.0
            return self._silence(now) if self._in_turn else []
        self._last_sound_s = self._heard_s
        self._sounded = True
        self._speech_run_s += self._frame_s
        self._speech_since_finalize_s += self._frame_s
        if self._eager is not None and _ms(self._speech_run_s) >= self._settings.resume_speech_ms:
            return self._resume()
        return []

    def speech_started(self) -> list[Output]:
        """The recogniser hears speech."""
        return self._begin("")

    def transcript(self, result: Transcript, now: float) -> list[Output]:
        """The recogniser's words."""
        if result.finalized:
            self._finalizing_until = None
        if self._is_stale(result):
            return []
        if self._is_behind and result.end_s > self._reached_s:
            self._owe(now)  # it is on its way
        self._reached_s = max(self._reached_s, result.end_s)
        if result.last_word_ends_s is not None:
            self._word_ends_s = result.last_word_ends_s
        if result.final:
            if result.text:
                self._committed.append(result.text)
            self._interim = ""
        else:
            self._interim = result.text
        if result.final or self._settings.finalize_silence_ms is None:
            self._covered_s = max(self._covered_s, result.end_s)
        outputs = self._begin(self.text) if self.text else []
        outputs += self._show()
        speech_final = result.speech_final and not self._goes_on_after(result.end_s)
        if self._in_turn and self.text and (speech_final or self._over):
            return outputs + self._end_with_finals(now, result.end_s)
        if self._in_turn:
            outputs += self._silence(now)
        return outputs

    def utterance_end(self, seen_s: float = math.inf) -> list[Output]:
        """The recogniser has seen no word for a while; ``seen_s``: up to here, in the stream."""
        if not self._in_turn or not self.text or self._goes_on_after(seen_s):
            return []
        return self._end_with_finals(self._last_frame_at or 0.0, seen_s)

    def force_end(self) -> list[Output]:
        """The turn is to end now, with the words there are."""
        if not self._in_turn:
            return [EndOfTurn("")]
        return self._end()

    def expire(self, now: float) -> list[Output]:
        """End the turn if the deadline has passed, and no words are owed that were spoken."""
        deadline = self.deadline
        if deadline is None or now < deadline:
            return []
        asked = self._ask_for_the_rest(now)
        return asked if self._final_is_owed(now) else self._end()

    # --- within ------------------------------------------------------------------------------------------------

    def _is_stale(self, result: Transcript) -> bool:
        """Results for audio of a turn that has ended already."""
        if self._flushing_old and result.start_s < self._stale_until_s:
            self._flushing_old = not result.finalized
            return True
        self._flushing_old = False
        return result.end_s <= self._stale_until_s

    def _begin(self, text: str) -> list[Output]:
        if self._in_turn:
            return []
        self._in_turn = True
        self._shown = text
        if not self._sounded:  # too soft for the local detector: its silence begins here
            self._last_sound_s = self._heard_s
        return [StartOfTurn(text)]

    def _show(self) -> list[Output]:
        """Words that are new; other words than the eager end's take that back."""
        text = self.text
        if not self._in_turn or text == self._shown:
            return []
        self._shown = text
        outputs: list[Output] = []
        if self._eager is not None:
            if same_words(text, self._eager):
                return []
            outputs += self._resume()
        return [*outputs, PartialTranscript(text)]

    def _resume(self) -> list[Output]:
        self._eager = None
        return [TurnResumed()]

    def _silence(self, now: float) -> list[Output]:
        """What the silence since the last sound means."""
        settings = self._settings
        silence_ms = _ms(self._heard_s - self._last_sound_s)
        if silence_ms >= (settings.end_silence_ms if self.text else settings.empty_turn_ms):
            asked = self._ask_for_the_rest(now)
            return asked if self._final_is_owed(now) else self._end()
        if self._eager is None and self.text and self._complete and silence_ms >= settings.eager_silence_ms:
            self._eager = self.text
            return [EagerEndOfTurn(self._eager, word_ended_ms=self._word_ended_ms)]
        asks_after_ms = settings.finalize_silence_ms
        if asks_after_ms is not None and not self._complete and silence_ms >= asks_after_ms:
            return self._finalize(now)
        return []

    @property
    def _word_ended_ms(self) -> float | None:
        """How much audio has come since the last word ended."""
        return None if self._word_ends_s is None else _ms(self._heard_s - self._word_ends_s)

    @property
    def _complete(self) -> bool:
        """The words that will not change reach to the last sound."""
        return self._covered_s >= self._last_sound_s - self._settings.coverage_slack_ms / 1000

    def _finalize(self, now: float) -> list[Output]:
        if self._finalizing_until is not None and now < self._finalizing_until:
            return []
        if _ms(self._speech_since_finalize_s) < self._settings.finalize_speech_ms:
            return []
        return self._ask(now)

    def _ask_for_the_rest(self, now: float) -> list[Output]:
        """The final words of a turn that the recogniser has not heard to its end, once after its last sound."""
        asks = self._settings.finalize_silence_ms is not None
        waits = self._finalizing_until is not None and now < self._finalizing_until
        if not asks or waits or not self._is_behind or self._asked_s >= self._last_sound_s:
            return []
        return self._ask(now)

    def _ask(self, now: float) -> list[Output]:
        self._asked_s = self._heard_s
        self._speech_since_finalize_s = 0.0
        self._finalizing_until = now + self._settings.finalize_wait_ms / 1000
        self._owe(now)
        return [Finalize()]

    def _owe(self, now: float) -> None:
        self._final_owed_until = now + self._settings.owed_final_ms / 1000
        self._silent_until = now + self._settings.silent_ms / 1000

    @property
    def _is_behind(self) -> bool:
        """No result, final or not, reaches to the last sound."""
        return _ms(self._reached_s) < _ms(self._last_sound_s)

    def _goes_on_after(self, at_s: float) -> bool:
        """The caller has spoken on after this place, as the recogniser will hear."""
        return _ms(self._last_sound_s - at_s) >= self._settings.finalize_speech_ms

    def _final_is_owed(self, now: float) -> bool:
        """Words that were asked for may still come, and those that there are do not reach the last sound."""
        asked = self._finalizing_until is not None
        until = self._silent_until if self._is_behind and not self._over else self._final_owed_until
        return asked and now < until and not self._complete

    def _end_with_finals(self, now: float, at_s: float) -> list[Output]:
        """The recogniser has heard the turn end: it ends with the words that were asked for."""
        self._over = self._final_is_owed(now)
        return [] if self._over else self._end(at_s)

    def _end(self, at_s: float = math.inf) -> list[Output]:
        """The turn ends; sound after ``at_s`` is the next one's."""
        text = self.text
        outputs: list[Output] = []
        if self._eager is not None:
            if same_words(text, self._eager):
                text = self._eager
            else:
                outputs.append(TurnResumed())
        outputs.append(EndOfTurn(text, word_ended_ms=self._word_ended_ms))
        if self._interim or self._finalizing_until is not None:
            # What was heard but is not final yet would come again as the next turn's first words.
            if self._finalizing_until is None:
                outputs.append(Finalize())
            self._flushing_old = True
        spoken_on = self._last_sound_s > at_s
        self._stale_until_s = self._covered_s = at_s if spoken_on else self._heard_s
        self._in_turn = self._over = False
        self._committed, self._interim, self._shown, self._eager = [], "", "", None
        self._word_ends_s = None
        self._sounded = spoken_on
        self._speech_since_finalize_s = 0.0
        self._finalizing_until = None
        return outputs
