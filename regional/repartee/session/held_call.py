"""A call while it is held: its tasks, its messages from the client, its end. What kinds of calls have in common.

The only place where a call's tasks start. The order is fixed: receive → decode → take. Taking never waits: audio and
events go into bounded queues, whatever takes time runs in tasks of its own. So the caller's audio is never behind
anything.
"""

import asyncio
import contextlib
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol

from repartee.agent.agent import Agent
from repartee.agent.experience import Experience, Transition
from repartee.errors import ClientProtocolError, PoolTimeout, ProviderError
from repartee.session.agent_call import AgentCall
from repartee.session.observer import Observer
from repartee.session.outbox import Outbox
from repartee.turn import events as e
from repartee.wire.allowance import Allowance
from repartee.wire.announcer import Announcer
from repartee.wire.audio_format import WireFormat
from repartee.wire.client_events import (
    MAX_OTHER_BYTES,
    AppendAudio,
    ClientEvent,
    CreateResponse,
    SessionPatch,
    SessionUpdate,
    decode,
)

log = logging.getLogger(__name__)

Message = Mapping[str, Any]


LEAVE_S = 20.0
"""A call that ends for a provider's fault says so first, within this."""


class CallEnd(Enum):
    """Why a call ended."""

    CLIENT_GONE = "the client hung up"
    CLIENT_SLOW = "the client does not read what it is sent"
    PROVIDERS_GONE = "a provider is gone"
    TOO_LONG = "the call's time limit has come"
    DRAINED = "the worker is being replaced: connect again"
    FAILED = "internal error"


@dataclass(frozen=True, slots=True)
class ClientLimits:
    """How much a client may send at once, and how often it may ask for what takes long."""

    audio_event_s: float = 60.0
    """Audio in one event or binary frame."""

    other_bytes: int = MAX_OTHER_BYTES
    """An event without audio."""

    requests_per_s: float = 20.0
    """``response.create`` and ``session.update`` together ..."""

    burst_s: float = 10.0
    """... and what was not used of that in the last so many seconds."""


@dataclass(frozen=True, slots=True)
class CallSettings:
    """What is particular to one call.

    ``binary``: audio is raw binary frames. ``model`` is what the client asked for, ``session`` the settings its
    token brought along. ``outbox_bytes`` is how much may wait for a client that does not read.
    """

    call_id: str
    region: str
    binary: bool = False
    model: str = ""
    session: SessionPatch | None = None
    outbox_bytes: int = 8 * 1024 * 1024
    metadata: Mapping[str, Any] = field(default_factory=dict)
    limits: ClientLimits = field(default_factory=ClientLimits)


class Shared(Protocol):
    """What every kind of call needs of what the calls of a worker share."""

    @property
    def names(self) -> Mapping[str, str]:
        """The providers' names, for traces."""

    @property
    def experience(self) -> Experience:
        """What past calls have taught."""

    @property
    def learn(self) -> Callable[[Iterable[Transition]], Awaitable[None]]:
        """Takes what a call has taught; does not raise."""


@dataclass(frozen=True, slots=True)
class ClientSide:
    """The client's socket, in ASGI's WebSocket messages.

    ``hand_over``, of servers that can: from now on each message is handed to this function as it comes, without
    waking a task, and ``receive`` gives only what came before, and the end. None takes that back. ``push`` sends a
    message at once and says whether it could.
    """

    receive: Callable[[], Awaitable[Message]]
    send: Callable[[dict[str, Any]], Awaitable[None]]
    hand_over: Callable[[Callable[[Message], None] | None], None] = lambda take: None
    push: Callable[[dict[str, Any]], bool] = lambda message: False


def waits_already() -> ClientProtocolError:
    """No more can be kept for a provider that takes it more slowly than it comes."""
    return ClientProtocolError(
        "This was dropped: too much of what was sent before still waits. Send it no faster than it is spoken.",
        code="rate_limit_exceeded",
    )


