"""Fixed phrases, the same call after call: synthesised once per voice, played from memory.

Greetings and fillers cost no time-to-first-byte this way. If a phrase could not be synthesised, the voice speaks it
live, like everything else.
"""

import logging
from collections.abc import Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass

from repartee.audio.speech_end import has_sound
from repartee.errors import PoolTimeout, ProviderError
from repartee.providers.interfaces import TTS
from repartee.turn.events import SpeechAudio, SpokenWord

log = logging.getLogger(__name__)

MAX_PHRASES = 256
"""About 25 MB, at two seconds a phrase."""


@dataclass(frozen=True, slots=True)
class Recording:
    """A phrase as speech: PCM16 at 24 kHz, and its words' times."""

    pcm: bytes
    words: tuple[SpokenWord, ...]


def as_written(text: str, language: str) -> str:
    """The text itself."""
    return text


class Phrases:
    """The recordings of one worker. ``form`` is how a text is given to the voice, in a language."""

    def __init__(self, tts: TTS, form: Callable[[str, str], str] = as_written) -> None:
        self._tts = tts
        self._form = form
        self._recordings: dict[tuple[str, str | None, str], Recording] = {}

    def __repr__(self) -> str:
        return f"<Phrases: {len(self._recordings)} recorded>"

    def get(self, text: str, *, name: str | None, language: str) -> Recording | None:
        """The phrase in this voice, if it has been recorded."""
        return self._recordings.get((self._form(text, language), name, language))

    def get_any(self, text: str, *, language: str) -> Recording | None:
        """The phrase in whichever voice, and if need be language, it is recorded in: better than not being said."""
        said = self._form(text, language)
        found = {key[2]: recording for key, recording in self._recordings.items() if key[0] in (text, said)}
        return found.get(language) or next(iter(found.values()), None)

    async def record(self, texts: Iterable[str], *, name: str | None, language: str) -> None:
        """Have these phrases synthesised. Raises nothing: leaves out, and logs, what fails."""
        for text in texts:
            if len(self._recordings) >= MAX_PHRASES:
                log.warning("there are more than %d phrases; speaking the rest live", MAX_PHRASES)
                return
            said = self._form(text, language)
            try:
                self._recordings[said, name, language] = await self._record(said, name, language)
            except (ProviderError, PoolTimeout) as error:
                log.warning("a phrase could not be recorded: %s; speaking it live", error)

    async def _record(self, text: str, name: str | None, language: str) -> Recording:
        utterance = await self._tts.speak(0, voice=name, language=language)
        audio: list[bytes] = []
        words: list[SpokenWord] = []
        try:
            utterance.say(text, last=True)
            async with aclosing(utterance.sounds()) as sounds:
                async for sound in sounds:
                    if isinstance(sound, SpeechAudio):
                        audio.append(sound.pcm)
                    else:
                        words.extend(sound.words)
        finally:
            await utterance.cancel()
        pcm = b"".join(audio)
        if not has_sound(pcm):
            raise ProviderError("There is no sound in it.", provider="voice", stage="tts", retryable=True)
        return Recording(pcm, tuple(words))
