"""A call's way to a speech-to-speech provider: one session after another, without a gap in what is sent.

Owns the line: opens it, opens another when it is lost or about to reach the end of its life, and keeps what is sent
in between. What a new session must be told comes from outside. Knows no events.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from repartee.errors import PoolTimeout, ProviderError
from repartee.providers.openai_realtime import OpenAIRealtime, RealtimeLine

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LinePolicy:
    """How a line is kept."""

    attempts: int = 4
    """How often in a row a session is asked for before the call is given up."""

    backoff_s: float = 0.2
    """The wait before the third attempt, as the second is made at once; doubled for each that follows."""

    backlog_bytes: int = 2**20
    """How much is kept while there is no session (15 s of audio); older events are dropped."""

    renew_before_s: float = 300.0
    """So long before the provider ends the session, another is taken at the next quiet moment."""

    quiet_s: float = 1.0
    """A moment is not quiet until the client has asked for nothing for so long: its answer may be under way."""

    look_s: float = 0.5
    """How often it is asked, then, whether the moment is quiet."""


@dataclass(frozen=True, slots=True)
class Opening:
    """What a session begins with. ``has_audio``: the caller's audio that waits to be sent is in it already."""

    events: Sequence[str]
    has_audio: bool = False


@dataclass(frozen=True, slots=True)
class LineUser:
    """Whom the line serves.

    ``opening`` gives what a new session begins with; its arguments: whether it follows another, and whether that one
    was lost (or left in a quiet moment). ``on_message`` takes each of the provider's messages as it comes. ``quiet``
    tells whether the session could be changed now without anyone noticing.
    """

    opening: Callable[[bool, bool], Opening]
    on_message: Callable[[bytes], None]
    quiet: Callable[[], bool]


class ProviderLine:
    """One call's."""

    def __init__(self, speech: OpenAIRealtime, user: LineUser, policy: LinePolicy | None = None) -> None:
        self._speech = speech
        self._user = user
        self._policy = policy or LinePolicy()
        self._line: RealtimeLine | None = None
        self._backlog: deque[tuple[str, bool]] = deque()
        self._backlog_bytes = 0

    def __repr__(self) -> str:
        return f"<ProviderLine: {self._line!r}, {len(self._backlog)} events wait>"

    def send(self, event: str, *, audio: bool = False) -> None:
        """Send an event now, or once there is a session again. Never waits. ``audio``: it is some of the caller's."""
        if self._line is not None and self._line.send(event):
            return
        self._backlog.append((event, audio))
        self._backlog_bytes += len(event)
        while self._backlog_bytes > self._policy.backlog_bytes:
            self._backlog_bytes -= len(self._backlog.popleft()[0])

    async def run(self) -> None:
        """Keep a session until cancelled. Raises ProviderError or PoolTimeout when none can be had."""
        again = lost = False
        line = await self._open()
        try:
            while True:
                ended: asyncio.Future[ProviderError] = asyncio.get_running_loop().create_future()
                self._begin(line, ended, again, lost)
                successor = await self._until_over(line, ended)
                line.close()
                self._line = None
                again, lost = True, successor is None
                line = successor or await self._open()
        finally:
            self._line = None
            line.close()

    def _begin(
        self, line: RealtimeLine, ended: asyncio.Future[ProviderError], again: bool, lost: bool
    ) -> None:
        def on_lost(error: ProviderError) -> None:
            if not ended.done():
                ended.set_result(error)

        opening = self._user.opening(again, lost)
        for event in opening.events:
            line.send(event)
        self._line = line
        waiting, self._backlog = self._backlog, deque()
        self._backlog_bytes = 0
        for event, audio in waiting:
            if not (audio and opening.has_audio):
                line.send(event)
        line.listen(self._user.on_message, on_lost)

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
        log.warning("a speech-to-speech session was lost: %s", ended.result())
        return None

    async def _open_ahead(self) -> RealtimeLine | None:
        try:
            return await self._speech.open()
        except (ProviderError, PoolTimeout) as error:
            log.warning("no session could be had to follow the one that ends soon: %s", error)
            return None

    async def _open(self) -> RealtimeLine:
        failures = 0
        while True:
            try:
                return await self._speech.open()
            except (ProviderError, PoolTimeout) as error:
                failures += 1
                if failures >= self._policy.attempts or not getattr(error, "retryable", True):
                    raise
                log.warning("a speech-to-speech session could not be had, trying again: %s", error)
                if failures > 1:
                    await asyncio.sleep(self._policy.backoff_s * 2 ** (failures - 2))