class HeldCall(ABC):
    """A session with one client."""

    def __init__(
        self, settings: CallSettings, agent: Agent, shared: Shared, observer: Observer, client: ClientSide
    ) -> None:
        self._settings = settings
        self._limits = agent.limits
        self._learn = shared.learn
        self._observer = observer
        self._client = client
        self._tasks: set[asyncio.Task[None]] = set()
        self._lines: list[asyncio.Task[None]] = []
        self._ended: asyncio.Future[CallEnd] | None = None
        self._begun = asyncio.Event()
        limits = settings.limits
        self._requests = Allowance(limits.requests_per_s, limits.burst_s)
        self._agent = AgentCall(
            agent,
            settings.call_id,
            settings.metadata,
            shared.experience,
            start=self._start,
            deliver=self._deliver,
        )
        self._announcer = Announcer(settings.call_id, settings.region, dict(shared.names))
        self._outbox = Outbox(
            client.send, client.push, binary=settings.binary, limit_bytes=settings.outbox_bytes
        )

    async def run(self) -> CallEnd:
        """Hold the conversation until it ends."""
        self._ended = asyncio.get_running_loop().create_future()
        limit = asyncio.get_running_loop().call_later(self._limits.call_s, self.end, CallEnd.TOO_LONG)
        try:
            self._lines = [
                self._start(line) for line in (*self._own_lines(), self._outbox.run(), self._converse())
            ]
            return await self._ended
        finally:
            limit.cancel()
            await self._finish()

    def end(self, why: CallEnd) -> None:
        """End the call, from anywhere. The first reason counts."""
        if self._ended and not self._ended.done():
            self._ended.set_result(why)

    async def _finish(self) -> None:
        self._client.hand_over(None)
        self._close()
        for task in self._lines:
            task.cancel()
        try:
            taught = await self._agent.end()
            self._observer.call_ended(self._agent.prefetched)
            await self._learn(taught)
        finally:
            tasks = list(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    # --- what the kinds of calls do --------------------------------------------------------------------------------

    @abstractmethod
    def _own_lines(self) -> Sequence[Coroutine[Any, Any, None]]:
        """What runs beside the conversation for as long as the call lasts."""

    @abstractmethod
    def _open(self) -> None:
        """The agent has made up its mind about the call: settle the session's settings."""

    @abstractmethod
    def _welcome(self) -> None:
        """The client knows of its session: begin as the agent wants to."""

    @abstractmethod
    def _created(self) -> dict[str, Any]:
        """The event that tells the client of its session."""

    @property
    @abstractmethod
    def _input_format(self) -> WireFormat:
        """Of the client's audio."""

    @abstractmethod
    def _has_space(self, ms: float) -> bool:
        """So much of the caller's audio can be passed on, or kept until it can."""

    @abstractmethod
    def _take_event(self, event: ClientEvent, text: str) -> None:
        """An event of the client's that is no audio, decoded and as it came. Raises ClientProtocolError."""

    @abstractmethod
    def _take_audio(self, audio: bytes) -> None:
        """Audio of the client's, in the session's input format."""

    @abstractmethod
    def _deliver(self, event: e.Event) -> None:
        """What the agent's side tells."""

    @abstractmethod
    async def _take_leave(self) -> None:
        """Tell the caller, by voice, that the call ends because they are not heard; returns once that was heard."""

    @abstractmethod
    def _close(self) -> None:
        """The call has ended: stop what is going on, and tell how its last turn did."""

    # --- inwards ---------------------------------------------------------------------------------------------------

    async def _converse(self) -> None:
        """Begin as the agent wants to, then take what the client sends, until it is gone."""
        await self._agent.begin()
        self._open()
        self._outbox.put_event(self._created())
        self._begun.set()
        self._welcome()
        self._client.hand_over(self._take_or_fail)
        while True:
            message = await self._client.receive()
            if message["type"] == "websocket.disconnect":
                self.end(CallEnd.CLIENT_GONE)
                return
            self._take(message)

    def _take_or_fail(self, message: Message) -> None:
        """Take a message outside of any task: what goes wrong ends this call, and touches nothing else."""
        try:
            self._take(message)
        except Exception as error:
            self._failed(error)

    def _take(self, message: Message) -> None:
        try:
            self._decode_and_take(message)
        except ClientProtocolError as error:
            self._outbox.put_event(self._announcer.error(error))
        if self._outbox.overfull:
            self.end(CallEnd.CLIENT_SLOW)

    def _decode_and_take(self, message: Message) -> None:
        audio = message.get("bytes")
        if audio is None:
            event = decode(message["text"], self._settings.limits.other_bytes)
            try:
                self._take_one(event, message["text"])
            except ClientProtocolError as error:
                error.event_id = event.event_id
                raise
        elif self._settings.binary:
            self._take_some_audio(audio)
        else:
            raise ClientProtocolError(
                "A binary frame came in a session without ?audio=binary: send audio with "
                "input_audio_buffer.append, or connect with ?audio=binary.",
                code="unexpected_binary_frame",
            )

    def _take_one(self, event: ClientEvent, text: str) -> None:
        if isinstance(event, AppendAudio):
            self._take_some_audio(event.audio)
            return
        costly = isinstance(event, CreateResponse | SessionUpdate)
        if costly and not self._requests.take(time.monotonic()):
            raise ClientProtocolError(
                f"A call may send {self._settings.limits.requests_per_s:g} response.create and session.update a "
                "second: wait a moment.",
                code="rate_limit_exceeded",
            )
        self._take_event(event, text)

    def _take_some_audio(self, audio: bytes) -> None:
        most_s = self._settings.limits.audio_event_s
        length_s = len(audio) / self._input_format.bytes_per_ms / 1000
        if length_s > most_s:
            raise ClientProtocolError(
                f"{length_s:.1f} s of audio came at once: send {most_s:g} s at most.",
                code="event_too_large",
                param="audio",
            )
        if not self._has_space(length_s * 1000):
            raise waits_already()
        self._take_audio(audio)

    # --- tasks -----------------------------------------------------------------------------------------------------

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start a task of this call; if it fails, so does the call."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)
        return task

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failed(error)

    def _failed(self, error: BaseException) -> None:
        if isinstance(error, OSError):
            self.end(CallEnd.CLIENT_GONE)  # the client's socket is gone
            return
        log.error("call %s failed", self._settings.call_id, exc_info=error)
        self.end(CallEnd.FAILED)

    async def _depend_on(self, run: Callable[[], Awaitable[None]], *, stage: str, what: str) -> None:
        """Run what the call cannot do without, from when it has begun; if it is gone, say so and end the call."""
        await self._begun.wait()
        try:
            await run()
        except (ProviderError, PoolTimeout) as error:
            self._observer.provider_failed(stage, error)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LEAVE_S):
                    await self._take_leave()
            # Only now: a client may hang up when it reads this.
            self._outbox.put_event(self._announcer.failure(f"{what} is gone: {error}", f"{stage}_failed"))
            await self._outbox.flush()
            self.end(CallEnd.PROVIDERS_GONE)
