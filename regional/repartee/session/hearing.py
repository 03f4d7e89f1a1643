"""The caller's audio, on its way from the client's wire to speech recognition, and what is heard in it.

Owns the call's transcriber and gets another when it is lost or falls silent (turn/session_watch decides that).
Audio that comes in between waits, and the new one hears the open turn from its beginning: the call loses nothing,
hears nothing twice, and answers no half turn. Knows nothing of turns beyond the events it passes on.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from repartee.audio.gap import ClientGap
from repartee.audio.pcm import bytes_for_ms, duration_ms, silence
from repartee.audio.talker import Talker
from repartee.errors import PoolTimeout, ProviderError
from repartee.providers.heard_format import Decodes, usual_decoder
from repartee.providers.interfaces import HEARING_HZ, STT, Transcriber
from repartee.session.end_timing import EndTiming
from repartee.session.hearing_policy import HearingPolicy
from repartee.session.open_turn import OpenTurn
from repartee.session.paced_queue import PacedQueue, Waiting
from repartee.session.shell import Tasks
from repartee.session.ticking import ticking
from repartee.session.too_much import waits_already
from repartee.turn.events import (
    EndOfTurn,
    Event,
    HearingLost,
    HearingResumes,
    PartialTranscript,
    StartOfTurn,
)
from repartee.turn.session_watch import SessionWatch, Verdict
from repartee.wire.audio_format import WireFormat

log = logging.getLogger(__name__)

FINISH = None
"""Stands in the queue of audio for the request to end the turn there."""

FINISH_BYTES = 960
"""What such a request counts for in the queue's bound: as much as a frame."""


@dataclass(frozen=True, slots=True)
class HearingUser:
    """Whom the hearing serves.

    ``deliver`` takes each event at once. ``tasks`` starts the call's tasks. ``tell`` has the caller told that they
    are not heard, ``accompany`` has them hear a word while that lasts. ``another`` gives another vendor's STT, if
    there is any, when this one fails: the call goes on with them.
    """

    deliver: Callable[[Event], None]
    tasks: Tasks
    tell: Callable[[], None] = lambda: None
    accompany: Callable[[], None] = lambda: None
    another: Callable[[], STT | None] = lambda: None


