"""What was said: recognisers, one per connection. Scripted ones live here; real ones in :mod:`.sphinx`.

A recogniser hears one utterance at a time. It knows nothing of turns, of the wire, or of latency profiles.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from repartee.standins.detector import Detector
from repartee.standins.domain import DAYS, NAMES
from repartee.standins.script import Line


@dataclass(frozen=True, slots=True)
class Word:
    """A recognised word and its place in the connection's audio, seconds."""

    text: str
    start_s: float
    end_s: float
    confidence: float = 0.98


def text_of(words: Sequence[Word]) -> str:
    """The words as a transcript."""
    return " ".join(word.text for word in words)


_PROPER = {
    "i",
    "i'm",
    "i'd",
    "repartee",
    *NAMES,
    *(day for day in DAYS if day.endswith("day") and day != "today"),
}
_ASKING = frozenset(
    [
        "what",
        "what's",
        "where",
        "when",
        "who",
        "how",
        "why",
        "which",
        "can",
        "could",
        "do",
        "does",
        "is",
        "are",
        "has",
    ]
)
_LEADING = frozenset(["hello", "hi", "hey", "and", "sorry", "okay", "until", "till", "good", "morning"])


def written(words: Sequence[Word], *, ended: bool) -> list[Word]:
    """Bare recognised words as one writes them: capitals, and at the end a question mark or a full stop."""
    if not words:
        return []
    texts = [word.text.capitalize() if word.text in _PROPER else word.text for word in words]
    texts[0] = texts[0][:1].upper() + texts[0][1:]
    if ended:
        opening = next((word.text for word in words if word.text not in _LEADING), "")
        texts[-1] += "?" if opening in _ASKING else "."
    return [
        Word(text, word.start_s, word.end_s, word.confidence) for text, word in zip(texts, words, strict=True)
    ]


class Recogniser(Protocol):
    """One connection's recognition."""

    @property
    def unfinished(self) -> bool:
        """Whether what has been made out so far breaks off in the middle of a sentence."""

    @property
    def understood(self) -> bool:
        """Whether what has been made out so far is anything that it knows; true as long as nothing is."""

    unsettled_ms: float
    """Words that end within so much of the end of what was said may be heard otherwise when more follows."""

    @property
    def wordless(self) -> bool:
        """It has looked at the utterance so far and found no word in it."""

    def hear(self, pcm: bytes) -> None:
        """Take audio as it comes, speech or not: PCM16, 16 kHz."""

    def begin(self, onset_ms: float) -> None:
        """An utterance has begun at this place in the audio."""

    def partial(self, heard: Detector) -> list[Word]:
        """The utterance's words so far, as far as they are known yet."""

    def finish(self, heard: Detector, done: Callable[[list[Word]], None]) -> None:
        """Make out all words up to here and hand them to ``done``, now or soon."""

    def resume(self, *, after_pause: bool) -> None:
        """The utterance goes on after all; ``after_pause``: its words so far had been told as an eager end."""

    def reset(self) -> None:
        """The utterance is over."""

    def close(self) -> None:
        """Free what it holds."""


class ScriptedRecogniser:
    """Pretends to have heard the lines of a script, one an utterance, over and over.

    Words come out at an even pace while sound goes on, the first at once and the last only when it stops. A line in
    parts gives one part more after each pause.
    """

    word_ms = 300.0
    unfinished = False
    understood = True
    wordless = False
    unsettled_ms = 0.0

    def __init__(self, lines: Sequence[Line]) -> None:
        self._lines = lines
        self._next = 0
        self._part = 0
        self._onset_ms = 0.0

    def hear(self, pcm: bytes) -> None:
        """Nothing is listened to: the detector has heard that there was sound."""

    def begin(self, onset_ms: float) -> None:
        """An utterance has begun at this place in the audio."""
        self._onset_ms = onset_ms

    def partial(self, heard: Detector) -> list[Word]:
        """The words that would have been heard at the script's pace, short of the part's last."""
        words = self._words(heard)
        shown = int((heard.position_ms - self._onset_ms) / self.word_ms)
        return words[: max(1, min(shown, len(words) - 1))]

    def finish(self, heard: Detector, done: Callable[[list[Word]], None]) -> None:
        """All words of the line (or of its parts so far), at once."""
        done(self._words(heard))

    def resume(self, *, after_pause: bool) -> None:
        """The utterance goes on after all: after a pause the next part becomes known."""
        self._part += after_pause

    def reset(self) -> None:
        """The utterance is over: the next line's turn."""
        self._next = (self._next + 1) % len(self._lines)
        self._part = 0

    def close(self) -> None:
        """Nothing is held."""

    def _words(self, heard: Detector) -> list[Word]:
        line = self._lines[self._next]
        texts = line.heard_until(self._part).split()
        start_s = self._onset_ms / 1000
        each_s = max(0.0, heard.last_sound_ms - self._onset_ms) / 1000 / max(1, len(texts))
        return [
            Word(text, round(start_s + each_s * i, 3), round(start_s + each_s * (i + 1), 3))
            for i, text in enumerate(texts)
        ]
