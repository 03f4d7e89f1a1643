"""A relayed session's settings: the client's and the agent's, told to the provider and held once it has taken them.

Keeps what the provider has not confirmed. Sends nothing itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from repartee.agent.agent import Agent
from repartee.agent.context import CallContext
from repartee.errors import ClientProtocolError
from repartee.providers.openai_models import reasons_in_speech
from repartee.session.held_call import CallSettings
from repartee.session.prompt import SPOKEN_STYLE
from repartee.session.relay_agent import own_event_id
from repartee.wire import relay_events as wire
from repartee.wire.client_events import SessionPatch
from repartee.wire.provider_session import AUDIO_TOKENS_PER_TOKEN, own_settings, provider_session
from repartee.wire.session_config import MAX_OUTPUT_TOKENS, SessionConfig

MODELS = "gpt-realtime"
"""How the names of the models begin that hear and speak themselves."""

LEAST_EFFORT = "minimal"
"""The least reasoning that such a model can be asked for."""


def is_speech_to_speech(model: str | None) -> bool:
    """Whether this is a model to relay to."""
    return bool(model) and str(model).startswith(MODELS)


@dataclass(frozen=True, slots=True)
class Update:
    """Settings that the provider has not confirmed. ``before`` are those that they change and ``event_id`` is the
    client's, if it asked for them."""

    config: SessionConfig
    before: SessionConfig | None = None
    event_id: str | None = None


class RelaySettings:
    """One call's. ``config`` are the settings in force for what is sent from now on."""

    def __init__(self, agent: Agent, settings: CallSettings, *, model: str, transcriber: str) -> None:
        self.config = SessionConfig(
            instructions=agent.instructions,
            language=agent.language,
            model=model,
            max_tokens=min(agent.max_tokens * AUDIO_TOKENS_PER_TOKEN, MAX_OUTPUT_TOKENS),
            metadata=settings.metadata,
        )
        self._ticket = settings.session
        self._transcriber = transcriber
        self._tools = [tool.as_realtime() for tool in agent.tools.values()]
        # The voice of an agent that was written for a cascade is none of the model's.
        self._own_voice = is_speech_to_speech(agent.model)
        # A model that can reason is asked for as little of it as it can do: the caller hears the wait.
        self._own: Mapping[str, Any] = (
            {"reasoning": {"effort": LEAST_EFFORT}} if reasons_in_speech(model) else {}
        )
        self._pending: dict[str, Update] = {}

    @property
    def pending(self) -> bool:
        """There are settings that the provider has not confirmed."""
        return bool(self._pending)

    def begin(self, context: CallContext) -> None:
        """The call begins, with what the agent has made of its settings and the ticket has brought along."""
        voice = context.voice if self._own_voice else None
        config = replace(
            self.config, instructions=context.instructions, voice=voice, language=context.language
        )
        self.config = config.updated(self._ticket) if self._ticket else config

    def change(self, patch: SessionPatch, text: str, event_id: str | None) -> str:
        """The client wants other settings; ``text`` is its event as it came. Returns the event for the provider.

        They count from now on, as the client does not wait either. Raises ClientProtocolError; then nothing is
        changed.
        """
        config = self.config.updated(patch)
        own = own_settings(text)
        update = Update(config, self.config, event_id)
        self.config, self._own = config, wire.merged(self._own, own)
        return self._event(update)

    def opening(self) -> list[str]:
        """The events that tell a new session the settings, once for each time that an answer is awaited."""
        pending = list(self._pending.values()) or [Update(self.config)]
        self._pending.clear()
        return [self._event(replace(update, config=self.config)) for update in pending]

    def taken(self) -> Update | None:
        """The provider has taken the oldest update there is: that one."""
        for event_id in self._pending:
            return self._pending.pop(event_id)
        return None

    def refused(self, error: wire.ErrorSeen) -> Update | None:
        """The update that the provider has refused, if the error is about one; what it changed is as before."""
        update = self._pending.pop(error.event_id or "", None)
        if update is not None and update.before is not None and self.config is update.config:
            self.config = update.before
        return update

    def _event(self, update: Update) -> str:
        event_id = own_event_id()
        self._pending[event_id] = update
        session = provider_session(
            update.config,
            style=SPOKEN_STYLE,
            agent_tools=self._tools,
            transcriber=self._transcriber,
            own=self._own,
        )
        return wire.encode("session.update", event_id=event_id, session=session)


def mistake(update: Update, error: wire.ErrorSeen) -> ClientProtocolError:
    """A refusal of settings that the client wished for, as the client's mistake."""
    return ClientProtocolError(
        error.message, code=error.code or "invalid_value", param=error.param, event_id=update.event_id
    )
