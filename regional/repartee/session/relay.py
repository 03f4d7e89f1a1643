"""A call with a speech-to-speech model: carries out the relay core's commands between client and provider.

The client speaks the same protocol as to a cascade. Audio and events pass between the two; the agent stands beside.
"""

import asyncio
import binascii
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from repartee.agent.agent import worker_side
from repartee.agent.experience import Experience, Transition
from repartee.agent.said import Speaker
from repartee.audio.speech_end import leading_silence_ms
from repartee.errors import ClientProtocolError
from repartee.providers.openai_models import reasons_in_speech
from repartee.providers.openai_realtime import OpenAIRealtime, refusal
from repartee.providers.vendor import VendorKind
from repartee.providers.vendors import USUAL
from repartee.relay import commands as r
from repartee.relay import events as re
from repartee.relay.machine import RelayMachine
from repartee.relay.settings import AgentSide, is_speech_to_speech
from repartee.session.call import Call, Line
from repartee.session.manners import turn_policy
from repartee.session.phrases import Phrases, Recording
from repartee.session.plain_transport import PlainTransport
from repartee.session.provider_line import LinePolicy, LineUser, ProviderLine
from repartee.session.relay_audio import RelayAudio
from repartee.session.too_much import waits_already
from repartee.transport.interfaces import CallEnd, RealtimeTransport, Transport
from repartee.turn import commands as c
from repartee.turn.earlier import items_of
from repartee.turn.languages import language_of
from repartee.turn.policy import TurnPolicy
from repartee.wire import relay_events as wire
from repartee.wire.audio_format import WireFormat
from repartee.wire.client_events import ClientEvent
from repartee.wire.provider_session import AUDIO_TOKENS_PER_TOKEN, PROVIDER_HZ, provider_format
from repartee.wire.session_settings import MAX_OUTPUT_TOKENS, SessionSettings

log = logging.getLogger(__name__)

LEAST_EFFORT = "minimal"
"""The least reasoning that a speech-to-speech model can be asked for."""

SERVICE = ("input_audio_buffer.", "response.", "conversation.item.input_audio_")
"""How the events begin that show that the caller is heard."""


SPEAKERS: dict[str, Speaker] = {
    "conversation.item.input_audio_transcription.completed": "caller",
    "response.output_audio_transcript.done": "agent",
}
"""Whose words an event has, all of them."""


@dataclass(frozen=True, slots=True)
class RelayResources:
    """What the relayed calls of a worker share. ``transcriber`` is the provider's model for the caller's words."""

    speech: OpenAIRealtime
    phrases: Phrases
    experience: Experience
    learn: Callable[[Iterable[Transition]], Awaitable[None]]
    transcriber: str = "gpt-transcribe"
    line: LinePolicy = field(default_factory=LinePolicy)
    policy: TurnPolicy = field(default_factory=TurnPolicy)
    """How turns are taken, as far as that is not the provider's to decide."""

    vendor: str = USUAL[VendorKind.SPEECH_TO_SPEECH]
    """The provider's name in the table of vendors."""

    @property
    def names(self) -> dict[str, str]:
        """The provider, as traces name it."""
        return {"model": f"{self.vendor}/{self.speech.model}"}


