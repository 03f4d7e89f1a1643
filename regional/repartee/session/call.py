"""One call, from its first event to its end: an agent, a transport, and a kind of conversation between them.

The kind (a cascade of providers, or a speech-to-speech model) brings a core and carries out its commands; the shell
runs it. Nothing here waits for anything: audio and events go into bounded queues, whatever takes time is a task.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from repartee.agent.agent import Agent
from repartee.agent.experience import Experience, Transition
from repartee.errors import ClientProtocolError, PoolTimeout, ProviderError
from repartee.pool.cold_waits import follow_waits
from repartee.session.agent_call import AgentCall
from repartee.session.call_notes import OUTCOMES, CallNotes
from repartee.session.checkpointing import Checkpointing
from repartee.session.consent import RecordedCall
from repartee.session.parting import ClosingOnly, Parting
from repartee.session.shell import Core, Shell, TaskLost, name_of
from repartee.session.too_much import ClientLimits, check_audio_length
from repartee.telemetry.events import CallOutcome
from repartee.telemetry.report import CallOrigin, Emit
from repartee.transport.interfaces import CallControl, CallEnd, Transport
from repartee.turn import events as e
from repartee.turn.commands import AnswerMissing, Command
from repartee.wire.allowance import Allowance
from repartee.wire.audio_format import LEAST_BYTES_PER_MS, WireFormat
from repartee.wire.client_events import (
    AppendAudio,
    ClearOutput,
    ClientEvent,
    CreateResponse,
    PressKey,
    ReportHeard,
    SessionUpdate,
)
from repartee.wire.session_settings import SessionSettings
from repartee.wire.settings_patch import SessionPatch
from repartee.wire.unmet import mcp_tools

log = logging.getLogger(__name__)

Line = Coroutine[Any, Any, None]

MISSING = frozenset(["no words", "no sound", "content_filter", "length"])
"""Why an answer was missing, beside the failures that are counted as such."""

LEAVE_S = 20.0
"""A call that ends for a provider's fault says so first, within this."""


@dataclass(frozen=True, slots=True)
class CallSettings:
    """What is particular to one call. ``model`` is what the client asked for, ``session`` the settings that came with
    its token or its offer (``session_fault``: why none), ``metadata`` its ticket's words on the caller,
    ``agent`` the agent's name."""

    call_id: str
    region: str
    model: str = ""
    session: SessionPatch | None = None
    session_fault: ClientProtocolError | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    limits: ClientLimits = field(default_factory=ClientLimits)
    origin: CallOrigin = field(default_factory=CallOrigin)
    agent: str = ""
    checkpointing: Checkpointing = field(default_factory=Checkpointing)
    recorded: RecordedCall | None = None

    @property
    def told(self) -> Mapping[str, Any]:
        """What the client has said of the caller in asking for the call."""
        metadata = self.session.metadata if self.session else None
        return metadata if isinstance(metadata, dict) else {}


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


class Kind(Protocol):
    """What a kind of call brings: a core, and who carries out what it wants. Nothing here waits."""

    @property
    def core(self) -> Core:
        """Decides."""

    def carry_out(self, command: Command) -> None:
        """Do what the core wants."""

    def lines(self) -> Sequence[Line]:
        """What runs beside the conversation for as long as the call lasts."""

    def open(self) -> SessionSettings:
        """The agent has made up its mind about the call: settle the session's settings."""

    @property
    def input_format(self) -> WireFormat:
        """What the caller's audio comes in."""

    @property
    def take_audio(self) -> Callable[[bytes], None]:
        """Takes the caller's audio, in the input format. Raises ClientProtocolError if too much waits already."""

    def take_event(self, event: ClientEvent, source: str) -> None:
        """A wish of the client's, but for audio. Raises ClientProtocolError."""

    @property
    def talking(self) -> bool:
        """The agent is saying something, or about to."""

    async def take_leave(self) -> None:
        """Tell the caller, by voice, that the call ends because they are not heard; returns once that was heard."""


@dataclass(frozen=True, slots=True)
class CallParts:
    """What a call is put together from, beside its :class:`Kind`. ``emit`` takes what there is to know of it."""

    settings: CallSettings
    agent: Agent
    shared: Shared
    emit: Emit
    transport: Transport
    control: CallControl = field(default_factory=ClosingOnly)
    """What the client's connection can do beside being closed."""


