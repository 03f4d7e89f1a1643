"""A call with a speech-to-speech model: audio and events pass between client and provider, the agent beside them.

The client speaks the same protocol as to a cascade. Whose turn it is, the provider decides; the relay runs the
agent's tools, keeps the books on turns, and takes another session when one is lost or has lived its time.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from repartee.agent.agent import Agent
from repartee.agent.experience import Experience, Transition
from repartee.providers.openai_realtime import OpenAIRealtime, refusal
from repartee.session.held_call import CallEnd, CallSettings, ClientSide, HeldCall, waits_already
from repartee.session.observer import Observer
from repartee.session.phrases import Phrases, Recording
from repartee.session.provider_line import LinePolicy, LineUser, Opening, Outgoing, ProviderLine
from repartee.session.relay_agent import OURS, RelayAgent, own_event_id
from repartee.session.relay_news import RelayNews
from repartee.session.relay_settings import RelaySettings, mistake
from repartee.session.relay_sound import RelaySound
from repartee.turn import events as e
from repartee.turn.item_list import HistoryLimits
from repartee.turn.relayed_items import RelayedItems
from repartee.turn.relayed_turns import Finished, News, RelayedTurns, Traced
from repartee.wire import client_events as w
from repartee.wire import relay_events as wire
from repartee.wire.audio_format import WireFormat
from repartee.wire.provider_session import provider_format

log = logging.getLogger(__name__)

TURN_END_MS = 8_000.0
"""So much quiet ends a turn under any settings of OpenAI's: its calmest detector waits 8 s."""


@dataclass(frozen=True, slots=True)
class RelayResources:
    """What the relayed calls of a worker share. ``transcriber`` is the provider's model for the caller's words."""

    speech: OpenAIRealtime
    phrases: Phrases
    experience: Experience
    learn: Callable[[Iterable[Transition]], Awaitable[None]]
    transcriber: str = "gpt-transcribe"
    line: LinePolicy = field(default_factory=LinePolicy)
    history: HistoryLimits = field(default_factory=HistoryLimits)

    @property
    def names(self) -> dict[str, str]:
        """The provider, as traces name it."""
        return {"model": f"openai/{self.speech.model}"}