class Relay:
    """One call with a speech-to-speech model. Implements :class:`~repartee.session.call.Kind`."""

    def __init__(self, call: Call, resources: RelayResources, transport: Transport) -> None:
        self._call = call
        speaks_it = isinstance(transport, RealtimeTransport)
        client = transport if isinstance(transport, RealtimeTransport) else PlainTransport(transport)
        self._shell, self._agent, self._transport = call.shell, call.agent, client
        self._resources = resources
        fixed = transport.formats
        self._machine = RelayMachine(
            call.settings.call_id,
            _settings_of(call, resources),
            AgentSide(
                tools=[tool.as_realtime() for tool in worker_side(call.declared).tools.values()],
                style=call.declared.spoken_style or language_of(call.declared.language).style,
                transcriber=resources.transcriber,
                # The voice of an agent that was written for a cascade is none of the model's.
                own_voice=is_speech_to_speech(call.declared.model),
                own=least_reasoning(resources.speech.model),
                keyterms=call.declared.keyterms,
                formats=(fixed.source, fixed.sink) if fixed else None,
            ),
            self._policy(_settings_of(call, resources)),
            self._agent.fillers,
            # A client of OpenAI's protocol cuts the conversation itself, unless its transport knows better.
            cuts=transport.reports_played or not speaks_it,
        )
        self._machine.items.recall(items_of(call.settings.checkpointing.earlier))
        self._owed_at: float | None = None
        user = LineUser(
            self._shell,
            self._session_began,
            self._take_message,
            self._is_quiet,
            self._owed_since,
            tell=lambda: self._give_notice(call.declared.notices.unheard),
        )
        self._line = ProviderLine(resources.speech, user, resources.line)
        self._audio = RelayAudio(
            client,
            send=lambda outgoing: self._line.send(outgoing.event, audio_ms=outgoing.audio_ms),
            speaking=lambda: self._machine.turns.speaking,
            keeps_utterance=lambda: self._machine.keeps_utterance,
        )
        self._found: dict[str, Recording] = {}
        self._carriers = self._make_carriers()

    def __repr__(self) -> str:
        return f"<Relay: {self._machine!r}, {self._line!r}>"

    @property
    def core(self) -> RelayMachine:
        """The relay core."""
        return self._machine

    def lines(self) -> Sequence[Line]:
        """The provider's session."""
        return [self._call.depend_on(self._line.run, stage="model", what="The speech-to-speech model")]

    def open(self) -> SessionSettings:
        """The agent has made up its mind about the call."""
        context = self._agent.context
        settings = self._machine.open(
            instructions=context.instructions,
            voice=context.voice,
            language=context.language,
            ticket=self._call.settings.session,
        )
        self._apply(settings)
        return settings

    def _apply(self, settings: SessionSettings) -> None:
        """These settings count for what is sent from now on."""
        self._machine.policy = self._policy(settings)
        self._audio.configure(settings)
        self._agent.speak(settings.language)

    def _policy(self, settings: SessionSettings) -> TurnPolicy:
        policy = turn_policy(self._resources.policy, self._call.declared, settings)
        return replace(policy, playout_reported=self._call.transport.reports_played)

    def take_audio(self, audio: bytes) -> None:
        """The caller's audio. Raises ClientProtocolError if too much waits already."""
        if self._line.waiting:
            ms = len(audio) / self.input_format.bytes_per_ms
            sent = provider_format(self.input_format).bytes_per_ms * ms
            if not self._line.has_space(round(sent * 4 / 3)):  # in base64
                raise waits_already()
        secret = self._agent.secrets.hides_digits
        self._audio.hear(self.input_format.silence(len(audio)) if secret else audio)

    def take_event(self, event: ClientEvent, source: str) -> None:
        """A wish of the client's. Raises ClientProtocolError."""
        if not self._line.has_space(len(source)):
            raise waits_already()
        self._shell.request(re.ClientWish(event, source))

    @property
    def input_format(self) -> WireFormat:
        """What the caller's audio comes in."""
        return self._machine.settings.session.input_format

    @property
    def talking(self) -> bool:
        """The agent is saying something, or about to."""
        turns = self._machine.turns
        return not turns.speaking and not self._machine.is_quiet(time.monotonic(), 0.0)

    async def take_leave(self) -> None:
        """Say goodbye, and wait until that was heard."""
        self._give_notice(self._call.declared.notices.goodbye)
        await asyncio.sleep(max(self._machine.turns.speaker.ends_at - time.monotonic(), 0.0))

    def _give_notice(self, text: str) -> None:
        """Tell the caller this from memory, in whichever voice it is recorded."""
        settings = self._machine.settings.session
        known = self._resources.phrases.get_any(text, language=settings.language)
        if known is not None and settings.spoken:
            self._shell.deliver(re.NoticeWanted(text, *_lengths(self._remember(text, known))))

    def _remember(self, text: str, found: Recording) -> Recording:
        self._found[text] = found
        return found

    # --- from the provider ---------------------------------------------------------------------------------------

    def _session_began(self, again: bool, lost: bool) -> None:
        self._owed_at = None
        self._shell.deliver(re.SessionBegan(again, lost, self._audio.suspects, self._line.unsent))

    def _owed_since(self) -> float | None:
        """Since when the provider owes an answer: to a request, to a turn, or to somebody who has spoken."""
        if not self._machine.owes(self._audio.quiet_ms):
            self._owed_at = None
        elif self._owed_at is None:
            self._owed_at = asyncio.get_running_loop().time()
        listens = self._machine.settings.session.turn_detection is not None
        spoke_at = self._audio.spoke_at if listens and not self._machine.turns.speaking else None
        return min((since for since in (self._owed_at, spoke_at) if since is not None), default=None)

    def _is_quiet(self) -> bool:
        return self._machine.is_quiet(time.monotonic(), self._resources.line.quiet_s)

    def _take_message(self, message: bytes) -> None:
        """A message of the provider's, at the moment it comes."""
        try:
            self._shell.deliver(self._event_in(message))
        except (msgspec.MsgspecError, UnicodeDecodeError, binascii.Error) as error:
            self._call.report.provider_failed("model", f"OpenAI sent a message that cannot be read: {error}")
        except Exception as error:
            self._call.fail(error)

    def _event_in(self, message: bytes) -> re.ProviderSound | re.ProviderSaid:
        if delta := wire.audio_in(message):
            self._audio.answered()
            silent_ms = (
                self._audio.silent_ms(delta) if self._machine.weighs_silence(delta.response_id) else 0.0
            )
            return re.ProviderSound(delta, message, self._audio.length_ms(delta), silent_ms)
        said = wire.read(message)
        self._write_down(said)
        if said.type == "response.done" and said.response and (used := said.response.usage):
            self._call.report.model_used(used)
        if said.type.startswith(SERVICE):
            self._audio.answered()
        ends = said.type in ("input_audio_buffer.speech_stopped", "input_audio_buffer.committed")
        end = self._audio.speech_end() if ends else None
        if end is None:
            return re.ProviderSaid(said, message.decode())
        return re.ProviderSaid(said, message.decode(), end.at, end.certain)

    def _write_down(self, said: wire.ProviderEvent) -> None:
        who = SPEAKERS.get(said.type)
        if who and said.item_id and said.transcript and said.transcript.strip():
            words = said.transcript
            if who == "caller" and self._agent.secrets.hides_digits:
                self._agent.secrets.turn_began()
                words = self._agent.secrets.hide_spoken(words, self._machine.settings.session.language)
            self._call.transcript.says(said.item_id, self._machine.turns.turn_id, who, words)

    # --- carrying out --------------------------------------------------------------------------------------------

    def carry_out(self, command: c.Command) -> None:
        """Do what the core wants, and have the client know of it."""
        carrier = self._carriers.get(type(command))
        if carrier:
            carrier(command)
        else:
            self._transport.tell(command, round(self._audio.received_ms))

    def _make_carriers(self) -> dict[type[c.Command], Callable[[Any], None]]:
        announce, announcer = self._transport.announce, self._transport.announcer
        return {
            r.ToProvider: lambda command: self._line.send(command.event),
            r.Served: lambda command: self._line.served(),
            r.ReplayAudio: lambda command: self._line.replay(self._audio.kept()),
            r.ForgetAudio: lambda command: self._audio.forget(),
            r.PassOn: lambda command: self._transport.pass_on(command.event),
            r.PlaySound: lambda command: self._audio.play(command.delta, command.source),
            r.EndSound: lambda command: self._audio.end(command.response_id),
            r.CutResponse: lambda command: announce(
                announcer.response_cut(command.response_id, sounded=command.sounded, code=command.code)
            ),
            r.FindRecording: self._find_recording,
            r.PlayRecording: lambda command: self._audio.play_recording(
                command.reply_id, self._found.pop(command.text)
            ),
            r.TruncationNoted: lambda command: announce(
                announcer.truncated(command.item_id, command.content_index, command.heard_ms)
            ),
            r.HearWords: lambda command: self._agent.heard(command.turn_id, command.text),
            r.SettingsChanged: self._settings_changed,
            r.RefuseClient: self._refuse_client,
            r.RefuseAgent: self._give_up,
            r.NoteRefusal: self._note_refusal,
            r.ClearSound: lambda command: self._transport.clear_all(),
            c.RunTool: self._run_tool,
            c.AnswerMissing: lambda command: self._call.note_missing(command, stage="model", counted=True),
            c.GiveUp: lambda command: self._call.give_up(command.reason, "model_failed"),
            c.HangUp: lambda command: self._call.end(CallEnd.CALLER_SILENT),
            c.SayDropped: self._agent.not_said,
            c.SetDeadline: self._shell.set_deadline,
            c.ClearDeadline: self._shell.clear_deadline,
            c.TurnFinished: self._turn_finished,
            c.SpeechCut: self._speech_cut,
        }

    def _speech_cut(self, command: c.SpeechCut) -> None:
        self._call.report.interrupted(command.turn_id, command.heard_ms)
        self._call.transcript.cut(command.turn_id, command.heard_ms)

    def _run_tool(self, command: c.RunTool) -> None:
        self._agent.run(command)
        self._transport.tell(command, round(self._audio.received_ms))

    def _find_recording(self, command: r.FindRecording) -> None:
        settings = self._machine.settings.session
        phrases, language = self._resources.phrases, settings.language
        found = phrases.get(command.text, name=settings.voice, language=language)
        if found is None and command.any_voice:
            found = phrases.get_any(command.text, language=language)
        if found is None:
            self._shell.deliver(re.RecordingMissing(command.token))
            return
        lengths = _lengths(self._remember(command.text, found))
        self._shell.deliver(re.RecordingFound(command.token, *lengths))

    def _settings_changed(self, command: r.SettingsChanged) -> None:
        if command.confirmed:
            self._agent.learn(command.settings.metadata)
            self._transport.configured(command.settings)
        else:
            self._apply(command.settings)

    def _refuse_client(self, command: r.RefuseClient) -> None:
        error = command.error
        self._transport.refuse(
            ClientProtocolError(
                error.message,
                code=error.code or "invalid_value",
                param=error.param,
                event_id=command.event_id,
            )
        )

    def _give_up(self, command: r.RefuseAgent) -> None:
        self._call.report.provider_failed("model", refusal(command.error))
        self._transport.report_failure(str(refusal(command.error)), "model_failed")
        self._call.end(CallEnd.PROVIDERS_GONE)

    def _note_refusal(self, command: r.NoteRefusal) -> None:
        call_id = self._call.settings.call_id
        log.info("call %s: the provider refused an event: %s; the call goes on", call_id, command.message)

    def _turn_finished(self, command: c.TurnFinished) -> None:
        self._transport.tell(command, round(self._audio.received_ms))
        self._call.report.turn_finished(command)


def _lengths(recording: Recording) -> tuple[float, float]:
    """Of a recording and of the silence at its head (ms)."""
    lead_in_ms = leading_silence_ms(recording.pcm[: PROVIDER_HZ // 2], PROVIDER_HZ)
    return len(recording.pcm) / 2 / PROVIDER_HZ * 1000, lead_in_ms


def least_reasoning(model: str) -> dict[str, Any]:
    """A model that can reason is asked for as little of it as it can do: the caller hears the wait."""
    return {"reasoning": {"effort": LEAST_EFFORT}} if reasons_in_speech(model) else {}


def _settings_of(call: Call, resources: RelayResources) -> SessionSettings:
    agent = call.declared
    return SessionSettings(
        instructions=agent.instructions,
        language=agent.language,
        model=resources.speech.model,
        max_tokens=min(agent.max_tokens * AUDIO_TOKENS_PER_TOKEN, MAX_OUTPUT_TOKENS),
        metadata=call.settings.metadata,
    )
