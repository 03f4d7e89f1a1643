"""A recogniser that hears perfectly, made from a recording's own words and pauses, and messages as nova or Flux send.

Owns when it says what. It shows what the turn-taking makes of a line by itself: real recognisers hear worse, so what
is measured with it is a bound. Times are seconds of the recording; nothing here waits.
"""

import heapq
from dataclasses import dataclass, field

import numpy as np

from repartee.bench.recordings import RecordedTurn
from repartee.turn.endpointing import Transcript
from repartee.turn.events import EagerEndOfTurn, EndOfTurn, StartOfTurn, TurnResumed

FluxEvent = StartOfTurn | EagerEndOfTurn | TurnResumed | EndOfTurn


@dataclass(frozen=True, slots=True)
class RecogniserSettings:
    """How a recogniser behaves."""

    word_lag_s: float = 0.18
    """A word comes so long after it has ended."""

    finalize_s: float = 0.08
    """A request to finalise is answered in so long."""

    silence_s: float = 0.30
    speech_final_lag_s: float = 0.06
    """So much silence is the end of speech to it, and it says so this much later."""

    word_jitter_s: float = 0.06
    """Standard deviation of its words' times. No vendor publishes one; forced alignment is off by so much."""

    eager_s: float = 0.16
    end_s: float = 0.32
    """Silences after which Flux tells of an eager end, and of the end."""

    heard_share: float = 0.6
    """A word is recognised once so much of it has been heard."""


@dataclass(frozen=True, slots=True)
class HeardWord:
    """A word as a recogniser has it: where it begins and ends, roughly, and when enough of it has been heard."""

    text: str
    starts_s: float
    ends_s: float
    known_s: float


def heard_words(turn: RecordedTurn, settings: RecogniserSettings) -> list[HeardWord]:
    """The recording's words, the last of each stretch of speech ending where that does; and with a recogniser's
    error, the same for the same recording. Without words, one for each stretch."""
    rng = np.random.default_rng(list(turn.name.encode()))
    words = [(word.text, word.starts_s, word.ends_s) for word in turn.words]
    words = words or [("word", starts_s, ends_s) for starts_s, ends_s in turn.segments_s]
    heard = []
    for number, (text, told_start_s, told_end_s) in enumerate(words):
        follows_s = words[number + 1][1] if number + 1 < len(words) else float("inf")
        last = [end_s for _, end_s in turn.segments_s if told_start_s < end_s <= max(follows_s, told_end_s)]
        ends_s = last[-1] if last else min(told_end_s, turn.ends_s)
        starts_s = min(told_start_s, ends_s)
        known_s = starts_s + settings.heard_share * (ends_s - starts_s)
        error_s = float(np.clip(rng.normal(0, settings.word_jitter_s), -0.2, 0.2))
        heard.append(HeardWord(text, starts_s, ends_s + error_s, known_s))
    return heard


@dataclass(slots=True)
class ScriptedNova:
    """nova over one recording: :meth:`due` gives its results in time, :meth:`finalize` asks for the words so far."""

    turn: RecordedTurn
    settings: RecogniserSettings = field(default_factory=RecogniserSettings)
    word_times: bool = True
    _words: list[HeardWord] = field(init=False)
    _events: list[tuple[float, int, bool, float]] = field(init=False, default_factory=list)
    _final: int = field(init=False, default=0)
    _count: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self._words = heard_words(self.turn, self.settings)
        for word in self._words:
            self._plan(word.known_s + self.settings.word_lag_s, False, word.known_s)
        segments = self.turn.segments_s
        follows = [*(start for start, _ in segments[1:]), float("inf")]
        for (_, ends_s), next_s in zip(segments, follows, strict=True):
            silent_s = ends_s + self.settings.silence_s
            if next_s > silent_s:
                self._plan(silent_s + self.settings.speech_final_lag_s, True, silent_s)

    def finalize(self, now: float) -> None:
        """The words so far are wanted."""
        self._plan(now + self.settings.finalize_s, True, -now)

    def due(self, now: float) -> list[Transcript]:
        """Results up to now."""
        results = []
        while self._events and self._events[0][0] <= now:
            _, _, final, heard_s = heapq.heappop(self._events)
            results.append(self._result(final, abs(heard_s), asked=heard_s < 0))
        return results

    def _plan(self, at: float, final: bool, heard_s: float) -> None:
        self._count += 1
        heapq.heappush(self._events, (at, self._count, final, heard_s))

    def _result(self, final: bool, heard_s: float, *, asked: bool) -> Transcript:
        known = [word for word in self._words if word.known_s <= heard_s]
        new = known[self._final :]
        starts_s = new[0].starts_s if new else heard_s
        if final:
            self._final = len(known)
        return Transcript(
            text=" ".join(word.text for word in new),
            start_s=starts_s,
            end_s=heard_s,
            final=final,
            speech_final=final and not asked,
            finalized=asked,
            last_word_ends_s=new[-1].ends_s if new and self.word_times else None,
        )


def flux_events(turn: RecordedTurn, settings: RecogniserSettings) -> list[tuple[float, FluxEvent]]:
    """What Flux says to a recording, and when: it decides on turns itself, by silence here. It gives no times."""
    events: list[tuple[float, FluxEvent]] = []
    words = heard_words(turn, settings)
    told, open_turn, eager = 0, False, False
    follows = [*(start for start, _ in turn.segments_s[1:]), float("inf")]
    for (starts_s, ends_s), next_s in zip(turn.segments_s, follows, strict=True):
        if eager:
            events.append((starts_s + settings.word_lag_s, TurnResumed()))
        elif not open_turn:
            events.append((starts_s + settings.word_lag_s, StartOfTurn("")))
        open_turn, eager = True, False
        known = sum(word.known_s <= ends_s for word in words)
        text = " ".join(word.text for word in words[told:known])
        if next_s > ends_s + settings.eager_s:
            eager = True
            events.append((ends_s + settings.eager_s, EagerEndOfTurn(text)))
        if next_s > ends_s + settings.end_s:
            events.append((ends_s + settings.end_s, EndOfTurn(text)))
            told, open_turn, eager = known, False, False
    return events
