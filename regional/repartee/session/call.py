"""One call: runs the turn core's commands against real providers. The only place where tasks start.

The order is fixed: receive → decode → core → carry out. Carrying out never waits: audio and events go into bounded
queues, replies run in tasks of their own, deadlines are timers. So the caller's audio is never behind anything.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from repartee.agent.agent import Agent
from repartee.agent.experience import Experience, Transition
from repartee.errors import ClientProtocolError, PoolTimeout, ProviderError
from repartee.providers.interfaces import SPEECH_HZ, Brain, Ears, Voice
from repartee.session.agent_call import AgentCall
from repartee.session.hearing import Hearing
from repartee.session.intake import Intake
from repartee.session.observer import Observer
from repartee.session.outbox import Outbox
from repartee.session.phrases import Phrases, Recording
from repartee.session.pipeline import Pipeline
from repartee.session.prompt import is_spoken, reply_request
from repartee.turn import commands as c
from repartee.turn import events as e
from repartee.turn.machine import TurnMachine
from repartee.turn.policy import TurnPolicy
from repartee.turn.state import IllegalTransition
from repartee.wire.announcer import Announcer
from repartee.wire.audio_format import AudioEncoder
from repartee.wire.client_events import SessionPatch, decode
from repartee.wire.session_config import SessionConfig

log = logging.getLogger(__name__)

Message = Mapping[str, Any]


class CallEnd(Enum):
    """Why a call ended."""

    CLIENT_GONE = "the client hung up"
    CLIENT_SLOW = "the client does not read what it is sent"
    PROVIDERS_GONE = "a provider is gone"
    TOO_LONG = "the call's time limit has come"
    DRAINED = "the worker is being replaced: connect again"
    FAILED = "internal error"


async def forget(taught: Iterable[Transition]) -> None:
    """Keep nothing of what a call has taught."""


@dataclass(frozen=True, slots=True)
class Resources:
    """What the calls of a worker share: the providers, their names in traces, and what is known beforehand."""

    ears: Ears
    brain: Brain
    voice: Voice
    names: Mapping[str, str]
    phrases: Phrases
    experience: Experience
    learn: Callable[[Iterable[Transition]], Awaitable[None]] = forget
    """Takes what a call has taught; must not raise."""
    policy: TurnPolicy = field(default_factory=TurnPolicy)
    """How turns are taken, but for what a session says of it."""


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


class Call:
    """A session with one client. ``receive`` and ``send`` speak ASGI's WebSocket messages."""

    def __init__(
        self,
        settings: CallSettings,
        agent: Agent,
        resources: Resources,
        observer: Observer,
        *,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[dict[str, Any]], Awaitable[None]],
    ) -> None:
        self._settings = settings
        self._limits = agent.limits
        self._temperature = agent.temperature
        self._resources = resources
        self._observer = observer
        self._receive = receive
        self._tasks: set[asyncio.Task[None]] = set()
        self._agent = AgentCall(
            agent,
            settings.call_id,
            settings.metadata,
            resources.experience,
            start=self._start,
            deliver=self._deliver,
        )
        self._brain = self._agent.brain(resources.brain)
        self._config = _config_of(agent, settings)
        self._machine = TurnMachine(
            settings.call_id, self._policy(), self._agent.fillers, self._agent.foresight
        )
        self._announcer = Announcer(settings.call_id, settings.region, dict(resources.names))
        self._outbox = Outbox(send, binary=settings.binary, limit_bytes=settings.outbox_bytes)
        self._hearing = Hearing(
            resources.ears,
            self._deliver,
            source=self._config.input_format,
            keyterms=tuple(agent.keyterms),
        )
        self._intake = Intake(
            self._machine,
            self._hearing,
            self._announcer,
            deliver=self._deliver_or_raise,
            announce=self._outbox.put_event,
            configure=self._configure,
        )
        self._pipelines: dict[int, Pipeline] = {}
        self._encoders: dict[int, AudioEncoder] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._ended: asyncio.Future[CallEnd] | None = None
        self._begun = asyncio.Event()
        self._lines: list[asyncio.Task[None]] = []
        self._carriers = self._make_carriers()

    def __repr__(self) -> str:
        return f"<Call {self._settings.call_id}: {len(self._pipelines)} replies, {self._machine!r}>"

    async def run(self) -> CallEnd:
        """Hold the conversation until it ends."""
        self._ended = asyncio.get_running_loop().create_future()
        limit = asyncio.get_running_loop().call_later(self._limits.call_s, self.end, CallEnd.TOO_LONG)
        try:
            self._lines = [
                self._start(line) for line in (self._listen(), self._outbox.run(), self._converse())
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
        self._deliver(e.HungUp())
        for timer in self._timers.values():
            timer.cancel()
        for task in self._lines:
            task.cancel()
        try:
            taught = await self._agent.end()
            self._observer.call_ended(self._agent.prefetched)
            await self._resources.learn(taught)
        finally:
            tasks = list(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    # --- inwards -------------------------------------------------------------------------------------------------

    async def _converse(self) -> None:
        """Begin as the agent wants to, then take what the client sends, until it is gone."""
        context = self._agent.context
        await self._agent.begin()
        self._config = replace(
            self._config,
            instructions=context.instructions,
            voice=context.voice,
            language=context.language,
        )
        if self._settings.session:
            self._config = self._config.updated(self._settings.session)
        self._apply_settings()
        self._outbox.put_event(self._announcer.session("session.created", self._config))
        self._begun.set()
        if context.greeting:
            self._deliver(e.ReplyRequested(say=context.greeting))
        while True:
            message = await self._receive()
            if message["type"] == "websocket.disconnect":
                self.end(CallEnd.CLIENT_GONE)
                return
            try:
                self._take(message)
            except ClientProtocolError as error:
                self._outbox.put_event(self._announcer.error(error))
            if self._outbox.overfull:
                self.end(CallEnd.CLIENT_SLOW)
                return

    def _take(self, message: Message) -> None:
        audio = message.get("bytes")
        if audio is None:
            event = decode(message["text"])
            try:
                self._intake.take(event)
            except ClientProtocolError as error:
                error.event_id = event.event_id
                raise
        elif self._settings.binary:
            self._intake.take_audio(audio)
        else:
            raise ClientProtocolError(
                "A binary frame came in a session without ?audio=binary: send audio with "
                "input_audio_buffer.append, or connect with ?audio=binary.",
                code="unexpected_binary_frame",
            )

    async def _listen(self) -> None:
        await self._begun.wait()
        try:
            await self._hearing.run()
        except (ProviderError, PoolTimeout) as error:
            self._observer.provider_failed("stt", error)
            self._outbox.put_event(
                self._announcer.failure(f"Speech recognition is gone: {error}", "stt_failed")
            )
            await self._outbox.flush()
            self.end(CallEnd.PROVIDERS_GONE)

    def _configure(self, patch: SessionPatch) -> None:
        self._config = self._config.updated(patch)
        self._apply_settings()
        self._agent.learn(self._config.metadata)
        self._outbox.put_event(self._announcer.session("session.updated", self._config))

    def _apply_settings(self) -> None:
        self._machine.policy = self._policy()
        self._hearing.set_format(self._config.input_format)
        self._hearing.set_language(self._config.language)

    def _policy(self) -> TurnPolicy:
        """How turns are taken under the session's settings."""
        policy = replace(self._resources.policy, spoken=self._config.spoken, tools=self._agent.tool_names)
        detection = self._config.turn_detection
        if detection is None:
            return replace(
                policy, automatic=False, reply_to_turns=False, interruptible=False, speculate=False
            )
        return replace(
            policy, reply_to_turns=detection.create_response, interruptible=detection.interrupt_response
        )

    # --- the core ------------------------------------------------------------------------------------------------

    def _deliver(self, event: e.Event) -> None:
        """Tell the core what happened, and carry out what it wants done."""
        try:
            self._deliver_or_raise(event)
        except ClientProtocolError as error:
            self._outbox.put_event(self._announcer.error(error))

    def _deliver_or_raise(self, event: e.Event) -> None:
        try:
            commands = self._machine.receive(event, time.monotonic())
        except IllegalTransition as error:
            log.warning("call %s: %s was dropped: %s", self._settings.call_id, type(event).__name__, error)
            return
        if isinstance(event, e.ReplyFailed):
            self._observer.provider_failed(event.stage, event.message)
        for command in commands:
            self._carry_out(command)
        if self._outbox.overfull:
            self.end(CallEnd.CLIENT_SLOW)

    def _carry_out(self, command: c.Command) -> None:
        carrier = self._carriers.get(type(command))
        if carrier:
            carrier(command)
        for event in self._announcer.tell(command, round(self._hearing.received_ms)):
            self._outbox.put_event(event)

    def _make_carriers(self) -> dict[type[c.Command], Callable[[Any], None]]:
        return {
            c.Play: self._play,
            c.Say: self._say,
            c.StartReply: self._start_reply,
            c.StopReply: self._stop_reply,
            c.ReplyEnded: self._end_reply,
            c.SetDeadline: self._set_deadline,
            c.ClearDeadline: self._clear_deadline,
            c.EndHearing: lambda command: self._hearing.finish_turn(),
            c.RunTool: self._agent.run,
            c.PrepareTool: self._agent.prepare,
            c.TurnHeard: lambda command: self._agent.heard(command.turn_id, command.text),
            c.TurnFinished: self._turn_finished,
            c.SpeculationEnded: lambda command: self._observer.speculation_ended(command.outcome),
        }

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start a task of this call; if it fails, so does the call."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)
        return task

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or (error := task.exception()) is None:
            return
        if isinstance(error, OSError):
            self.end(CallEnd.CLIENT_GONE)  # the client's socket is gone
            return
        log.error("call %s failed", self._settings.call_id, exc_info=error)
        self.end(CallEnd.FAILED)

    # --- carrying out --------------------------------------------------------------------------------------------

    def _start_reply(self, command: c.StartReply) -> None:
        request = reply_request(
            self._config,
            command.messages,
            options=command.options,
            agent_tools=self._agent.chat_tools,
            temperature=self._temperature,
            follows_tools=command.follows_tools,
        )
        pipeline = self._new_pipeline(command.reply_id, spoken=is_spoken(self._config, command.options))
        pipeline.think(self._brain, request)

    def _new_pipeline(self, reply_id: int, *, spoken: bool) -> Pipeline:
        """A pipeline for a reply. Its voice is got ready at once, before there are words for it."""
        pipeline = self._pipelines[reply_id] = Pipeline(reply_id, self._start, self._deliver)
        if spoken:
            pipeline.speak(self._resources.voice, name=self._config.voice, language=self._config.language)
        return pipeline

    def _say(self, command: c.Say) -> None:
        pipeline = self._pipelines.get(command.reply_id)
        if pipeline is None:  # words of our own: no model was asked
            config = self._config
            recording = self._resources.phrases.get(command.text, name=config.voice, language=config.language)
            if recording and command.last:
                asyncio.get_running_loop().call_soon(self._play_recording, command.reply_id, recording)
                return
            pipeline = self._new_pipeline(command.reply_id, spoken=True)
        pipeline.say(command.text, command.last)

    def _play_recording(self, reply_id: int, recording: Recording) -> None:
        self._deliver(e.SpeechWords(reply_id, recording.words))
        self._deliver(e.SpeechAudio(reply_id, recording.pcm))
        self._deliver(e.SpeechDone(reply_id))

    def _stop_reply(self, command: c.StopReply) -> None:
        if pipeline := self._pipelines.pop(command.reply_id, None):
            pipeline.stop()
        self._encoders.pop(command.reply_id, None)

    def _end_reply(self, command: c.ReplyEnded) -> None:
        if encoder := self._encoders.pop(command.reply_id, None):
            self._put_audio(command.reply_id, encoder.flush())
        if pipeline := self._pipelines.pop(command.reply_id, None):
            pipeline.stop()

    def _play(self, command: c.Play) -> None:
        encoder = self._encoders.get(command.reply_id)
        if encoder is None:
            encoder = self._encoders[command.reply_id] = AudioEncoder(self._config.output_format, SPEECH_HZ)
        self._put_audio(command.reply_id, encoder.feed(command.pcm))

    def _put_audio(self, reply_id: int, audio: bytes) -> None:
        delta = self._announcer.audio_delta(reply_id)
        if audio and delta:
            self._outbox.put_audio(delta, audio)

    def _set_deadline(self, command: c.SetDeadline) -> None:
        self._clear_deadline(command)
        delay_s = max(command.at - time.monotonic(), 0.0)
        loop = asyncio.get_running_loop()
        self._timers[command.name] = loop.call_later(delay_s, self._deadline_passed, command.name)

    def _clear_deadline(self, command: c.SetDeadline | c.ClearDeadline) -> None:
        if timer := self._timers.pop(command.name, None):
            timer.cancel()

    def _deadline_passed(self, name: str) -> None:
        del self._timers[name]
        self._deliver(e.DeadlinePassed(name))

    def _turn_finished(self, command: c.TurnFinished) -> None:
        self._observer.turn_finished(self._settings.call_id, command.turn_id, command.outcome, command.trace)


def _config_of(agent: Agent, settings: CallSettings) -> SessionConfig:
    return SessionConfig(
        instructions=agent.instructions,
        voice=agent.voice,
        language=agent.language,
        model=settings.model or agent.model or "",
        max_tokens=agent.max_tokens,
        metadata=settings.metadata,
    )
