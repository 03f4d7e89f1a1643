"""What the relay core wants done, beside what the turn core wants too. The session carries these out in order."""

from repartee.turn.commands import Command
from repartee.wire.relay_events import AudioDelta, ErrorSeen
from repartee.wire.session_settings import SessionSettings


class ToProvider(Command, frozen=True):
    """Send this event, JSON text."""

    event: str


class ReplayAudio(Command, frozen=True):
    """Send again what is kept of the caller's audio; what waits to be sent is part of it."""


class ForgetAudio(Command, frozen=True):
    """What was kept of the caller's audio has been answered, or is not wanted."""


class PassOn(Command, frozen=True):
    """Pass the provider's event on to the client, as it came."""

    event: str


class PlaySound(Command, frozen=True):
    """Pass the provider's audio on to the client."""

    delta: AudioDelta
    source: bytes


class EndSound(Command, frozen=True):
    """A response's audio is complete."""

    response_id: str


class CutResponse(Command, frozen=True):
    """Nothing more will come of this response: tell the client of its end, a failure if some of it was heard, or was
    to be. ``code`` says why."""

    response_id: str
    sounded: bool
    code: str = "session_lost"


class ClearSound(Command, frozen=True):
    """What the client's side holds of the agent's speech must not be heard."""


class FindRecording(Command, frozen=True):
    """Is this phrase recorded? ``RecordingFound`` or ``RecordingMissing`` follows, with the token."""

    token: int
    text: str
    any_voice: bool = False
    """Another voice's recording is better than none."""


class PlayRecording(Command, frozen=True):
    """Play the phrase that was found, as this reply."""

    reply_id: int
    text: str


class TruncationNoted(Command, frozen=True):
    """The client has truncated an item that the provider does not know."""

    item_id: str
    content_index: int
    heard_ms: float


class HearWords(Command, frozen=True):
    """The caller's words, for the agent."""

    turn_id: int
    text: str


class SettingsChanged(Command, frozen=True):
    """These settings count for what is sent from now on. ``confirmed``: the provider has taken the client's wish."""

    settings: SessionSettings
    confirmed: bool = False


class RefuseClient(Command, frozen=True):
    """The provider refused the client's settings: the client's mistake."""

    error: ErrorSeen
    event_id: str | None


class RefuseAgent(Command, frozen=True):
    """The provider refused the agent's own settings: no call can be held."""

    error: ErrorSeen


class Served(Command, frozen=True):
    """The session has done what it is there for: an answer is complete, or the caller's words are known."""


class NoteRefusal(Command, frozen=True):
    """The provider did not take an event that the relay sent of its own accord."""

    message: str
