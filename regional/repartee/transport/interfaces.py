"""The seam between a call and the way its client is connected: a WebSocket, a telephone line, WebRTC.

A transport knows its wire; it knows neither the turn core nor a provider. The call knows neither JSON nor sockets.
Only a transport may say that the client is gone.
"""

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol, runtime_checkable

from repartee.errors import ClientProtocolError
from repartee.turn.commands import Command
from repartee.wire.announcer import Announcer, ServerEvent
from repartee.wire.audio_format import WireFormat
from repartee.wire.client_events import ClientEvent
from repartee.wire.relay_events import AudioDelta
from repartee.wire.session_settings import SessionSettings


class CallEnd(Enum):
    """Why a call ended."""

    CLIENT_GONE = "the client hung up"
    CLIENT_SLOW = "the client does not read what it is sent"
    PROVIDERS_GONE = "a provider is gone"
    TOO_LONG = "the call's time limit has come"
    CALLER_SILENT = "the caller has been silent for too long"
    DRAINED = "the worker is being replaced: connect again"
    AGENT_HUNG_UP = "the agent hung up"
    TRANSFERRED = "the caller was handed on"
    LINE_LOST = "the telephone line carries no audio"
    FAILED = "internal error"


@dataclass(frozen=True, slots=True)
class AudioFormats:
    """What a transport's audio is: ``source`` comes from the client, ``sink`` goes to it."""

    source: WireFormat
    sink: WireFormat


class CallControl(Protocol):
    """What a call can have done beside closing its connection. Each method returns when it is done."""

    @property
    def can(self) -> frozenset[str]:
        """Of ``hang_up``, ``transfer``, ``warm_transfer``, ``hold``, ``dtmf`` and ``on_dtmf``: what works here."""

    async def hang_up(self) -> None:
        """The agent ends the call. The connection is closed after this."""

    async def transfer(self, to: str) -> None:
        """The caller is handed on. The connection is closed after this."""

    async def warm_transfer(self, to: str, briefing: str, answered: Callable[[], None]) -> bool:
        """Call somebody, have them hear this, and join the caller to them; returns whether that worked.
        ``answered`` is called before the caller leaves."""

    def hold(self, music: bool) -> None:
        """The caller hears music or nothing, and is not listened to."""

    def take_back(self) -> None:
        """The caller is heard again."""

    def dtmf(self, digits: str) -> None:
        """Play these keys."""

    async def played(self) -> None:
        """The caller has heard all that was sent, or will never hear the rest."""


class CallSide(Protocol):
    """What a transport hands to the call. Nothing here waits."""

    def take_audio(self, audio: bytes) -> None:
        """The caller's audio, in the transport's format (or the session's, where that decides)."""

    def take_event(self, event: ClientEvent, source: str) -> None:
        """What the client wishes; ``source`` is the event as it came, for a provider that speaks the same protocol.
        Raises ClientProtocolError, which the transport passes on to the client."""

    def take_digit(self, digit: str) -> None:
        """The caller has pressed a key."""

    def take_played(self, item_id: str, played_ms: float) -> None:
        """The caller has heard so much of an answer."""

    def part(self, say: str) -> None:
        """Stop what is being said, have this heard, and end the call."""

    def refer(self, to: str) -> None:
        """Stop what is being said, and hand the caller on."""

    def line_troubled(self, trouble: str, *, lost: bool) -> None:
        """The connection is there, but carries no audio one way; ``lost``: end the call, so that it can connect
        anew."""

    def client_gone(self) -> None:
        """The client hung up, or its connection was lost."""

    def client_slow(self) -> None:
        """Too much waits for the client: it has stopped reading."""

    def fail(self, error: BaseException) -> None:
        """A fault of the worker's own: the call ends, and the error is logged."""


class Transport(Protocol):
    """One client's connection, for the length of a call."""

    @property
    def formats(self) -> AudioFormats | None:
        """The audio formats, where the connection fixes them; None: the session's settings decide."""

    @property
    def reports_played(self) -> bool:
        """Whether :meth:`CallSide.take_played` will say what the caller has heard."""

    def lines(self, call: CallSide) -> Sequence[Coroutine[Any, Any, None]]:
        """What runs for as long as the call lasts, started before anything listens to the client."""

    async def receive(self) -> None:
        """Hand what the client sends to the call, until the client is gone."""

    def opened(self, settings: SessionSettings) -> None:
        """The session exists, with these settings."""

    def configured(self, settings: SessionSettings) -> None:
        """The session's settings are these now."""

    def tell(self, command: Command, audio_ms: int) -> None:
        """Pass on a command, if the client needs to know of it. ``audio_ms`` is where it belongs in the audio that
        the client has sent: where a turn begins, or how much has been listened to."""

    def key_received(self, digit: str, at_s: int) -> None:
        """The caller has pressed a key, at this time (seconds since 1970)."""

    def play(self, reply_id: int, audio: bytes) -> None:
        """Audio of a reply that :meth:`tell` has begun, in the client's format."""

    def clear(self, reply_id: int) -> None:
        """The caller must not hear what the client's side still holds of this reply."""

    def refuse(self, error: ClientProtocolError) -> None:
        """The client made a mistake; the call goes on."""

    def report_failure(self, message: str, code: str) -> None:
        """Something went wrong on the worker's side; the call goes on."""

    def stop_receiving(self) -> None:
        """The call has ended: hand over nothing more."""

    async def flush(self) -> None:
        """Send what waits."""

    async def close(self, end: CallEnd) -> None:
        """Close the connection with the reason, unless the client has done so. Returns within seconds."""


@runtime_checkable
class RealtimeTransport(Transport, Protocol):
    """A transport whose client speaks OpenAI's Realtime protocol: a provider's events may pass through it."""

    @property
    def passes_audio(self) -> bool:
        """Whether a provider's audio events can be passed on as they are."""

    def pass_on(self, event: str) -> None:
        """An event of the provider's, as JSON text."""

    @property
    def announcer(self) -> Announcer:
        """What makes events with ids of this session's own."""

    def announce(self, event: ServerEvent) -> None:
        """An event that the announcer made."""

    def clear_all(self) -> None:
        """The caller must not hear what the client's side still holds of the agent's speech."""

    def play_as(self, place: AudioDelta, audio: bytes) -> None:
        """Audio that belongs where the provider's event ``place`` says, in the client's format."""

    def end_sound(self, response_id: str) -> None:
        """The audio of a provider's response is complete."""