class Call:
    """A session with one client. Implements :class:`~repartee.transport.interfaces.CallSide`."""

    def __init__(self, parts: CallParts, make: Callable[["Call"], Kind]) -> None:
        settings, agent = parts.settings, parts.agent
        self.settings = settings
        self.declared = agent
        # What is within the limit in any format need not be measured.
        self._short_bytes = settings.limits.audio_event_s * 1000 * LEAST_BYTES_PER_MS
        notes = CallNotes(settings, parts.shared.names, parts.emit, settings.checkpointing)
        self.report, self.transcript = notes.report, notes.transcript
        self.transcript.recall(settings.checkpointing.earlier)
        self.transport = parts.transport
        self.shell = Shell(settings.call_id, self.fail)
        self._parting = Parting(
            parts.control,
            start=self.shell.start,
            say=self._say,
            talking=lambda: self._kind.talking,
            end=self.end,
        )
        self.agent = AgentCall(
            agent,
            settings.call_id,
            settings.metadata,
            parts.shared.experience,
            start=self.shell.start,
            drop=self.shell.drop,
            deliver=self.shell.deliver,
            tool_ran=notes.tool_ran,
            keys_done=settings.checkpointing.write,
            handle=self._parting,
            transcript=self.transcript,
            note_fault=self.report.author_failed,
            secrets=notes.secrets,
        )
        settings.checkpointing.serve(
            self.agent.context.state, lambda: self.agent.context.state, notes.secrets.hide
        )
        if settings.recorded:
            settings.recorded.serve(self._say, notes.secrets)
        self._requests = Allowance(settings.limits.requests_per_s, settings.limits.burst_s)
        self._learn = parts.shared.learn
        self._ended: asyncio.Future[CallEnd] | None = None
        self._held_by: asyncio.Task[Any] | None = None
        self._begun = asyncio.Event()
        self._kind = make(self)
        self.shell.run_core(self._kind.core, notes.around(self._kind.carry_out))

    def __repr__(self) -> str:
        return f"<Call {self.settings.call_id}: {self._kind!r}>"

    async def run(self) -> CallEnd:
        """Hold the conversation until it ends."""
        loop = asyncio.get_running_loop()
        self._ended, self._held_by = loop.create_future(), asyncio.current_task()
        self.report.cold_waits = follow_waits()
        self.report.began()
        limit = loop.call_later(self.declared.limits.call_s, self.end, CallEnd.TOO_LONG)
        lines: list[asyncio.Task[None]] = []
        try:
            lines = [
                self.shell.start(line)
                for line in (*self._kind.lines(), *self.transport.lines(self), self._converse())
            ]
            for line in lines:
                line.add_done_callback(self._line_done)
            return await self._ended
        finally:
            limit.cancel()
            await self._finish(lines)

    def _line_done(self, line: asyncio.Task[None]) -> None:
        """A line lasts as long as the call; if one does not, the call ends, and never waits for what cannot come."""
        ended = self._ended is None or self._ended.done()
        if not ended and not line.cancelled() and line.exception() is None:
            self.fail(TaskLost(f"{name_of(line)} has ended before the call"))

    def end(self, why: CallEnd) -> None:
        """End the call, from anywhere. The first reason counts."""
        if self._ended and not self._ended.done():
            self._ended.set_result(why)

    async def depend_on(self, run: Callable[[], Awaitable[None]], *, stage: str, what: str) -> None:
        """Run what the call cannot do without, from when it has begun; if it is lost, say so and end the call."""
        await self._begun.wait()
        try:
            await run()
        except (ProviderError, PoolTimeout) as error:
            self.report.provider_failed(stage, error)
            await self._take_leave()
            # Only now: a client may hang up when it reads this.
            self.transport.report_failure(f"{what} is gone: {error}", f"{stage}_failed")
            await self.transport.flush()
            self.end(CallEnd.PROVIDERS_GONE)

    async def _take_leave(self) -> None:
        try:
            async with asyncio.timeout(LEAVE_S) as limit:
                await self._kind.take_leave()
        except TimeoutError:
            if not limit.expired():
                raise  # a fault of the worker's own

    def note_missing(self, command: AnswerMissing, *, stage: str, counted: bool) -> None:
        """Nothing of an answer could be heard: log it, and count it unless its failure is counted already."""
        what = self.settings.call_id, command.turn_id, command.reason
        if command.asked_again:
            log.warning(
                "call %s: nothing of the answer to turn %d is heard (%s); asking the model again", *what
            )
        else:
            log.warning("call %s: nothing of the answer to turn %d is heard (%s); apologising", *what)
        if counted:
            self.report.provider_failed(stage, command.reason)

    def give_up(self, reason: str, code: str) -> None:
        """The caller can be told nothing: a silent line helps nobody."""
        self.shell.start(self._end_mute(reason, code))

    async def _end_mute(self, reason: str, code: str) -> None:
        self.transport.report_failure(f"The agent cannot speak: {reason}", code)
        await self.transport.flush()
        self.end(CallEnd.PROVIDERS_GONE)

    async def _converse(self) -> None:
        """Begin as the agent wants to, then take what the client sends, until it is gone."""
        resumed = bool(self.settings.checkpointing.earlier)
        await self.agent.begin(self.settings.told, resumed=resumed)
        self.transport.opened(self._kind.open())
        if self.settings.session_fault:
            self.transport.refuse(self.settings.session_fault)
        self._begun.set()
        self._parting.begin()
        self.agent.speak_up(self.settings.recorded)
        await self.transport.receive()

    async def _finish(self, lines: Sequence[asyncio.Task[None]]) -> None:
        self.transport.stop_receiving()
        try:
            self.shell.deliver(e.HungUp())
        except Exception as error:
            self.fail(error)  # the agent's end and the tasks' are still to come
        for task in lines:
            self.shell.drop(task)
        try:
            try:
                taught = await self.agent.end()
            finally:
                self.report.ended(self._outcome(), self.agent.prefetched)
            await self._learn(taught)
        finally:
            await self.shell.stop()

    def _outcome(self) -> CallOutcome:
        ended = self._ended
        return OUTCOMES[ended.result()] if ended and ended.done() and not ended.cancelled() else "cancelled"

    # --- what the transport hands over ----------------------------------------------------------------------------

    def take_audio(self, audio: bytes) -> None:
        """The caller's audio. Raises ClientProtocolError if it is too much."""
        if len(audio) > self._short_bytes:
            length_ms = len(audio) / self._kind.input_format.bytes_per_ms
            check_audio_length(length_ms, self.settings.limits.audio_event_s)
        self._kind.take_audio(audio)

    def take_event(self, event: ClientEvent, source: str) -> None:
        """What the client wishes. Raises ClientProtocolError."""
        if isinstance(event, AppendAudio):
            self.take_audio(event.audio)
            return
        costly = isinstance(event, CreateResponse | SessionUpdate | PressKey | ReportHeard)
        if costly and not self._requests.take(time.monotonic()):
            raise ClientProtocolError(
                f"A call may send {self.settings.limits.requests_per_s:g} response.create and session.update a "
                "second: wait a moment.",
                code="rate_limit_exceeded",
            )
        if isinstance(event, PressKey):
            self.take_digit(event.digit)
        elif isinstance(event, ReportHeard):
            self.report.answer_heard(event.turn_id, event.stages_ms)
        else:
            self._take_wish(event, source)

    def _take_wish(self, event: ClientEvent, source: str) -> None:
        self._kind.take_event(event, source)
        if isinstance(event, SessionUpdate) and isinstance(event.session.tools, list):
            refusal = mcp_tools(event.session.tools, "session.tools")
            if refusal is not None:  # all else holds
                raise refusal

    def take_digit(self, digit: str) -> None:
        """The caller has pressed a key: the agent stops, if keys mean anything to it."""
        self.transport.key_received(digit, int(time.time()))
        if not self.agent.takes_keys:
            log.info(
                "call %s: a key was pressed, and the agent has no on_dtmf; ignoring it", self.settings.call_id
            )
            return
        self._stop_talking()
        self.agent.pressed(digit)

    def _say(self, text: str) -> None:
        self.agent.context.say(text)

    def take_played(self, item_id: str, played_ms: float) -> None:
        """The caller has heard so much of an answer."""
        self.shell.deliver(e.Played(item_id, played_ms))

    def part(self, say: str) -> None:
        """The call is to end, with these words."""
        self._stop_talking()
        self._parting.hang_up(say)

    def _stop_talking(self) -> None:
        if self._kind.talking:
            self._kind.take_event(ClearOutput(), '{"type":"output_audio_buffer.clear"}')

    def refer(self, to: str) -> None:
        """The caller is to be handed on."""
        self._stop_talking()
        self._parting.transfer(to, "")

    def line_troubled(self, trouble: str, *, lost: bool) -> None:
        """The connection carries no audio one way."""
        self.report.line_troubled(trouble)
        if lost:
            self.end(CallEnd.LINE_LOST)

    def client_gone(self) -> None:
        """The client hung up, or was hung up on."""
        self.end(self._parting.leaving or CallEnd.CLIENT_GONE)

    def client_slow(self) -> None:
        """The client has stopped reading."""
        self.end(CallEnd.CLIENT_SLOW)

    def fail(self, error: BaseException) -> None:
        """A fault of the worker's own: log it, and end this call. Others go on."""
        if isinstance(error, TaskLost) and self._held_by is not None and self._held_by.cancelling():
            return  # the worker stops at once, and this call with it
        log.error("call %s failed; closing it", self.settings.call_id, exc_info=error)
        self.end(CallEnd.FAILED)
