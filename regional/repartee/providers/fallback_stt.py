"""Several recognisers as one: a call listens through the first that it reaches, and through another when it loses
that.

What the lost one had not recognised is played to the next by the session (session/hearing), which opens another
transcriber here whenever one ends. This module decides which vendor that is.
"""

import logging
from collections.abc import AsyncGenerator, Sequence

from repartee.errors import PoolTimeout, ProviderError
from repartee.providers.heard_format import USUAL_FORMAT, heard_as_it_came
from repartee.providers.interfaces import STT, Hearing, Transcriber
from repartee.providers.lineup import (
    FallbackPolicy,
    Lineup,
    ServiceNotes,
    Standing,
    Unnoted,
    VendorFault,
)
from repartee.providers.opening import opened
from repartee.turn.events import EndOfTurn
from repartee.wire.audio_format import WireFormat

log = logging.getLogger(__name__)


class FallbackSTT:
    """Implements :class:`~repartee.providers.interfaces.STT` over several, for one call: those that have failed it
    are asked last."""

    def __init__(
        self,
        lineup: Lineup[STT],
        policy: FallbackPolicy | None = None,
        notes: ServiceNotes | None = None,
        heard: WireFormat = USUAL_FORMAT,
    ) -> None:
        self._heard = heard
        self._lineup = lineup
        self._policy = policy or FallbackPolicy()
        self._notes = notes or Unnoted()
        self._avoided: list[str] = []
        self._listening: FallbackTranscriber | None = None

    def __repr__(self) -> str:
        return f"<FallbackSTT: {self._lineup!r}>"

    def for_call(self, notes: ServiceNotes) -> "FallbackSTT":
        """The same for one call; ``notes`` learns who serves it."""
        return FallbackSTT(self._lineup, self._policy, notes, self._heard)

    def in_format(self, heard: WireFormat) -> "FallbackSTT":
        """The same for a call whose vendors are sent this, as far as each can be."""
        return FallbackSTT(self._lineup, self._policy, self._notes, heard)

    async def listen(self, *, language: str = "en", keyterms: Sequence[str] = ()) -> Transcriber:
        """Raises ProviderError or PoolTimeout when none answers."""
        if self._listening is not None and self._listening.was_exchanged(language):
            self.failed(self._listening.standing, _silent(self._listening.standing.vendor))
        order = self._lineup.ranked(language=language, avoided=self._avoided)

        async def listen(standing: Standing[STT]) -> Transcriber:
            stt = heard_as_it_came(standing.service, self._heard)
            return await stt.listen(language=language, keyterms=keyterms)

        standing, transcriber = await opened(order, listen, self._policy.open_s, self.failed)
        self._notes.served("stt", standing.vendor)
        self._listening = FallbackTranscriber(self, standing, transcriber, language)
        return self._listening

    def failed(self, standing: Standing[STT], error: VendorFault) -> None:
        """A vendor has failed this call."""
        standing.failed(error)
        self._notes.left("stt", standing.vendor, error)
        self._avoided = [vendor for vendor in self._avoided if vendor != standing.vendor]
        self._avoided.append(standing.vendor)
        if len(self._avoided) == len(self._lineup.standings):
            self._avoided = [standing.vendor]  # all have: begin anew, but not with this one
        log.warning("speech recognition by %s failed: %s; turning to another vendor", standing.vendor, error)


class FallbackTranscriber:
    """A vendor's transcriber; notes what becomes of it."""

    def __init__(
        self, owner: FallbackSTT, standing: Standing[STT], transcriber: Transcriber, language: str
    ) -> None:
        self._owner = owner
        self.standing = standing
        self._transcriber = transcriber
        self._language = language
        self._failed = False
        self.feed = transcriber.feed
        self.finish_turn = transcriber.finish_turn
        self.aclose = transcriber.aclose

    def __repr__(self) -> str:
        return f"<FallbackTranscriber: {self.standing.vendor}>"

    @property
    def has_room(self) -> bool:
        return self._transcriber.has_room

    @property
    def owing_since(self) -> float | None:
        return self._transcriber.owing_since

    def was_exchanged(self, language: str) -> bool:
        """The call wants another for the same language although this one has not failed: it has fallen silent."""
        return not self._failed and language == self._language

    async def events(self) -> AsyncGenerator[Hearing, None]:
        try:
            async for event in self._transcriber.events():
                if isinstance(event, EndOfTurn) and event.text:
                    self.standing.breaker.served()
                yield event
        except (ProviderError, PoolTimeout) as error:
            self._failed = True
            self._owner.failed(self.standing, error)
            if isinstance(error, ProviderError):
                error.retryable = True  # of another
            raise


def _silent(vendor: str) -> ProviderError:
    return ProviderError(
        f"{vendor} does not answer what it is sent.", provider=vendor, stage="stt", retryable=True
    )
