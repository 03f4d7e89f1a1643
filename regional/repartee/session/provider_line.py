"""A call's way to a speech-to-speech provider: one session after another, without a gap in what is sent.

Owns the line: opens it, opens another when it is lost, falls silent (turn/session_watch decides that) or is about to
reach the end of its life, and keeps what is sent in between. What a new session must be told comes from outside.
Knows no events.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial

from repartee.audio.pace import PaceSettings
from repartee.errors import PoolTimeout, ProviderError
from repartee.providers.openai_realtime import ERRORS, OpenAIRealtime, RealtimeLine
from repartee.session.paced_queue import PacedQueue, Waiting
from repartee.session.shell import Tasks
from repartee.session.ticking import ticking
from repartee.turn.session_watch import SessionWatch, Verdict, WatchPolicy

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LinePolicy:
    """How a line is kept."""

    watch: WatchPolicy = field(default_factory=WatchPolicy)

    backlog_bytes: int = 2**22
    """How much may wait (a minute of audio, which a client may send at once); older events are dropped."""

    pace: PaceSettings = field(default_factory=PaceSettings)
    """How fast audio that has waited is sent."""

    renew_before_s: float = 300.0
    """So long before the provider ends the session, another is taken at the next quiet moment."""

    quiet_s: float = 1.0
    """A moment is not quiet until the client has asked for nothing for so long: its answer may be under way."""

    look_s: float = 0.5
    """How often it is asked, then, whether the moment is quiet."""

    watch_s: float = 0.25
    """How often the session is looked at."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """An event for the provider. ``audio_ms``: so much of the caller's audio is in it; 0: it is no audio."""

    event: str
    audio_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class LineUser:
    """Whom the line serves.

    ``tasks`` starts the call's tasks. ``on_session`` is called when there is a new session: what is sent meanwhile
    goes out before anything that waited. Its arguments: whether the session follows another, and whether that one was
    lost (or left in a quiet moment). ``on_message`` takes each of the provider's messages as it comes. ``quiet``
    tells whether the session could be changed now without anyone noticing; ``owed_since`` since when (s, the loop's
    time) the provider owes an answer, if it does; ``tell`` has the caller told that they are not heard.
    """

    tasks: Tasks
    on_session: Callable[[bool, bool], None]
    on_message: Callable[[bytes], None]
    quiet: Callable[[], bool]
    owed_since: Callable[[], float | None]
    tell: Callable[[], None]


