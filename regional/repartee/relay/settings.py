"""A relayed session's settings: the client's and the agent's, sent to the provider and held once it has taken them.

Keeps what the provider has not confirmed. Sends nothing itself.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from repartee.wire import relay_events as wire
from repartee.wire.audio_format import WireFormat
from repartee.wire.provider_session import own_settings, provider_session
from repartee.wire.session_settings import SessionSettings, check_own
from repartee.wire.settings_patch import SessionPatch

MODELS = "gpt-realtime"
"""How the names of the models begin that hear and speak themselves."""


def is_speech_to_speech(model: str | None) -> bool:
    """Whether this is a model to relay to."""
    return bool(model) and str(model).startswith(MODELS)


@dataclass(frozen=True, slots=True)
class Update:
    """Settings that the provider has not confirmed. ``before`` are those that they change and ``event_id`` is the
    client's, if it asked for them."""

    settings: SessionSettings
    before: SessionSettings | None = None
    event_id: str | None = None


@dataclass(frozen=True, slots=True)
class AgentSide:
    """What the agent brings to a session.

    ``tools`` are in the Realtime protocol's form, ``style`` is added to spoken sessions' instructions,
    ``transcriber`` is the provider's model for the caller's words, ``keyterms`` are words that it should expect.
    ``own_voice``: the agent's voice is one of the provider's, since the agent was written for its models. ``own`` are
    settings that mean something to the provider alone. ``formats`` are the client's, in and out, where its connection
    fixes them (None: the session's settings decide).
    """

    tools: Sequence[Mapping[str, Any]]
    style: str
    transcriber: str
    own_voice: bool
    own: Mapping[str, Any] = field(default_factory=dict)
    formats: tuple[WireFormat, WireFormat] | None = None
    keyterms: Sequence[str] = ()


class RelaySettings:
    """The settings of one call. ``session`` are those in force for what is sent from now on."""

    def __init__(self, settings: SessionSettings, agent: AgentSide, new_event_id: Callable[[], str]) -> None:
        self._agent = agent
        self.session = self._fixed(settings)
        self._new_event_id = new_event_id
        self._own = agent.own
        self._pending: dict[str, Update] = {}

    @property
    def pending(self) -> bool:
        """There are settings that the provider has not confirmed."""
        return bool(self._pending)

    def begin(
        self, *, instructions: str, voice: str | None, language: str, ticket: SessionPatch | None
    ) -> None:
        """The call begins, with what the agent has made of its settings and the ticket has brought along."""
        settings = replace(
            self.session,
            instructions=instructions,
            voice=voice if self._agent.own_voice else None,
            language=language,
        )
        self.session = self._fixed(settings.updated(ticket) if ticket else settings)

    def _fixed(self, settings: SessionSettings) -> SessionSettings:
        """With the formats of the client's connection."""
        formats = self._agent.formats
        return (
            settings
            if formats is None
            else replace(settings, input_format=formats[0], output_format=formats[1])
        )

    def change(self, patch: SessionPatch, text: str, event_id: str | None) -> str:
        """The client wants other settings; ``text`` is its event as it came. Returns the event for the provider.

        They count from now on, as the client does not wait either. Raises ClientProtocolError; then nothing is
        changed.
        """
        settings = self._fixed(self.session.updated(patch))
        names = frozenset(str(tool["name"]) for tool in self._agent.tools)
        check_own(settings.tools, None, names, "session")
        own = own_settings(text)
        update = Update(settings, self.session, event_id)
        self.session, self._own = settings, wire.merged(self._own, own)
        return self._event(update)

    def opening(self) -> list[str]:
        """The events that tell a new session the settings, once for each time that an answer is awaited."""
        pending = list(self._pending.values()) or [Update(self.session)]
        self._pending.clear()
        return [self._event(replace(update, settings=self.session)) for update in pending]

    def taken(self) -> Update | None:
        """The provider has taken the oldest update there is: that one."""
        for event_id in self._pending:
            return self._pending.pop(event_id)
        return None

    def refused(self, error: wire.ErrorSeen) -> Update | None:
        """The update that the provider has refused, if the error is about one; what it changed is as before."""
        update = self._pending.pop(error.event_id or "", None)
        if update is not None and update.before is not None and self.session is update.settings:
            self.session = update.before
        return update

    def _event(self, update: Update) -> str:
        event_id = self._new_event_id()
        self._pending[event_id] = update
        session = provider_session(
            update.settings,
            style=self._agent.style,
            agent_tools=self._agent.tools,
            transcriber=self._agent.transcriber,
            keyterms=self._agent.keyterms,
            own=self._own,
        )
        return wire.encode("session.update", event_id=event_id, session=session)
