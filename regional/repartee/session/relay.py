"""A call with a speech-to-speech model: audio and events pass between client and provider, the agent beside them.

The client speaks the same protocol as to a cascade. Whose turn it is, the provider decides; the relay runs the
agent's tools, keeps the books on turns, and takes another session when one is lost or has lived its time.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from repartee.agent.agent import Agent
from repartee.agent.experience import Experience, Transition
from repartee.errors import ClientProtocolError, PoolTimeout, ProviderError
from repartee.providers.openai_realtime import OpenAIRealtime, refusal
from repartee.session.agent_call import AgentCall
from repartee.session.call import CallEnd, CallSettings, Message
from repartee.session.observer import Observer
from repartee.session.outbox import Outbox
from repartee.session.phrases import Phrases
from repartee.session.prompt import SPOKEN_STYLE
from repartee.session.provider_line import LinePolicy, LineUser, ProviderLine
from repartee.session.relay_agent import RelayAgent, own_event_id
from repartee.session.relay_news import RelayNews
from repartee.session.relay_sound import RelaySound
from repartee.turn import events as e
from repartee.turn.relayed_items import RelayedItems
from repartee.turn.relayed_turns import Finished, News, RelayedTurns, Traced
from repartee.wire import client_events as w
from repartee.wire import relay_events as wire
from repartee.wire.announcer import Announcer
from repartee.wire.provider_session import AUDIO_TOKENS_PER_TOKEN, own_settings, provider_session
from repartee.wire.session_config import MAX_OUTPUT_TOKENS, SessionConfig

log = logging.getLogger(__name__)


MODELS = "gpt-realtime"
"""How the names of the models begin that hear and speak themselves."""


def is_speech_to_speech(model: str | None) -> bool:
    """Whether this is a model to relay to."""
    return bool(model) and str(model).startswith(MODELS)


@dataclass(frozen=True, slots=True)
class RelayResources:
    """What the relayed calls of a worker share. ``transcriber`` is the provider's model for the caller's words."""

    speech: OpenAIRealtime
    phrases: Phrases
    experience: Experience
    learn: Callable[[Iterable[Transition]], Awaitable[None]]
    transcriber: str = "gpt-4o-mini-transcribe"
    line: LinePolicy = field(default_factory=LinePolicy)

    @property
    def names(self) -> dict[str, str]:
        """The provider, as traces name it."""
        return {"model": f"openai/{self.speech.model}"}


@dataclass(frozen=True, slots=True)
class _Update:
    """Settings that the provider has not confirmed. ``before`` are those that they change and ``event_id`` is the
    client's, if it asked for them."""

    config: SessionConfig
    own: Mapping[str, Any]
    before: SessionConfig | None = None
    event_id: str | None = None

    @property
    def asked(self) -> bool:
        """The client wants to hear of it."""
        return self.before is not None


