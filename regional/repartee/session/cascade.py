"""A call on a cascade of providers: carries out the turn core's commands with STT, LLM and TTS.

Replies run in tasks of their own, deadlines are timers. What all calls have in common is in session/call.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from msgspec import UNSET

from repartee.session.call import MISSING, Call, Line
from repartee.session.cascade_resources import CascadeResources
from repartee.session.hearing import Hearing, HearingUser
from repartee.session.intake import Intake
from repartee.session.manners import turn_policy
from repartee.session.notice import NoticePlayer
from repartee.session.phrases import Recording
from repartee.session.prompt import is_spoken
from repartee.session.replying import Replying
from repartee.session.secret_hearing import SecretHearing
from repartee.transport.interfaces import CallEnd, RealtimeTransport
from repartee.turn import commands as c
from repartee.turn.caller_turns import COMMIT
from repartee.turn.earlier import items_of
from repartee.turn.machine import TurnMachine
from repartee.turn.policy import TurnPolicy
from repartee.turn.state import State
from repartee.wire.audio_format import WireFormat
from repartee.wire.client_events import ClientEvent, ResponseParams
from repartee.wire.session_settings import SessionSettings, check_own, checked_response
from repartee.wire.settings_patch import SessionPatch
from repartee.wire.unmet import check_aside, check_response, check_session

log = logging.getLogger(__name__)

NOTICE_LOOK_S = 0.1
"""How often a notice looks whether the agent has finished."""


class Cascade:
    """One call on a cascade. Implements :class:`~repartee.session.call.Kind`."""

    def __init__(self, call: Call, resources: CascadeResources) -> None:
        self._call = call
        self._shell, self._agent, self._transport = call.shell, call.agent, call.transport
        self._resources = resources
        self._settings = _settings_of(call)
        self._replying = Replying(call, resources, self._settings, self._formats[1])
        self._machine = TurnMachine(call.settings.call_id, self._policy(), self._agent.fillers)
        for item in items_of(call.settings.checkpointing.earlier):
            self._machine.history.append(item)
        fixed = self._transport.formats
        stt, decoder_for = resources.heard_from(fixed.source if fixed else None)
        self._hearing = Hearing(
            stt,
            HearingUser(
                SecretHearing(self._agent.secrets, lambda: self._settings.language, self._shell.deliver).take,
                self._shell,
                tell=lambda: self._start_notice(call.declared.notices.unheard),
                accompany=lambda: self._start_notice(self._machine.policy.company),
            ),
            source=self._formats[0],
            keyterms=tuple(call.declared.keyterms),
            policy=resources.hearing,
            decoder_for=decoder_for,
        )
        self._notices = NoticePlayer(
            call.settings.call_id, self._transport, resources.phrases, self._machine.history
        )
        self._intake = Intake(
            call.settings.call_id,
            request=self._shell.request,
            hear=self._hearing.feed,
            configure=self._configure,
            check=self._checked_response,
        )
        self.take_audio = self._intake.take_audio
        self._carriers = self._make_carriers()

    def __repr__(self) -> str:
        return f"<Cascade: {self._replying!r}, {self._machine!r}>"

    @property
    def core(self) -> TurnMachine:
        """The turn core."""
        return self._machine

    def lines(self) -> Sequence[Line]:
        """Speech recognition."""
        return [self._call.depend_on(self._hearing.run, stage="stt", what="Speech recognition")]

    def open(self) -> SessionSettings:
        """The agent has made up its mind about the call."""
        context = self._agent.context
        self._settings = replace(
            self._settings,
            instructions=context.instructions,
            voice=context.voice,
            language=context.language,
        )
        if patch := self._call.settings.session:
            self._settings = self._settings.updated(patch)
        self._apply_settings()
        return self._settings

    def take_event(self, event: ClientEvent, source: str) -> None:
        """A wish of the client's. Raises ClientProtocolError."""
        self._intake.take(event)

    @property
    def input_format(self) -> WireFormat:
        """What the caller's audio comes in."""
        return self._formats[0]

    # --- notices -------------------------------------------------------------------------------------------------

    @property
    def talking(self) -> bool:
        """The agent is saying something, or about to."""
        return self._machine.state in (State.THINKING, State.SPEAKING, State.OVERLAP)

    async def take_leave(self) -> None:
        """Say goodbye, and wait until that was heard."""
        self._replying.stop_all()
        if goodbye := self._call.declared.notices.goodbye:
            recording = await self._notices.recording(goodbye, self._settings)
            self._say_notice(goodbye, recording)
            await asyncio.sleep(self._machine.heard_until - time.monotonic())

    def _start_notice(self, text: str) -> None:
        if text:
            self._shell.start(self._give_notice(text))

    async def _give_notice(self, text: str) -> None:
        """Say this as soon as the agent says nothing else. The caller's turn may be open: nobody hears its end."""
        recording = await self._notices.recording(text, self._settings)
        while self.talking:  # noqa: ASYNC110
            await asyncio.sleep(NOTICE_LOOK_S)
        self._say_notice(text, recording)

    def _say_notice(self, text: str, recording: Recording | None) -> None:
        self._shell.deliver(self._notices.say(text, recording, self._settings, self._formats[1]))

    # --- settings ------------------------------------------------------------------------------------------------

    def _configure(self, patch: SessionPatch) -> None:
        check_session(patch)
        settings = self._settings.updated(patch)
        own = self._agent.tool_names
        if patch.tools is not UNSET or patch.tool_choice is not UNSET:
            check_own(settings.tools, settings.tool_choice, own, "session")
        self._settings = settings
        self._apply_settings()
        self._agent.learn(self._settings.metadata)
        self._transport.configured(self._settings)

    def _checked_response(self, params: ResponseParams) -> ResponseParams:
        """A response's own settings. Raises ClientProtocolError for what it cannot be given."""
        check_response(params)
        checked = checked_response(params)
        if checked.tools is not None or checked.tool_choice is not None:
            tools = self._settings.tools if checked.tools is None else checked.tools
            choice = checked.tool_choice or (self._settings.tool_choice if checked.tools is None else None)
            check_own(tools, choice, self._agent.tool_names, "response")
        check_aside(checked, spoken=is_spoken(self._settings, checked), may_speak=self._tells_sounds_apart)
        return checked

    @property
    def _tells_sounds_apart(self) -> bool:
        """The client knows of each piece of audio which response it belongs to."""
        transport = self._transport
        return isinstance(transport, RealtimeTransport) and transport.passes_audio

    def _apply_settings(self) -> None:
        self._machine.policy = policy = self._policy()
        self._replying.configure(self._settings, self._formats[1], policy)
        self._agent.speak(self._settings.language)
        self._hearing.set_format(self._formats[0])
        self._hearing.set_turns(automatic=self._settings.turn_detection is not None)
        self._hearing.set_language(self._settings.language)

    @property
    def _formats(self) -> tuple[WireFormat, WireFormat]:
        """What comes from the client, and what goes to it."""
        fixed = self._transport.formats
        if fixed is not None:
            return fixed.source, fixed.sink
        return self._settings.input_format, self._settings.output_format

    def _policy(self) -> TurnPolicy:
        """How turns are taken under the session's settings."""
        policy = turn_policy(self._resources.policy, self._call.declared, self._settings)
        company = policy.company if self._in_memory(policy.company) else ""
        return replace(
            policy,
            company=company,
            apology_at_hand=company == policy.company and self._in_memory(policy.apology),
            playout_reported=self._transport.reports_played,
            speculate=policy.speculate and not self._replying.guesses_spent,
        )

    def _in_memory(self, text: str) -> bool:
        """It can be said whatever becomes of the voice, if there is anything to say."""
        return not text or self._resources.phrases.get_any(text, language=self._settings.language) is not None

    # --- carrying out --------------------------------------------------------------------------------------------

    def carry_out(self, command: c.Command) -> None:
        """Do what the core wants, and have the client know of it."""
        carrier = self._carriers.get(type(command))
        if carrier:
            carrier(command)
        self._transport.tell(command, self._place_of(command))

    def _place_of(self, command: c.Command) -> int:
        """Where in the caller's audio it belongs, in ms; 0 if it is none of the caller's."""
        if isinstance(command, c.TurnStarted):
            return round(self._hearing.turn_began_ms)
        return round(self._hearing.passed_ms) if isinstance(command, (c.TurnEnded, c.CallerIdle)) else 0

    def _make_carriers(self) -> dict[type[c.Command], Callable[[Any], None]]:
        return {
            c.Play: self._replying.play,
            c.Say: self._replying.say,
            c.StartReply: self._replying.start,
            c.StopReply: self._replying.stop,
            c.StopPlaying: lambda command: self._transport.clear(command.reply_id),
            c.ReplyEnded: self._replying.end,
            c.SetDeadline: self._set_deadline,
            c.ClearDeadline: self._shell.clear_deadline,
            c.EndHearing: lambda command: self._hearing.finish_turn(),
            c.RunTool: self._agent.run,
            c.PrepareTool: self._agent.prepare,
            c.LookupUsed: self._agent.used,
            c.SayDropped: self._agent.not_said,
            c.AnswerMissing: self._note_missing,
            c.GiveUp: lambda command: self._call.give_up(command.reason, "tts_failed"),
            c.HangUp: lambda command: self._call.end(CallEnd.CALLER_SILENT),
            c.TurnHeard: lambda command: self._agent.heard(command.turn_id, command.text),
            c.TurnFinished: self._turn_finished,
            c.SpeechCut: lambda command: self._call.report.interrupted(command.turn_id, command.heard_ms),
            c.SpeculationEnded: self._settle_guess,
        }

    def _settle_guess(self, command: c.SpeculationEnded) -> None:
        self._replying.settle_guess(command)
        if self._replying.guesses_spent and self._machine.policy.speculate:
            log.info(
                "call %s: its budget for speculation is spent; waiting for each turn's end",
                self._call.settings.call_id,
            )
            self._machine.policy = self._policy()

    def _note_missing(self, command: c.AnswerMissing) -> None:
        stage = "tts" if command.reason == "no sound" else "llm"
        self._call.note_missing(command, stage=stage, counted=command.reason in MISSING)

    def _set_deadline(self, command: c.SetDeadline) -> None:
        """A commit whose audio recognition has not been given yet waits: half a turn must not be answered."""
        wait = self._hearing_is_behind if command.name == COMMIT else None
        self._shell.set_deadline(command, put_off=wait)

    def _hearing_is_behind(self) -> float:
        return self._machine.policy.commit_s if self._hearing.behind else 0.0

    def _turn_finished(self, command: c.TurnFinished) -> None:
        self._call.report.turn_finished(command)


def _settings_of(call: Call) -> SessionSettings:
    agent, settings = call.declared, call.settings
    return SessionSettings(
        instructions=agent.instructions,
        voice=agent.voice,
        language=agent.language,
        model=settings.model or agent.model or "",
        max_tokens=agent.max_tokens,
        metadata=settings.metadata,
    )
