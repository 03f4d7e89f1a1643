"""Several voices as one: when one is lost, the next speaks what it has not spoken.

They say nothing twice and leave nothing out: the voice's word times, or the length of its audio, say what it has
spoken. A call stays with the voice that it has changed to.
"""

import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing

from repartee.errors import PoolTimeout, ProviderError
from repartee.providers.interfaces import TTS, Utterance
from repartee.providers.lineup import (
    FallbackPolicy,
    Lineup,
    ServiceNotes,
    Standing,
    Unnoted,
    VendorFault,
)
from repartee.providers.opening import opened
from repartee.providers.spoken_so_far import SpokenSoFar
from repartee.turn.events import SpeechAudio, SpeechWords

log = logging.getLogger(__name__)


class FallbackTTS:
    """Implements :class:`~repartee.providers.interfaces.TTS` over several, for one call: those that have failed it
    are asked last. The voice that an agent or a session names is the first vendor's; the others speak with their
    own."""

    def __init__(
        self, lineup: Lineup[TTS], policy: FallbackPolicy | None = None, notes: ServiceNotes | None = None
    ) -> None:
        self._lineup = lineup
        self._policy = policy or FallbackPolicy()
        self.notes = notes or Unnoted()
        self._avoided: set[str] = set()

    def __repr__(self) -> str:
        return f"<FallbackTTS: {self._lineup!r}>"

    def for_call(self, notes: ServiceNotes) -> "FallbackTTS":
        """The same for one call; ``notes`` learns who serves it."""
        return FallbackTTS(self._lineup, self._policy, notes)

    async def speak(self, reply_id: int, *, voice: str | None = None, language: str = "en") -> Utterance:
        """Open an utterance. Raises ProviderError or PoolTimeout when no vendor answers."""
        speaker = _Speaker(self, reply_id, voice, language)
        standing, utterance = await speaker.next()
        return FallbackUtterance(speaker, standing, utterance)

    def order(self, language: str) -> list[Standing[TTS]]:
        """Whom to ask, in order."""
        return self._lineup.ranked(language=language, avoided=self._avoided)

    async def open(
        self, order: list[Standing[TTS]], reply_id: int, voice: str | None, language: str
    ) -> tuple[Standing[TTS], Utterance]:
        """An utterance of the first that answers. Raises ProviderError or PoolTimeout."""
        first = self._lineup.standings[0]

        async def speak(standing: Standing[TTS]) -> Utterance:
            named = voice if standing is first else None
            return await standing.service.speak(reply_id, voice=named, language=language)

        return await opened(order, speak, self._policy.open_s, self.failed)

    def failed(self, standing: Standing[TTS], error: VendorFault) -> None:
        """A vendor has failed this call."""
        standing.failed(error)
        self._avoided.add(standing.vendor)
        if len(self._avoided) == len(self._lineup.standings):
            self._avoided = {standing.vendor}  # all have: begin anew, but not with this one
        self.notes.left("tts", standing.vendor, error)
        log.warning("speech synthesis by %s failed: %s; turning to another vendor", standing.vendor, error)


class _Speaker:
    """Finds one reply its voices, each vendor once."""

    def __init__(self, owner: FallbackTTS, reply_id: int, voice: str | None, language: str) -> None:
        self._owner = owner
        self._reply_id, self._voice, self._language = reply_id, voice, language
        self._tried: set[str] = set()

    async def next(self) -> tuple[Standing[TTS], Utterance]:
        """An utterance of a vendor that has not been tried. Raises ProviderError or PoolTimeout."""
        order = [one for one in self._owner.order(self._language) if one.vendor not in self._tried]
        standing, utterance = await self._owner.open(order, self._reply_id, self._voice, self._language)
        self._tried.update(one.vendor for one in order[: order.index(standing) + 1])
        return standing, utterance

    def lost(self, standing: Standing[TTS], error: VendorFault) -> bool:
        """A voice is lost in mid-reply. Whether there is another."""
        self._owner.failed(standing, error)
        return self.has_another

    @property
    def has_another(self) -> bool:
        """A vendor has not been tried."""
        return any(one.vendor not in self._tried for one in self._owner.order(self._language))

    def served(self, standing: Standing[TTS]) -> None:
        """A voice is heard."""
        self._owner.notes.served("tts", standing.vendor)


class FallbackUtterance:
    """One reply, by however many voices it is spoken."""

    def __init__(self, speaker: _Speaker, standing: Standing[TTS], utterance: Utterance) -> None:
        self._speaker = speaker
        self._standing = standing
        self._utterance: Utterance | None = utterance
        self._spoken = SpokenSoFar()

    def say(self, text: str, *, last: bool = False) -> None:
        self._spoken.given(text, last=last)
        if self._utterance is not None:
            self._utterance.say(text, last=last)

    async def sounds(self) -> AsyncGenerator[SpeechAudio | SpeechWords, None]:
        """Raises ProviderError or PoolTimeout when no voice is left."""
        while True:
            try:
                async with aclosing(self._of_one_voice()) as sounds:
                    async for sound in sounds:
                        yield sound
                return
            except (ProviderError, PoolTimeout) as error:
                await self.cancel()
                if not self._speaker.lost(self._standing, error):
                    if isinstance(error, ProviderError):
                        error.retryable = False  # every vendor was tried
                    raise
                await self._take_up()

    async def cancel(self) -> None:
        utterance, self._utterance = self._utterance, None
        if utterance is not None:
            await utterance.cancel()

    async def _of_one_voice(self) -> AsyncGenerator[SpeechAudio | SpeechWords, None]:
        utterance = self._utterance
        assert utterance is not None
        heard = False
        async with aclosing(utterance.sounds()) as sounds:
            async for sound in sounds:
                if not heard and isinstance(sound, SpeechAudio):
                    heard = True
                    self._speaker.served(self._standing)
                yield self._spoken.heard(sound)
        if self._utterance is not utterance:
            return  # it was cancelled
        if self._spoken.breaks_off or (self._spoken.silent and self._speaker.has_another):
            raise ProviderError(
                "The voice was done before it had spoken everything.",
                provider=self._standing.vendor,
                stage="tts",
                retryable=True,
            )
        if heard:
            self._standing.breaker.served()

    async def _take_up(self) -> None:
        """The next voice speaks the rest. Raises ProviderError or PoolTimeout."""
        self._standing, utterance = await self._speaker.next()
        rest, last = self._spoken.take_up()
        if rest or last:
            utterance.say(rest, last=last)
        self._utterance = utterance