class ProviderLine:
    """One call's sessions with the provider."""

    def __init__(self, speech: OpenAIRealtime, user: LineUser, policy: LinePolicy | None = None) -> None:
        self._speech = speech
        self._user = user
        self._policy = policy = policy or LinePolicy()
        self._line: RealtimeLine | None = None
        self._ended: asyncio.Future[ProviderError] | None = None
        self._queue: PacedQueue[Outgoing] = PacedQueue(policy.pace, policy.backlog_bytes)
        self._refused: list[Outgoing] = []
        self._opening: list[Outgoing] | None = None
        self._replayed = False
        self._watch: SessionWatch | None = None
        self._error: ProviderError | PoolTimeout | None = None
        self._heard_at = 0.0
        self._unanswered_since: float | None = None

    def __repr__(self) -> str:
        return f"<ProviderLine: {self._line!r}, {len(self._queue)} events wait>"

    @property
    def waiting(self) -> bool:
        """Something has not been sent yet."""
        return not self._queue.is_empty

    def has_space(self, size: int) -> bool:
        """An event of this size can be sent, or kept until it can."""
        return self._queue.has_space(size)

    def send(self, event: str, *, audio_ms: float = 0.0) -> None:
        """Send an event now, or once there is a session that can take it. Never waits."""
        outgoing = Outgoing(event, audio_ms)
        if self._opening is not None:
            self._opening.append(outgoing)
        else:
            self._queue.put(_waiting(outgoing))

    def replay(self, events: Iterable[Outgoing]) -> None:
        """As a session begins: send these in place of the caller's audio that waits, since they hold it."""
        self._replayed = True
        for outgoing in events:
            self.send(outgoing.event, audio_ms=outgoing.audio_ms)

    @property
    def unsent(self) -> tuple[str, ...]:
        """The events that have not been sent yet, but for audio."""
        return tuple(each.event for each in (*self._refused, *self._queue.items()) if not each.audio_ms)

    def served(self) -> None:
        """The session has done what it is there for: an answer is complete, or the caller's words are known."""
        if self._watch is not None:
            self._watch.served(self._now())

    async def run(self) -> None:
        """Keep a session until cancelled. Raises ProviderError or PoolTimeout when there is none."""
        self._watch = watch = SessionWatch(self._policy.watch, self._now())
        tasks = [
            self._user.tasks.start_awaited(self._hold(watch)),
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
        """Look at the session; in so many seconds again. Raises what was wrong when there is none."""
        verdict = watch.look(self._now(), self._owed_since())
        if verdict is Verdict.END:
            raise self._error or _silent()
        if verdict is Verdict.TELL:
            self._user.tell()
        elif verdict is Verdict.EXCHANGE and self._ended is not None and not self._ended.done():
            self._error = _silent()
            self._ended.set_result(self._error)
        return self._policy.watch_s

    async def _hold(self, watch: SessionWatch) -> None:
        again = lost = False
        line = await self._open(watch)
        try:
            while True:
                self._ended = asyncio.get_running_loop().create_future()
                watch.opened(self._now())
                self._begin(line, self._ended, again, lost)
                successor = await self._until_over(line, self._ended)
                line.close()
                self._leave()
                again, lost = True, successor is None
                if successor is None:
                    watch.lost(self._now())
                    await asyncio.sleep(watch.retry_in_s)
                line = successor or await self._open(watch)
        finally:
            self._leave()
            line.close()

    def _leave(self) -> None:
        self._line = self._ended = None
        self._queue.stop()

    def _begin(
        self, line: RealtimeLine, ended: asyncio.Future[ProviderError], again: bool, lost: bool
    ) -> None:
        def on_lost(error: ProviderError) -> None:
            if not ended.done():
                ended.set_result(error)

        self._opening, self._replayed = [], False
        self._user.on_session(again, lost)
        opening, self._opening = self._opening, None
        refused, self._refused = self._refused, []
        if self._replayed:
            refused = [outgoing for outgoing in refused if not outgoing.audio_ms]
            self._queue.discard(lambda outgoing: outgoing.audio_ms > 0)
        self._line = line
        self._heard_at = self._now()
        self._unanswered_since = None
        first = [_waiting(outgoing) for outgoing in (*opening, *refused)]
        self._queue.begin(self._send, lambda: line.has_room, first)
        line.listen(self._on_message, on_lost)

    def _send(self, outgoing: Outgoing) -> None:
        if self._line is None or not self._line.send(outgoing.event):
            self._queue.stop()
            self._refused.append(outgoing)
        elif not outgoing.audio_ms and self._unanswered_since is None:
            self._unanswered_since = self._now()

    def _on_message(self, message: bytes) -> None:
        self._heard_at = self._now()
        self._unanswered_since = None
        self._user.on_message(message)

    def _owed_since(self) -> float | None:
        """Since when the session has said nothing to what it must answer. Every event but audio is answered."""
        if self._line is None:
            return None
        owed = [self._queue.stuck_since, self._unanswered_since]
        drained_at, wanted_since = self._queue.drained_at, self._user.owed_since()
        if drained_at is not None and wanted_since is not None:  # until then, it has not heard all of it
            owed.append(max(wanted_since, drained_at, self._heard_at))
        return min((since for since in owed if since is not None), default=None)

    async def _until_over(
        self, line: RealtimeLine, ended: asyncio.Future[ProviderError]
    ) -> RealtimeLine | None:
        """Until the session is lost (None), or another was opened to follow it in a quiet moment."""
        renewal = max(line.left_s - self._policy.renew_before_s, 0.0)
        await asyncio.wait([ended], timeout=renewal)
        while not ended.done():
            if self._user.quiet() and (successor := await self._open_ahead()):
                if self._user.quiet() or ended.done():
                    return successor
                successor.close()
            await asyncio.wait([ended], timeout=self._policy.look_s)
        self._error = ended.result()
        log.warning("a speech-to-speech session was lost: %s; opening another", self._error)
        return None

    async def _open_ahead(self) -> RealtimeLine | None:
        try:
            return await self._speech.open()
        except (ProviderError, PoolTimeout) as error:
            log.warning("could not open a session to follow the one that ends soon: %s; trying again", error)
            return None

    async def _open(self, watch: SessionWatch) -> RealtimeLine:
        while True:
            try:
                return await self._speech.open()
            except (ProviderError, PoolTimeout) as error:
                if not getattr(error, "retryable", True):
                    raise
                self._error = error
                watch.failed(self._now())
                log.warning("could not open a speech-to-speech session: %s; retrying", error)
                await asyncio.sleep(watch.retry_in_s)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


def _waiting(outgoing: Outgoing) -> Waiting[Outgoing]:
    return Waiting(outgoing, len(outgoing.event), outgoing.audio_ms)


def _silent() -> ProviderError:
    return ERRORS.error("does not answer what it is sent")
