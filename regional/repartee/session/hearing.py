"""The caller's audio, on its way from the client's wire to speech recognition, and what is heard in it.

Owns the call's transcriber and gets another when it is lost; audio that comes in between waits for it, so nothing
is lost. Knows nothing of turns beyond the events it passes on.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from repartee.audio.pcm import bytes_for_ms, duration_ms, silence
from repartee.audio.speech_end import CallerAudio
from repartee.errors import PoolTimeout, ProviderError
from repartee.providers.interfaces import HEARING_HZ, Ears, Transcriber
from repartee.providers.interfaces import Hearing as Heard
from repartee.turn.events import EagerEndOfTurn, EndOfTurn, Event, HearingLost, TurnResumed
from repartee.wire.audio_format import AudioDecoder, WireFormat

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class HearingPolicy:
    """Durations as the names say."""

    backlog_ms: float = 10_000
    """How much audio is kept while there is no transcriber; older audio is dropped."""

    feed_ms: float = 100
    """Audio that comes in longer pieces is passed on in pieces of this length."""

    gap_ms: float = 400
    """Without audio for this long, silence is passed on instead: recognition hears a turn's end only in audio."""

    gap_limit_ms: float = 6_000
    """For so long; after that, recognition is left alone until audio comes again."""

    attempts: int = 4
    """How often in a row a transcriber is asked for before the call is given up."""

    settled_ms: float = 5_000
    """A transcriber that is lost sooner, before it heard anything, counts as one that could not be had."""

    backoff_s: float = 0.2
    """The wait before the third attempt, as the second is made at once; doubled for each that follows."""

    seek_after_ms: float = 5
    """How long after an eager end of turn its place in the audio is sought: the request to the model is out then."""


class Hearing:
    """One call's ears. ``deliver`` takes each event at once."""

    def __init__(
        self,
        ears: Ears,
        deliver: Callable[[Event], None],
        *,
        source: WireFormat,
        language: str = "en",
        keyterms: tuple[str, ...] = (),
        policy: HearingPolicy | None = None,
    ) -> None:
        self._ears = ears
        self._deliver = deliver
        self._language = language
        self._keyterms = keyterms
        self._policy = policy or HearingPolicy()
        self._source = source
        self._decoder = AudioDecoder(source, HEARING_HZ)
        self._audio = CallerAudio(HEARING_HZ)
        self._transcriber: Transcriber | None = None
        self._exchange: asyncio.Future[None] | None = None
        self._backlog: deque[bytes] = deque()
        self._backlog_bytes = 0
        self._received_bytes = 0
        self._speech_ended_at: float | None = None
        self._seeking: asyncio.TimerHandle | None = None
        self._last_audio_at = 0.0
        self._filled_until = 0.0
        self._piece_bytes = bytes_for_ms(self._policy.feed_ms, HEARING_HZ)

    @property
    def received_ms(self) -> float:
        """How much audio the client has sent."""
        return duration_ms(self._received_bytes, HEARING_HZ)

    def set_format(self, source: WireFormat) -> None:
        """From now on the client's audio has this format."""
        if source != self._source:
            self._source = source
            self._decoder = AudioDecoder(source, HEARING_HZ)

    def feed(self, data: bytes) -> None:
        """Audio from the client, in its format."""
        now = time.monotonic()
        pcm = self._decoder.feed(data)
        self._received_bytes += len(pcm)
        self._last_audio_at = self._filled_until = now
        self._audio.append(pcm, now)
        if len(pcm) <= self._piece_bytes:
            self._pass_on(pcm)
            return
        for start in range(0, len(pcm), self._piece_bytes):
            self._pass_on(pcm[start : start + self._piece_bytes])

    def set_language(self, language: str) -> None:
        """From now on this language is spoken. A transcriber for another one is exchanged."""
        if language == self._language:
            return
        self._language = language
        if self._transcriber:
            self._exchange = asyncio.ensure_future(self._transcriber.aclose())

    def finish_turn(self) -> None:
        """Have the open turn ended now."""
        if self._transcriber:
            self._transcriber.finish_turn()

    async def run(self) -> None:
        """Listen until cancelled. Raises ProviderError or PoolTimeout when no transcriber can be had."""
        filling = asyncio.create_task(self._fill_gaps())
        try:
            await self._listen()
        finally:
            filling.cancel()
            self._forget_speech_end()

    async def _listen(self) -> None:
        failures = 0
        while True:
            try:
                transcriber = await self._ears.listen(language=self._language, keyterms=self._keyterms)
                await self._listen_to(transcriber)
                failures = 0
            except (ProviderError, PoolTimeout) as error:
                failures += 1
                if failures >= self._policy.attempts or not getattr(error, "retryable", True):
                    raise
                log.warning("speech recognition could not be had, trying again: %s", error)
                if failures > 1:
                    await asyncio.sleep(self._policy.backoff_s * 2 ** (failures - 2))

    async def _listen_to(self, transcriber: Transcriber) -> None:
        """Pass on what one transcriber hears, until it is lost. Raises ProviderError if it was never any good."""
        since = time.monotonic()
        good = False
        self._transcriber = transcriber
        while self._backlog:
            transcriber.feed(self._backlog.popleft())
        self._backlog_bytes = 0
        try:
            async for event in transcriber.events():
                good = True
                self._deliver(self._timed(event))
        except ProviderError as error:
            if not good and (time.monotonic() - since) * 1000 < self._policy.settled_ms:
                raise
            log.warning("speech recognition was lost: %s", error)
        finally:
            self._transcriber = None
            self._forget_speech_end()
            await transcriber.aclose()
        self._deliver(HearingLost())

    def _timed(self, event: Heard) -> Heard:
        """The event; an end of turn with the time at which the speech that it ends had arrived.

        An eager end of turn waits for nothing: that time is sought once the reply to it is under way, and is told
        when the turn has ended. No speech came in between, or the turn would have been resumed.
        """
        if isinstance(event, EagerEndOfTurn):
            self._forget_speech_end()
            loop = asyncio.get_running_loop()
            self._seeking = loop.call_later(self._policy.seek_after_ms / 1000, self._seek_speech_end)
            return event
        if isinstance(event, TurnResumed):
            self._forget_speech_end()
        if not isinstance(event, EndOfTurn):
            return event
        ended_at = self._speech_ended_at or self._audio.speech_ended_at()
        self._forget_speech_end()
        return msgspec.structs.replace(event, speech_ended_at=ended_at)

    def _seek_speech_end(self) -> None:
        self._seeking = None
        self._speech_ended_at = self._audio.speech_ended_at()

    def _forget_speech_end(self) -> None:
        self._speech_ended_at = None
        if self._seeking:
            self._seeking.cancel()
            self._seeking = None

    def _pass_on(self, pcm: bytes) -> None:
        if self._transcriber:
            self._transcriber.feed(pcm)
            return
        self._backlog.append(pcm)
        self._backlog_bytes += len(pcm)
        while self._backlog_bytes > bytes_for_ms(self._policy.backlog_ms, HEARING_HZ):
            self._backlog_bytes -= len(self._backlog.popleft())

    async def _fill_gaps(self) -> None:
        """Pass on silence while the client sends nothing."""
        policy = self._policy
        while True:
            await asyncio.sleep(policy.gap_ms / 1000)
            now = time.monotonic()
            gap_ms = (now - self._last_audio_at) * 1000
            if self._last_audio_at and policy.gap_ms < gap_ms < policy.gap_limit_ms:
                self._pass_on(silence((now - self._filled_until) * 1000, HEARING_HZ))
                self._filled_until = now
