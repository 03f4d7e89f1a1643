"""When the caller's speech ended: when to look for that in the audio, and which of the answers counts.

An end of turn must not wait for a figure. So this looks for the place once the reply to an eager end is in
progress, and again a little later, when it can hear more of what follows the speech. The turn's end takes what is
known by then. Where silence follows the speech, the first look is exact and is the only one.

The audio is kept for a few seconds. Of a turn whose end is later than that, a look sees the last of the speech, or
none, and takes noise for it: what an earlier look has found stands then.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import msgspec

from repartee.audio.pcm import duration_ms
from repartee.audio.speech_end import CallerAudio, SpeechEnd
from repartee.providers.interfaces import Hearing
from repartee.turn.events import EagerEndOfTurn, EndOfTurn, TurnResumed


class Timer(Protocol):
    """What :attr:`EndTiming.call_later` gives."""

    def cancel(self) -> None:
        """Nothing is called."""


@dataclass(frozen=True, slots=True)
class EndLooks:
    """How long after an eager end of turn its place in the audio is sought, in ms: when the request to the model is
    out, and when so much more of the noise has been heard as shows that it is one."""

    first_ms: float = 5.0
    second_ms: float = 130.0


CONTEXT_S = 0.5
"""A look that does not see so much of what precedes a known end of speech says nothing against it, unless it finds
speech that silence follows."""


class EndTiming:
    """One caller's audio, and the ends of speech in it. ``call_later`` takes seconds and a callback."""

    def __init__(
        self, hz: int, call_later: Callable[[float, Callable[[], None]], Timer], looks: EndLooks | None = None
    ) -> None:
        self._hz = hz
        self._call_later = call_later
        self._looks = looks or EndLooks()
        self._audio = CallerAudio(hz)
        self.feed = self._audio.append
        """Takes audio, and when its last sample arrived (s, monotonic)."""
        self._word_ends_at: int | None = None
        self._found: SpeechEnd | None = None
        self._late: SpeechEnd | None = None
        self._outdated = False
        self._timers: list[Timer] = []

    def timed(self, event: Hearing, waiting_ms: float = 0.0) -> Hearing:
        """The event; an end of turn with the time at which the speech that it ends had arrived.

        ``waiting_ms``: so much of the audio has not gone to the recogniser yet. No speech came between an eager end
        and the end that confirms it, or the turn would have been resumed.
        """
        match event:
            case EagerEndOfTurn():
                self.forget()
                self._note_word(event.word_ended_ms, waiting_ms)
                looks = (self._looks.first_ms, self._looks.second_ms)
                self._timers = [self._call_later(ms / 1000, self._look) for ms in looks]
            case TurnResumed():
                self.forget()
            case EndOfTurn():
                if self._found is None:
                    self._note_word(event.word_ended_ms, waiting_ms)
                    self._look()
                found = self._known(self._found)
                self.forget()
                self.forget_late()
                if found is not None:
                    return msgspec.structs.replace(
                        event, speech_ended_at=found.at, speech_end_certain=found.certain
                    )
        return event

    def forget(self) -> None:
        """The speech goes on, or another turn's is awaited."""
        for timer in self._timers:
            timer.cancel()
        self._timers = []
        self._found = self._word_ends_at = None

    def note_late(self) -> None:
        """The turn's end is late in coming: remember when its speech ended, before the audio is let go."""
        found = self._audio.speech_end()
        self._late = self._known(found)
        self._outdated = self._outdated and found is None

    def goes_on(self) -> None:
        """The caller is heard speaking on: what was noted is an end only if no later one can be found."""
        self._outdated = True

    def forget_late(self) -> None:
        """No turn is open."""
        self._late = None
        self._outdated = False

    def _known(self, found: SpeechEnd | None) -> SpeechEnd | None:
        """What is known with this, which a look has just found: that, or what was noted before."""
        late = self._late
        if found is None or late is None:
            return found or late
        seen = self._audio.kept_since <= late.at - CONTEXT_S and (found.certain or not late.certain)
        return found if found.quiet or seen or self._outdated else late

    def _note_word(self, ended_ms: float | None, waiting_ms: float) -> None:
        if ended_ms is not None:
            self._word_ends_at = self._audio.total_bytes - int((ended_ms + waiting_ms) * self._hz / 1000) * 2

    def _look(self) -> None:
        if self._found is not None and self._found.quiet:
            return
        word_ended_ms = None
        if self._word_ends_at is not None:
            word_ended_ms = duration_ms(self._audio.total_bytes - self._word_ends_at, self._hz)
        self._found = self._audio.speech_end(word_ended_ms=word_ended_ms)