class Relay:
    """A session with one client. ``receive`` and ``send`` speak ASGI's WebSocket messages."""

    def __init__(
        self,
        settings: CallSettings,
        agent: Agent,
        resources: RelayResources,
        observer: Observer,
        *,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[dict[str, Any]], Awaitable[None]],
    ) -> None:
        self._settings = settings
        self._limits = agent.limits
        self._resources = resources
        self._observer = observer
        self._receive = receive
        self._tasks: set[asyncio.Task[None]] = set()
        self._lines: list[asyncio.Task[None]] = []
        self._ended: asyncio.Future[CallEnd] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._agent = AgentCall(
            agent,
            settings.call_id,
            settings.metadata,
            resources.experience,
            start=self._start,
            deliver=self._deliver,
        )
        self._speaks_itself = is_speech_to_speech(agent.model)
        self._tools = [tool.as_realtime() for tool in agent.tools.values()]
        self._config = _config_of(agent, settings, resources.speech.model)
        self._own: Mapping[str, Any] = {}
        self._updates: dict[str, _Update] = {}
        self._announcer = Announcer(settings.call_id, settings.region, resources.names)
        self._outbox = Outbox(send, binary=settings.binary, limit_bytes=settings.outbox_bytes)
        self._turns = RelayedTurns()
        self._items = RelayedItems()
        self._begun = asyncio.Event()
        user = LineUser(self._opening, self._take_message, self._is_quiet)
        self._line = ProviderLine(resources.speech, user, resources.line)
        self._sound = RelaySound(self._outbox, self._turns, send=self._line.send, news=self._tell_news)
        self._doings = RelayAgent(
            self._agent, self._turns, self._items, send=self._line.send, say=self._say_from_memory
        )
        self._provider = RelayNews(
            self._agent, self._doings, self._turns, self._items, self._sound, self._announcer
        )

    def __repr__(self) -> str:
        return f"<Relay {self._settings.call_id}: {self._doings!r}, {self._line!r}>"

    async def run(self) -> CallEnd:
        """Hold the conversation until it ends."""
        self._ended = asyncio.get_running_loop().create_future()
        limit = asyncio.get_running_loop().call_later(self._limits.call_s, self.end, CallEnd.TOO_LONG)
        try:
            self._lines = [
                self._start(line) for line in (self._outbox.run(), self._converse(), self._keep_line())
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
        self._tell_news(self._turns.ended("unanswered", time.monotonic()))
        self._doings.close()
        if self._timer:
            self._timer.cancel()
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

    # --- from the client -----------------------------------------------------------------------------------------

    async def _converse(self) -> None:
        """Begin as the agent wants to, then take what the client sends, until it is gone."""
        context = self._agent.context
        await self._agent.begin()
        self._config = replace(
            self._config,
            instructions=context.instructions,
            voice=context.voice if self._speaks_itself else None,
            language=context.language,
        )
        if self._settings.session:
            self._config = self._config.updated(self._settings.session)
        self._apply()
        self._outbox.put_event(self._announcer.session("session.created", self._config))
        self._begun.set()
        if context.greeting:
            self._doings.say(context.greeting)
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
            text = message["text"]
            event = w.decode(text)
            try:
                self._pass_on(event, text)
            except ClientProtocolError as error:
                error.event_id = event.event_id
                raise
        elif self._settings.binary:
            self._sound.hear(audio)
        else:
            raise ClientProtocolError(
                "A binary frame came in a session without ?audio=binary: send audio with "
                "input_audio_buffer.append, or connect with ?audio=binary.",
                code="unexpected_binary_frame",
            )

    def _pass_on(self, event: w.ClientEvent, text: str) -> None:
        match event:
            case w.AppendAudio(audio=audio):
                self._sound.hear(audio)
            case w.SessionUpdate(session=patch):
                own = own_settings(msgspec.json.decode(text)["session"])
                self._update(self._config.updated(patch), wire.merged(self._own, own), event.event_id)
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
            case _:
                self._line.send(text)

    # --- settings ------------------------------------------------------------------------------------------------

    def _update(self, config: SessionConfig, own: Mapping[str, Any], event_id: str | None) -> None:
        """Have the provider take these settings; they hold once it has."""
        update = _Update(config, own, self._config, event_id)
        our_id = own_event_id()
        self._updates[our_id] = update
        self._line.send(self._session_update(our_id, update))
        # What is sent from now on is as the client says, as it will not wait for our answer.
        self._config, self._own = config, own
        self._apply()

    def _session_update(self, event_id: str, update: _Update) -> str:
        session = provider_session(
            update.config,
            style=SPOKEN_STYLE,
            agent_tools=self._tools,
            transcriber=self._resources.transcriber,
            own=update.own,
        )
        return wire.encode("session.update", event_id=event_id, session=session)

    def _apply(self) -> None:
        self._sound.configure(self._config)
        self._doings.spoken = self._config.spoken

    def _settings_taken(self) -> None:
        """The provider has taken the oldest update there is."""
        for our_id, update in list(self._updates.items())[:1]:
            del self._updates[our_id]
            if update.asked:
                self._agent.learn(update.config.metadata)
                self._outbox.put_event(self._announcer.session("session.updated", update.config))

    # --- to and from the provider --------------------------------------------------------------------------------

    async def _keep_line(self) -> None:
        await self._begun.wait()
        try:
            await self._line.run()
        except (ProviderError, PoolTimeout) as error:
            self._observer.provider_failed("model", error)
            self._outbox.put_event(
                self._announcer.failure(f"The speech-to-speech model is gone: {error}", "model_failed")
            )
            await self._outbox.flush()
            self.end(CallEnd.PROVIDERS_GONE)

    def _opening(self, again: bool, lost: bool) -> list[str]:
        """What a new session is told: the settings, and, if it follows another, what has been said so far."""
        asked = [replace(update, config=self._config, own=self._own) for update in self._updates.values()]
        pending = asked or [_Update(self._config, self._own)]
        self._updates = {own_event_id(): update for update in pending}
        events = [self._session_update(our_id, update) for our_id, update in self._updates.items()]
        if again:
            unheard = self._provider.restarted(lost=lost)
            for told in unheard.news:
                self._outbox.put_event(told)
            for item in self._items.replay():
                self._provider.hide(item["id"])
                events.append(wire.encode("conversation.item.create", event_id=own_event_id(), item=item))
            events += self._sound.again() if unheard.again else []
            self._doings.restart(ask=unheard.ask)
        return events

    def _is_quiet(self) -> bool:
        now = time.monotonic()
        return self._doings.idle and not self._turns.speaking and self._turns.speaker.ends_at < now

    def _take_message(self, message: bytes) -> None:
        """A message of the provider's, at the moment it comes."""
        try:
            if wire.is_audio(message):
                self._take_audio(message)
            else:
                self._take_event(message, wire.read(message))
        except (msgspec.MsgspecError, ValueError) as error:
            self._observer.provider_failed("model", f"OpenAI sent a message that cannot be read: {error}")
        if self._outbox.overfull:
            self.end(CallEnd.CLIENT_SLOW)

    def _take_audio(self, message: bytes) -> None:
        delta = wire.read_audio(message)
        response = self._doings.responses.get(delta.response_id)
        if response is None:
            return
        response.sounded = True
        length_ms = self._sound.play(message, delta, aside=response.outside)
        self._items.sounds(delta.item_id, length_ms)

    def _take_event(self, message: bytes, event: wire.ProviderEvent) -> None:
        match event.type:
            case "session.updated":
                self._settings_taken()
            case "error" if event.error is not None:
                self._take_error(message, event.error)
            case _:
                if self._provider.take(event):
                    self._outbox.put_text(message.decode())
                for told in self._provider.added():
                    self._outbox.put_event(told)
                self._tell_news(self._provider.news())
                self._wait_until_played()

    def _take_error(self, message: bytes, error: wire.ErrorSeen) -> None:
        update = self._updates.pop(error.event_id or "", None)
        if update is not None:
            self._settings_refused(update, error)
        elif error.event_id and error.event_id.startswith("rep_"):
            log.info("call %s: the provider did not take an event: %s", self._settings.call_id, error.message)
            self._doings.refused(error.event_id)
        elif error.code != "session_expired":
            self._outbox.put_text(message.decode())

    def _settings_refused(self, update: _Update, error: wire.ErrorSeen) -> None:
        """The client is told, if it was the client's wish. Without the agent's own settings no call can be held."""
        if update.before is None:
            self._observer.provider_failed("model", refusal(error))
            self._outbox.put_event(self._announcer.failure(str(refusal(error)), "model_failed"))
            asyncio.get_running_loop().call_soon(self.end, CallEnd.PROVIDERS_GONE)
            return
        if self._config is update.config:
            self._config = update.before
            self._apply()
        mistake = ClientProtocolError(error.message, code=error.code or "invalid_value", param=error.param)
        mistake.event_id = update.event_id
        self._outbox.put_event(self._announcer.error(mistake))

    # --- turns ---------------------------------------------------------------------------------------------------

    def _deliver(self, event: e.Event) -> None:
        """What the agent's side tells."""
        if isinstance(event, e.ToolFinished):
            self._doings.finished(event)
        elif isinstance(event, e.ReplyRequested) and event.say:
            self._doings.say(event.say)

    def _say_from_memory(self, phrase: str) -> bool:
        config = self._config
        recording = self._resources.phrases.get(phrase, name=config.voice, language=config.language)
        if recording is None:
            return False
        reply = self._provider.own_reply(phrase)
        for told in reply.beginning:
            self._outbox.put_event(told)
        self._sound.play_recording(recording, lambda audio: self._outbox.put_audio(reply.delta, audio))
        for told in reply.ending:
            self._outbox.put_event(told)
        return True

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


def _config_of(agent: Agent, settings: CallSettings, model: str) -> SessionConfig:
    return SessionConfig(
        instructions=agent.instructions,
        language=agent.language,
        model=model,
        max_tokens=min(agent.max_tokens * AUDIO_TOKENS_PER_TOKEN, MAX_OUTPUT_TOKENS),
        metadata=settings.metadata,
    )
