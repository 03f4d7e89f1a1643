"""One call on a cascade: runs the turn core's commands against real providers.

Carrying out never waits: audio and events go into bounded queues, replies run in tasks of their own, deadlines are
timers. What all calls have in common is held_call's.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from repartee.agent.agent import Agent
from repartee.agent.experience import Experience, Transition
from repartee.errors import ClientProtocolError
from repartee.providers.interfaces import SPEECH_HZ, Brain, Ears, Voice
from repartee.session.hearing import Hearing, HearingPolicy, HearingUser
from repartee.session.held_call import CallEnd, CallSettings, ClientSide, HeldCall
from repartee.session.intake import Intake
from repartee.session.notice import Notices
from repartee.session.observer import Observer
from repartee.session.phrases import Phrases, Recording
from repartee.session.pipeline import Pipeline
from repartee.session.prompt import is_spoken, reply_request
from repartee.turn import commands as c
from repartee.turn import events as e
from repartee.turn.machine import COMMIT, TurnMachine
from repartee.turn.policy import TurnPolicy
from repartee.turn.state import IllegalTransition, State
from repartee.wire.audio_format import AudioEncoder, WireFormat
from repartee.wire.client_events import ClientEvent, SessionPatch
from repartee.wire.session_config import SessionConfig

log = logging.getLogger(__name__)

NOTICE_LOOK_S = 0.1
"""How often a notice looks whether the agent has finished."""


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
    hearing: HearingPolicy = field(default_factory=HearingPolicy)
    """How speech recognition is kept, and when the caller is told that it is away."""


class Call(HeldCall):
    """A session with one client, on a cascade of providers."""

    def __init__(
        self,
        settings: CallSettings,
        agent: Agent,
        resources: Resources,
        observer: Observer,
        client: ClientSide,
    ) -> None:
        super().__init__(settings, agent, resources, observer, client)
        self._temperature = agent.temperature
        self._resources = resources
        self._brain = self._agent.brain(resources.brain)
        self._config = _config_of(agent, settings)
        self._machine = TurnMachine(
            settings.call_id, self._policy(), self._agent.fillers, self._agent.foresight
        )
        self._hearing = Hearing(
            resources.ears,
            HearingUser(self._deliver, tell=lambda: self._start_notice(agent.notices.unheard)),
            source=self._config.input_format,
            keyterms=tuple(agent.keyterms),
            policy=resources.hearing,
        )
        self._goodbye = agent.notices.goodbye
        self._notices = Notices(self._announcer, self._outbox, resources.phrases, self._machine.history)
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
        self._carriers = self._make_carriers()

    def __repr__(self) -> str:
        return f"<Call {self._settings.call_id}: {len(self._pipelines)} replies, {self._machine!r}>"

    def _own_lines(self) -> Sequence[Coroutine[Any, Any, None]]:
        return [self._depend_on(self._hearing.run, stage="stt", what="Speech recognition")]

    def _open(self) -> None:
        context = self._agent.context
        self._config = replace(
            self._config,
            instructions=context.instructions,
            voice=context.voice,
            language=context.language,
        )
        if self._settings.session:
            self._config = self._config.updated(self._settings.session)
        self._apply_settings()

    def _created(self) -> dict[str, Any]:
        return self._announcer.session("session.created", self._config)

    def _welcome(self) -> None:
        if greeting := self._agent.context.greeting:
            self._deliver(e.ReplyRequested(say=greeting))

    async def _take_leave(self) -> None:
        for pipeline in self._pipelines.values():
            pipeline.stop()
        if self._goodbye:
            recording = await self._notices.recording(self._goodbye, self._config)
            said_ms = self._notices.tell(self._goodbye, recording, self._config)
            heard_at = max(self._machine.heard_until, time.monotonic()) + said_ms / 1000
            await asyncio.sleep(heard_at - time.monotonic())

    def _start_notice(self, text: str) -> None:
        if text:
            self._start(self._give_notice(text))

    async def _give_notice(self, text: str) -> None:
        """Say this as soon as the agent says nothing else. The caller's turn may be open: nobody hears its end."""
        recording = await self._notices.recording(text, self._config)
        while self._machine.state in (State.THINKING, State.SPEAKING, State.OVERLAP):  # noqa: ASYNC110
            await asyncio.sleep(NOTICE_LOOK_S)
        self._notices.tell(text, recording, self._config)

    def _close(self) -> None:
        self._deliver(e.HungUp())
        for timer in self._timers.values():
            timer.cancel()

    # --- inwards -------------------------------------------------------------------------------------------------

    @property
    def _input_format(self) -> WireFormat:
        return self._config.input_format

    def _has_space(self, ms: float) -> bool:
        return self._hearing.has_space(ms)

    def _take_event(self, event: ClientEvent, text: str) -> None:
        self._intake.take(event)
        self._tell_forgotten()

    def _take_audio(self, audio: bytes) -> None:
        self._intake.take_audio(audio)

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
        self._tell_forgotten()
        if self._outbox.overfull:
            self.end(CallEnd.CLIENT_SLOW)

    def _tell_forgotten(self) -> None:
        """The client learns what the conversation has become too long for."""
        for item_id in self._machine.history.forgotten():
            self._outbox.put_event(self._announcer.event("conversation.item.deleted", item_id=item_id))

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
        pipeline = self._new_pipeline(command.reply_id)
        pipeline.think(self._brain, request)
        if is_spoken(self._config, command.options):
            self._give_voice(pipeline)

    def _new_pipeline(self, reply_id: int) -> Pipeline:
        pipeline = self._pipelines[reply_id] = Pipeline(reply_id, self._start, self._deliver)
        return pipeline

    def _give_voice(self, pipeline: Pipeline) -> None:
        """Get its voice ready, before there are words for it."""
        pipeline.speak(self._resources.voice, name=self._config.voice, language=self._config.language)

    def _say(self, command: c.Say) -> None:
        pipeline = self._pipelines.get(command.reply_id)
        if pipeline is None:  # words of our own: no model was asked
            config = self._config
            recording = self._resources.phrases.get(command.text, name=config.voice, language=config.language)
            if recording and command.last:
                asyncio.get_running_loop().call_soon(self._play_recording, command.reply_id, recording)
                return
            pipeline = self._new_pipeline(command.reply_id)
            self._give_voice(pipeline)
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
        if name == COMMIT and self._hearing.behind:
            # The turn's last words cannot have been heard yet: half of it must not be answered.
            self._set_deadline(c.SetDeadline(COMMIT, time.monotonic() + self._machine.policy.commit_s))
            return
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