class Hearing:
    """Speech recognition in one call."""

    def __init__(
        self,
        stt: STT,
        user: HearingUser,
        *,
        source: WireFormat,
        language: str = "en",
        keyterms: tuple[str, ...] = (),
        policy: HearingPolicy | None = None,
        decoder_for: Callable[[WireFormat], Decodes] = usual_decoder,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._now = self._loop.time
        self._stt = stt
        self._user = user
        self._language = language
        self._keyterms = keyterms
        self._policy = policy = policy or HearingPolicy()
        self._source = source
        self._decoder_for = decoder_for
        self._decode = decoder_for(source).feed
        self._ends = EndTiming(HEARING_HZ, self._loop.call_later, policy.end_looks)
        self._note_audio = self._ends.feed
        self._transcriber: Transcriber | None = None
        self._queue: PacedQueue[bytes | None] = PacedQueue(
            policy.pace, bytes_for_ms(policy.backlog_ms, HEARING_HZ)
        )
        self._turn = OpenTurn(
            turn_ms=policy.turn_ms, preroll_ms=policy.preroll_ms, suspect_ms=policy.suspect_ms
        )
        self._talker = Talker(HEARING_HZ)
        self._in_vain = False
        """Somebody spoke to a transcriber that was lost, and nothing has been said to it since."""

        self._watch: SessionWatch | None = None
        self._error: ProviderError | PoolTimeout | None = None
        self._received_bytes = 0
        self._turn_began_ms = 0.0
        self._gap = ClientGap(policy.gap)
        self._fills_gaps = True
        self._piece_bytes = bytes_for_ms(policy.feed_ms, HEARING_HZ)

    @property
    def received_ms(self) -> float:
        """How much audio the client has sent."""
        return duration_ms(self._received_bytes, HEARING_HZ)

    @property
    def passed_ms(self) -> float:
        """How much of that has gone to recognition."""
        return min(self._sent_ms, self.received_ms)

    @property
    def turn_began_ms(self) -> float:
        """Where in what the client has sent the latest turn begins."""
        return self._turn_began_ms

    @property
    def behind(self) -> bool:
        """Audio waits that recognition has not been given: what it has heard is not all that was said."""
        return self._transcriber is None or self._queue.drained_at is None

    def set_format(self, source: WireFormat) -> None:
        """From now on the client's audio has this format."""
        if source != self._source:
            self._source = source
            self._decode = self._decoder_for(source).feed

    def feed(self, data: bytes) -> None:
        """Audio from the client, in its format. Raises ClientProtocolError if too much waits to be passed on."""
        # Nearly all comes as frames of 20 ms, fifty times a second: what is done to each here is what a call costs.
        if not self._queue.is_empty:
            self._check_space(len(data))
        pcm = self._decode(data)
        size, now = len(pcm), self._now()
        length_ms = duration_ms(size, HEARING_HZ)
        self._received_bytes += size
        self._gap.heard(length_ms, now)
        self._note_audio(pcm, now)
        if size > self._piece_bytes:
            for start in range(0, size, self._piece_bytes):
                self._pass_on(pcm[start : start + self._piece_bytes], now)
        elif self._queue.goes(length_ms, now):
            self._feed(pcm, now)
        else:
            self._queue.put(_waiting(pcm))

    def _check_space(self, data_bytes: int) -> None:
        """Raises ClientProtocolError if so much more cannot be kept until it can be passed on."""
        if not self._queue.has_space(bytes_for_ms(data_bytes / self._source.bytes_per_ms, HEARING_HZ)):
            raise waits_already()

    def set_language(self, language: str) -> None:
        """From now on this language is spoken. A transcriber for another one is exchanged."""
        if language == self._language:
            return
        self._language = language
        self._let_go()

    def set_turns(self, *, automatic: bool) -> None:
        """From now on recognition finds the turns' ends, or the client does: it hears no silence in between then."""
        self._fills_gaps = automatic

    def finish_turn(self) -> None:
        """Have the open turn ended, after all the audio that has come."""
        self._queue.put(_waiting(FINISH))

    async def run(self) -> None:
        """Listen until cancelled. Raises ProviderError or PoolTimeout when there is no transcriber."""
        filling = self._user.tasks.start(ticking(self._fill_gap))
        try:
            while True:
                try:
                    await self._hold()
                except (ProviderError, PoolTimeout) as error:
                    another = self._user.another()
                    if another is None:
                        raise
                    log.warning("speech recognition failed: %s; going on with another vendor", error)
                    self._stt = another
        finally:
            self._user.tasks.drop(filling)
            self._queue.stop()
            self._ends.forget()

    # --- one transcriber after another ---------------------------------------------------------------------------

    async def _hold(self) -> None:
        """Keep a transcriber for as long as the watch allows it. Raises what was wrong when it does not."""
        self._watch = watch = SessionWatch(self._policy.watch, self._now())
        tasks = [
            self._user.tasks.start_awaited(self._listen(watch)),
            self._user.tasks.start_awaited(ticking(partial(self._look, watch))),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            for task in tasks:
                with contextlib.suppress(asyncio.CancelledError, ProviderError, PoolTimeout):
                    await task

    def _look(self, watch: SessionWatch) -> float:
        """Look at the transcriber; in so many seconds again. Raises what was wrong when there is none."""
        owed_since = self._owed_since()
        self._note_late_end(owed_since)
        verdict = watch.look(self._now(), owed_since, in_vain=self._in_vain)
        if verdict is Verdict.END:
            raise self._error or _silent()
        if verdict is Verdict.TELL:
            self._user.tell()
        elif verdict is Verdict.EXCHANGE:
            log.warning("speech recognition has fallen silent; exchanging its session")
            self._error = _silent()
            self._let_go()
        elif watch.takes_company(self._now(), owed_since):
            self._user.accompany()
        self._close_lost_turn()
        return self._policy.look_s

    async def _listen(self, watch: SessionWatch) -> None:
        while True:
            transcriber = await self._open(watch)
            watch.opened(self._now())
            await self._listen_to(transcriber, watch)
            watch.lost(self._now())
            await asyncio.sleep(watch.retry_in_s)

    async def _open(self, watch: SessionWatch) -> Transcriber:
        while True:
            try:
                return await self._stt.listen(language=self._language, keyterms=self._keyterms)
            except (ProviderError, PoolTimeout) as error:
                if not getattr(error, "retryable", True):
                    raise
                self._error = error
                watch.failed(self._now())
                log.warning("could not connect to speech recognition: %s; retrying", error)
                await asyncio.sleep(watch.retry_in_s)

    async def _listen_to(self, transcriber: Transcriber, watch: SessionWatch) -> None:
        """Pass on what one transcriber hears, until it is lost."""
        self._transcriber = transcriber
        self._queue.begin(self._send, partial(getattr, transcriber, "has_room"), self._replay())
        try:
            async for event in transcriber.events():
                self._talker.answered()
                self._in_vain = False
                if not self._turn.is_open:
                    self._turn_began_ms = min(self._sent_ms - self._turn.spoken_ms(), self.received_ms)
                if self._turn.take(event):
                    watch.progressed()
                    if isinstance(event, StartOfTurn | PartialTranscript) and self._has_heard_all():
                        self._ends.goes_on()  # it is no replay
                if isinstance(event, EndOfTurn) and event.text:
                    watch.served(self._now())
                self._user.deliver(self._ends.timed(event, self._queue.waiting_ms))
        except ProviderError as error:
            if not error.retryable:
                raise
            self._error = error
            log.warning("speech recognition was lost: %s; connecting again", error)
        finally:
            self._transcriber = None
            self._queue.stop()
            self._ends.forget()
            await transcriber.aclose()
        self._in_vain = self._in_vain or self._talker.spoke_at is not None
        self._talker.answered()
        if self._turn.is_open:
            self._user.deliver(HearingResumes(anew=self._turn.lost()))

    def _replay(self) -> list[Waiting[bytes | None]]:
        """What another transcriber hears first: the open turn, and the request to end it if that had been sent."""
        asked = self._turn.finish_sent
        first = [_waiting(piece) for piece in self._turn.replay()]
        return [*first, _waiting(FINISH)] if asked else first

    def _let_go(self) -> None:
        """Close the transcriber: another takes its place."""
        if self._transcriber is not None:
            self._user.tasks.start(self._transcriber.aclose())

    def _owed_since(self) -> float | None:
        """Since when the transcriber owes an answer, as far as it could have given one."""
        transcriber, drained_at = self._transcriber, self._queue.drained_at
        if transcriber is None:
            return None
        owed = [since for since in (transcriber.owing_since, self._queue.stuck_since) if since is not None]
        if drained_at is not None:  # until then, it has not heard all of it
            if self._talker.spoke_at is not None:
                owed.append(max(self._talker.spoke_at, drained_at))
            if self._turn.unheard and self._turn.words:
                owed.append(drained_at)
        return min(owed, default=None)

    def _close_lost_turn(self) -> None:
        """A noise was taken for a turn's beginning, and the next transcriber hears nothing in it: it is over."""
        if (
            self._transcriber is not None
            and self._turn.unheard
            and not self._turn.words
            and self._has_heard_all()
        ):
            self._turn.close()
            self._ends.forget_late()
            self._user.deliver(HearingLost())

    def _note_late_end(self, owed_since: float | None) -> None:
        """The audio is forgotten after a while, and with it when the caller fell silent; whoever waits knows it."""
        is_late = owed_since is not None and (self._now() - owed_since) * 1000 >= self._policy.late_ms
        if is_late or self._transcriber is None or self._turn.unheard:
            self._ends.note_late()
        elif not self._turn.is_open and self._has_heard_all():
            self._ends.forget_late()

    def _has_heard_all(self) -> bool:
        """The transcriber has been given all there is, so long ago that it would have said something to it."""
        drained_at = self._queue.drained_at
        return drained_at is not None and self._now() - drained_at >= self._policy.regain_s

    # --- audio ---------------------------------------------------------------------------------------------------

    @property
    def _sent_ms(self) -> float:
        """How much has gone to recognition, with the silence of the client's latest pause."""
        return self.received_ms + self._gap.filled_ms - self._queue.waiting_ms

    def _pass_on(self, pcm: bytes, now: float) -> None:
        if self._queue.goes(duration_ms(len(pcm), HEARING_HZ), now):
            self._feed(pcm, now)
        else:
            self._queue.put(_waiting(pcm))

    def _send(self, pcm: bytes | None) -> None:
        if self._transcriber is None:
            return
        if pcm is None:
            self._turn.finish_sent = True
            self._transcriber.finish_turn()
            return
        self._feed(pcm, self._now())

    def _feed(self, pcm: bytes, now: float) -> None:
        assert self._transcriber is not None
        self._turn.sent(pcm, suspected=self._talker.suspects)
        self._transcriber.feed(pcm)
        self._talker.feed(pcm, now)

    def _fill_gap(self) -> float:
        """Pass on silence if the client sends nothing; in so many seconds again."""
        now = self._now()
        ms = self._gap.take(now) if self._fills_gaps else 0.0
        if ms:
            self._pass_on(silence(ms, HEARING_HZ), now)
        return self._gap.look_in_s(now)


def _waiting(pcm: bytes | None) -> Waiting[bytes | None]:
    if pcm is None:
        return Waiting(FINISH, FINISH_BYTES)
    return Waiting(pcm, len(pcm), duration_ms(len(pcm), HEARING_HZ))


def _silent() -> ProviderError:
    return ProviderError(
        "Speech recognition does not answer what it is sent.",
        provider="speech recognition",
        stage="stt",
        retryable=True,
    )
