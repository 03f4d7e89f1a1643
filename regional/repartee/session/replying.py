"""The replies of a call on a cascade: each is asked of the model, spoken by the voice, encoded and sent.

Carries out what the turn core wants of them; decides nothing. Keeps the model's view of the conversation and what
guesses have cost.
"""

from dataclasses import replace
from functools import partial

from repartee.latency.extra_requests import ExtraKind, ExtraRequests
from repartee.providers.interfaces import SPEECH_HZ
from repartee.session.call import Call
from repartee.session.cascade_resources import CascadeResources
from repartee.session.consumption import Consumption
from repartee.session.phrases import Recording
from repartee.session.pipeline import Pipeline
from repartee.session.prompt import is_spoken, reply_request, request_tokens
from repartee.turn import commands as c
from repartee.turn import events as e
from repartee.turn.context_window import ContextWindow
from repartee.turn.foresight import as_messages
from repartee.turn.policy import TurnPolicy
from repartee.turn.speculation_budget import SpeculationBudget
from repartee.wire.audio_format import AudioEncoder, WireFormat
from repartee.wire.session_settings import SessionSettings


class Replying:
    """Makes one call's replies. ``settings`` are the session's; ``sink`` is the encoding of the client's audio."""

    def __init__(
        self, call: Call, resources: CascadeResources, settings: SessionSettings, sink: WireFormat
    ) -> None:
        self._call = call
        self._shell, self._agent, self._transport = call.shell, call.agent, call.transport
        self._resources = resources
        self._settings, self._sink = settings, sink
        self._policy = TurnPolicy()
        self._llm = self._agent.llm(resources.llm)
        self._window = ContextWindow(resources.context_tokens)
        self._consumption = Consumption(call.report.tokens_used)
        self._guesses = SpeculationBudget(resources.speculation_tokens)
        self._pipelines: dict[int, Pipeline] = {}
        self._encoders: dict[int, AudioEncoder] = {}

    def __repr__(self) -> str:
        return f"<Replying: {len(self._pipelines)} replies, {self._guesses!r}>"

    @property
    def guesses_spent(self) -> bool:
        """No further reply may be begun on a guess."""
        return self._guesses.spent

    def configure(self, settings: SessionSettings, sink: WireFormat, policy: TurnPolicy) -> None:
        """These settings count from the next reply on."""
        self._settings, self._sink, self._policy = settings, sink, policy

    def stop_all(self) -> None:
        """Stop the models and the voices."""
        for pipeline in self._pipelines.values():
            pipeline.stop()

    def start(self, command: c.StartReply) -> None:
        """Ask the model, and have a voice ready."""
        foreseen = self._agent.foreseen(command.turn_id, command.words)
        window = ContextWindow(self._resources.context_tokens) if command.aside else self._window
        request = reply_request(
            self._settings,
            window.fit(
                self._agent.secrets.hide_messages(
                    [*command.messages, *as_messages(foreseen, command.reply_id)]
                )
            ),
            options=command.options,
            agent_tools=() if command.aside else self._agent.chat_tools,
            temperature=self._call.declared.temperature,
            follows_tools=command.follows_tools,
            may_call=command.tools,
            style=self._call.declared.spoken_style,
        )
        if not command.aside:
            self._agent.left_out(window.left_out)
        request = replace(
            request, extra=ExtraRequests(command.extra, partial(self._note_extra, command.reply_id))
        )
        self._consumption.asked(command.reply_id, request_tokens(request))
        if command.speculative:
            self._call.report.extra_request("speculation")
            self._guesses.begin(command.reply_id, request_tokens(request))
        pipeline = self._new_pipeline(command.reply_id)
        pipeline.think(self._llm, request, window, patience_s=self._policy.first_audio_s)
        if is_spoken(self._settings, command.options):
            self._give_voice(pipeline)
        if foreseen:
            self._shell.deliver(e.LookedUp(command.reply_id, foreseen))

    def say(self, command: c.Say) -> None:
        """Have the voice say this, unless it is recorded."""
        pipeline = self._pipelines.get(command.reply_id)
        if pipeline is None:  # the agent's own words: no model was asked
            recording = self._recorded(command.text)
            if recording is None and command.urgent:  # the voice may be away
                recording = self._resources.phrases.get_any(command.text, language=self._settings.language)
            if recording and command.last:
                self._shell.deliver(e.SpeechWords(command.reply_id, recording.words))
                self._shell.deliver(e.SpeechAudio(command.reply_id, recording.pcm))
                self._shell.deliver(e.SpeechDone(command.reply_id))
                return
            pipeline = self._new_pipeline(command.reply_id)
            self._give_voice(pipeline)
        opener = None if pipeline.has_begun else self._recorded(command.text)
        if opener:
            pipeline.play(opener, command.text, command.last)
        else:
            pipeline.say(command.text, command.last)

    def play(self, command: c.Play) -> None:
        """Send this audio."""
        encoder = self._encoders.get(command.reply_id)
        if encoder is None:
            encoder = self._encoders[command.reply_id] = AudioEncoder(self._sink, SPEECH_HZ)
        self._transport.play(command.reply_id, encoder.feed(command.pcm))

    def stop(self, command: c.StopReply) -> None:
        """Nothing more of this reply is wanted."""
        self._consumption.over(command.reply_id)
        if pipeline := self._pipelines.pop(command.reply_id, None):
            pipeline.stop()
        self._encoders.pop(command.reply_id, None)

    def end(self, command: c.ReplyEnded) -> None:
        """The reply is over: send what its encoder still holds."""
        self._consumption.over(command.reply_id)
        if encoder := self._encoders.pop(command.reply_id, None):
            self._transport.play(command.reply_id, encoder.flush())
        if pipeline := self._pipelines.pop(command.reply_id, None):
            pipeline.stop()

    def settle_guess(self, command: c.SpeculationEnded) -> None:
        """A reply that was begun too early was used, or is thrown away."""
        tokens = self._guesses.settle(command.reply_id, command.outcome)
        self._call.report.speculation_ended(command.outcome, tokens)

    def _note_extra(self, reply_id: int, kind: ExtraKind) -> None:
        self._call.report.extra_request(kind)
        self._consumption.asked_again(reply_id)
        self._shell.deliver(e.ExtraRequest(reply_id))

    def _new_pipeline(self, reply_id: int) -> Pipeline:
        pipeline = self._pipelines[reply_id] = Pipeline(
            reply_id, self._shell.start, self._shell.drop, self._take_from_providers
        )
        return pipeline

    def _take_from_providers(self, event: e.Event) -> None:
        if isinstance(event, e.ReplyFailed):
            self._call.report.provider_failed(event.stage, event.message)
        elif isinstance(event, e.ReplyText):
            self._guesses.wrote(event.reply_id, event.text)
            self._consumption.wrote(event.reply_id, event.text)
        elif isinstance(event, e.ReplyUsed):
            self._consumption.used(event.reply_id, event.tokens)
        elif isinstance(event, e.VoiceUsed):
            self._call.report.characters_used(event.characters)
        self._shell.deliver(event)

    def _give_voice(self, pipeline: Pipeline) -> None:
        """Get its voice ready, before there are words for it."""
        pipeline.speak(self._resources.tts, name=self._settings.voice, language=self._settings.language)

    def _recorded(self, text: str) -> Recording | None:
        settings = self._settings
        return self._resources.phrases.get(text.strip(), name=settings.voice, language=settings.language)