class Relay(HeldCall):
    """A session with one client, and one with the provider behind it."""

    def __init__(
        self,
        settings: CallSettings,
        agent: Agent,
        resources: RelayResources,
        observer: Observer,
        client: ClientSide,
    ) -> None:
        super().__init__(settings, agent, resources, observer, client)
        self._resources = resources
        self._timer: asyncio.TimerHandle | None = None
        self._told = RelaySettings(
            agent, settings, model=resources.speech.model, transcriber=resources.transcriber
        )
        self._goodbye = agent.notices.goodbye
        self._turns = RelayedTurns()
        self._items = RelayedItems(resources.history)
        self._asked_at = 0.0
        self._request: str | None = None
        self._owed_at: float | None = None
        user = LineUser(
            self._opening,
            self._take_message,
            self._is_quiet,
            self._owed_since,
            tell=lambda: self._give_notice(agent.notices.unheard),
        )
        self._line = ProviderLine(resources.speech, user, resources.line)
        self._sound = RelaySound(self._outbox, self._turns, hear=self._send_audio, news=self._tell_news)
        self._doings = RelayAgent(
            self._agent, self._turns, self._items, send=self._line.send, say=self._say_from_memory
        )
        self._provider = RelayNews(
            self._agent, self._doings, self._turns, self._items, self._sound, self._announcer
        )

    def __repr__(self) -> str:
        return f"<Relay {self._settings.call_id}: {self._doings!r}, {self._line!r}>"

    def _own_lines(self) -> Sequence[Coroutine[Any, Any, None]]:
        return [self._depend_on(self._line.run, stage="model", what="The speech-to-speech model")]

    def _open(self) -> None:
        self._told.begin(self._agent.context)
        self._apply()

    def _created(self) -> dict[str, Any]:
        return self._announcer.session("session.created", self._told.config)

    def _welcome(self) -> None:
        if greeting := self._agent.context.greeting:
            self._greet(greeting)

    async def _take_leave(self) -> None:
        self._give_notice(self._goodbye)
        await asyncio.sleep(max(self._turns.speaker.ends_at - time.monotonic(), 0.0))

    def _give_notice(self, text: str) -> None:
        """Tell the caller this from memory, in whichever voice it is recorded."""
        language = self._told.config.language
        known = self._resources.phrases.get_any(text, language=language)
        if known is not None and self._told.config.spoken:
            self._play_from_memory(text, known)

    def _close(self) -> None:
        self._tell_news(self._turns.ended("unanswered", time.monotonic()))
        self._doings.close()
        if self._timer:
            self._timer.cancel()

    # --- from the client -----------------------------------------------------------------------------------------

    @property
    def _input_format(self) -> WireFormat:
        return self._told.config.input_format

    def _has_space(self, ms: float) -> bool:
        audio = provider_format(self._input_format).bytes_per_ms * ms
        return self._line.has_space(round(audio * 4 / 3))  # in base64

    def _take_audio(self, audio: bytes) -> None:
        self._sound.hear(audio)

    def _take_event(self, event: w.ClientEvent, text: str) -> None:
        if not self._line.has_space(len(text)):
            raise waits_already()
        self._asked_at = time.monotonic()
        match event:
            case w.SessionUpdate(session=patch):
                self._line.send(self._told.change(patch, text, event.event_id))
                self._apply()
            case w.ClearOutput():
                self._line.send(wire.encode("response.cancel"))
            case w.TruncateItem() | w.RetrieveItem() | w.DeleteItem() if self._provider.is_ours(
                event.item_id
            ):
                for told in self._provider.about_ours(event):
                    self._outbox.put_event(told)
            case w.TruncateItem(item_id=item_id, audio_end_ms=heard_ms):
                self._items.cut(item_id, heard_ms)
                self._line.send(text)
            case w.CreateResponse():
                self._request = text
                self._line.send(text)
            case _:
                self._line.send(text)

    def _apply(self) -> None:
        self._sound.configure(self._told.config)
        self._doings.spoken = self._told.config.spoken

    # --- to and from the provider --------------------------------------------------------------------------------

    def _send_audio(self, outgoing: Outgoing) -> None:
        self._line.send(outgoing.event, audio_ms=outgoing.audio_ms)

    def _owed_since(self) -> float | None:
        """Since when the provider owes an answer: to a request, to a turn, or to somebody who has spoken."""
        now, detection = asyncio.get_running_loop().time(), self._told.config.turn_detection
        owed = self._doings.owed or self._request is not None
        if detection is not None:
            waits = self._provider.turn_waits and detection.create_response
            unended = self._turns.speaking and self._sound.quiet_ms >= TURN_END_MS
            owed = owed or waits or unended
        if not owed:
            self._owed_at = None
        elif self._owed_at is None:
            self._owed_at = now
        spoke_at = None if detection is None or self._turns.speaking else self._sound.spoke_at
        return min((since for since in (self._owed_at, spoke_at) if since is not None), default=None)

    def _opening(self, again: bool, lost: bool) -> Opening:
        """What a new session is told: the settings, and, if it follows another, what has been said so far."""
        events = [Outgoing(event) for event in self._told.opening()]
        if again:
            detection = self._told.config.turn_detection
            automatic = detection is not None and detection.create_response
            unheard = self._provider.restarted(lost=lost, automatic=automatic)
            for told in unheard.news:
                self._outbox.put_event(told)
            for item in self._items.replay():
                self._provider.hide(item["id"])
                created = wire.encode("conversation.item.create", event_id=own_event_id(), item=item)
                events.append(Outgoing(created))
            events += self._sound.again() if unheard.again else []
            self._doings.restart(ask=unheard.ask)
            if unheard.ask:
                self._request = None  # one answer is enough
            if self._request is not None and not self._line.waits(self._request):
                events.append(Outgoing(self._request))
            self._owed_at = None
            return Opening(events, has_audio=unheard.again)
        return Opening(events)

    def _is_quiet(self) -> bool:
        now = time.monotonic()
        settled = not self._told.pending and now - self._asked_at > self._resources.line.quiet_s
        return (
            settled and self._doings.idle and not self._turns.speaking and self._turns.speaker.ends_at < now
        )

    def _take_message(self, message: bytes) -> None:
        """A message of the provider's, at the moment it comes."""
        try:
            if delta := wire.audio_in(message):
                self._play(message, delta)
            else:
                self._take_provider_event(message, wire.read(message))
        except (msgspec.MsgspecError, ValueError) as error:
            self._observer.provider_failed("model", f"OpenAI sent a message that cannot be read: {error}")
        if self._outbox.overfull:
            self.end(CallEnd.CLIENT_SLOW)

    def _play(self, message: bytes, delta: wire.AudioDelta) -> None:
        response = self._doings.responses.get(delta.response_id)
        if response is None:
            return
        response.sounded = True
        self._sound.answered()
        length_ms = self._sound.play(message, delta, aside=response.outside)
        self._items.sounds(delta.item_id, length_ms)

    def _take_provider_event(self, message: bytes, event: wire.ProviderEvent) -> None:
        match event.type:
            case "session.updated":
                update = self._told.taken()
                if update and update.before:
                    self._agent.learn(update.config.metadata)
                    self._outbox.put_event(self._announcer.session("session.updated", update.config))
            case "error" if event.error is not None:
                self._request = None
                self._take_error(message, event.error)
            case _:
                self._note_service(event)
                if self._provider.take(event):
                    self._outbox.put_text(message.decode())
                for told in self._provider.added():
                    self._outbox.put_event(told)
                self._tell_news(self._provider.news())
                self._wait_until_played()

    def _note_service(self, event: wire.ProviderEvent) -> None:
        """What shows that the caller is heard, and that the session is any good: an answer is complete, or the
        caller's words are known."""
        if event.type.startswith(("input_audio_buffer.", "response.", "conversation.item.input_audio_")):
            self._sound.answered()
        if event.type == "response.created":
            self._request = None
        answered = event.type == "response.done" and event.response and event.response.status == "completed"
        heard = event.type == "conversation.item.input_audio_transcription.completed" and event.transcript
        if answered or heard:
            self._line.served()

    def _take_error(self, message: bytes, error: wire.ErrorSeen) -> None:
        update = self._told.refused(error)
        if update is not None and update.before is not None:
            self._apply()
            self._outbox.put_event(self._announcer.error(mistake(update, error)))
        elif update is not None:  # the agent's own: without them no call can be held
            self._observer.provider_failed("model", refusal(error))
            self._outbox.put_event(self._announcer.failure(str(refusal(error)), "model_failed"))
            asyncio.get_running_loop().call_soon(self.end, CallEnd.PROVIDERS_GONE)
        elif error.event_id and error.event_id.startswith(OURS):
            log.info("call %s: the provider did not take an event: %s", self._settings.call_id, error.message)
            self._doings.refused(error.event_id)
        elif error.code != "session_expired":
            self._outbox.put_text(message.decode())

    # --- turns ---------------------------------------------------------------------------------------------------

    def _deliver(self, event: e.Event) -> None:
        """What the agent's side tells."""
        if isinstance(event, e.ToolFinished):
            self._doings.finished(event)
        elif isinstance(event, e.ReplyRequested) and event.say:
            self._doings.say(event.say)

    def _greet(self, greeting: str) -> None:
        """Say it at once if it is recorded, and have the model know that it was said."""
        item_id = self._say_from_memory(greeting) if self._told.config.spoken else None
        if item_id is None:
            self._doings.say(greeting)
            return
        fields = {"type": "message", "role": "assistant"}
        item = {"id": item_id, **fields, "content": [{"type": "output_text", "text": greeting}]}
        self._items.add(item_id, fields, text=greeting)
        self._provider.hide(item_id)
        self._line.send(wire.encode("conversation.item.create", event_id=own_event_id(), item=item))

    def _say_from_memory(self, phrase: str) -> str | None:
        """Play a phrase, if it is recorded in the session's voice; the item that it is to the client."""
        config = self._told.config
        recording = self._resources.phrases.get(phrase, name=config.voice, language=config.language)
        return None if recording is None else self._play_from_memory(phrase, recording)

    def _play_from_memory(self, phrase: str, recording: Recording) -> str:
        reply = self._provider.own_reply(phrase)
        for told in reply.beginning:
            self._outbox.put_event(told)
        self._sound.play_recording(recording, lambda audio: self._outbox.put_audio(reply.delta, audio))
        for told in reply.ending:
            self._outbox.put_event(told)
        return reply.item_id

    def _tell_news(self, news: list[News]) -> None:
        for told in news:
            if isinstance(told, Traced):
                self._outbox.put_event(
                    self._provider.latency(told, self._settings.region, self._resources.names)
                )
            elif isinstance(told, Finished):
                self._outbox.put_event(
                    self._announcer.event(
                        "repartee.turn.finished", turn_id=told.turn_id, outcome=told.outcome
                    )
                )
                self._observer.turn_finished(self._settings.call_id, told.turn_id, told.outcome, told.trace)

    def _wait_until_played(self) -> None:
        """Look again when the caller will have heard everything."""
        due, self._provider.played_at = self._provider.played_at, None
        if due is None:
            return
        if self._timer:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(max(due - time.monotonic(), 0.0), self._played)

    def _played(self) -> None:
        self._timer = None
        self._tell_news(self._turns.played(time.monotonic() + 0.001))
