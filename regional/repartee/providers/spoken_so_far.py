"""What a voice has got of a reply, and how much of that it has spoken, so that another can take up the rest.
Pure."""

from repartee.providers.interfaces import SPEECH_HZ
from repartee.turn.events import SpeechAudio, SpeechWords, SpokenWord
from repartee.turn.history import HEARD_SLACK_MS, SPEECH_MS_PER_CHAR, heard_part

_BYTES_PER_MS = SPEECH_HZ * 2 / 1000

UNTIMED_WORDS = 2
"""A voice may leave out the times of its last words; of more than so many it has spoken none."""

FASTEST_MS_PER_CHAR = 25.0
"""Nobody speaks faster: half of what a hurried voice takes for a letter. A voice that is done sooner has left words
out."""


class SpokenSoFar:
    """How far one reply was spoken.

    Times are ms from the start of its audio, over all the voices that have spoken it."""

    def __init__(self) -> None:
        self._text = ""
        self._last = False
        self._words: list[SpokenWord] = []
        self._audio_ms = 0.0
        self._taken_up_ms = 0.0

    @property
    def begun(self) -> bool:
        """A voice has something to speak, or has had."""
        return bool(self._text) or self._last

    def given(self, text: str, *, last: bool) -> None:
        """A voice is to speak this."""
        self._text += text
        self._last = self._last or last

    def heard(self, sound: SpeechAudio | SpeechWords) -> SpeechAudio | SpeechWords:
        """A voice has spoken. Returns the event with its times within the reply."""
        if isinstance(sound, SpeechAudio):
            self._audio_ms += len(sound.pcm) / _BYTES_PER_MS
            return sound
        since = self._taken_up_ms
        words = tuple(
            SpokenWord(word.text, word.start_ms + since, word.end_ms + since) for word in sound.words
        )
        self._words.extend(words)
        return SpeechWords(sound.reply_id, words)

    @property
    def silent(self) -> bool:
        """A voice was given words, and has made no sound."""
        return not self._audio_ms and any(character.isalnum() for character in self._text)

    @property
    def breaks_off(self) -> bool:
        """A voice that is done has spoken something, but cannot have spoken all that it was given."""
        letters = sum(character.isalnum() for character in self._text)
        too_short = self._audio_ms < letters * FASTEST_MS_PER_CHAR
        return self._audio_ms > 0 and (too_short or self._untimed_words > UNTIMED_WORDS)

    @property
    def _untimed_words(self) -> int:
        """How many words at the end have no times, where those before them have."""
        place = 0
        for word in self._words:
            found = self._text.find(word.text.strip(), place)
            if found < 0:
                return 0  # this voice tells of words in another spelling
            place = found + len(word.text.strip())
        rest = self._text[place:].split() if place else []
        return sum(any(character.isalnum() for character in word) for word in rest)

    def take_up(self) -> tuple[str, bool]:
        """The text that another voice must still speak, and whether the reply ends with it.

        It speaks a cut word again: half a word is no word.
        """
        length_ms = max(self._audio_ms + 2 * HEARD_SLACK_MS, len(self._text) * SPEECH_MS_PER_CHAR)
        spoken = heard_part(self._text, self._words, length_ms, self._audio_ms) if self._audio_ms else ""
        self._taken_up_ms = self._audio_ms
        return self._text[len(spoken) :], self._last
