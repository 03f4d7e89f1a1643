"""What can happen to a relayed call beside what happens to any: what the provider's session says, and the client.

All are immutable; the time comes beside the event.
"""

from repartee.turn.events import Event
from repartee.wire.client_events import ClientEvent
from repartee.wire.relay_events import AudioDelta, ProviderEvent


class SessionBegan(Event, frozen=True):
    """There is a session with the provider, in which nothing is known yet.

    ``again``: it follows another; ``lost``: that one was lost, and not left in a quiet moment. ``suspected``:
    somebody may have spoken to whom that one said nothing. ``waiting``: events that are yet to be sent.
    """

    again: bool
    lost: bool
    suspected: bool = False
    waiting: tuple[str, ...] = ()


class ProviderSaid(Event, frozen=True):
    """An event of the provider's, but for audio. ``source`` is the event as it came; ``speech_ended_at`` is when the
    last sample of the caller's speech arrived (None: not known)."""

    event: ProviderEvent
    source: str
    speech_ended_at: float | None = None
    speech_end_certain: bool = True


class ProviderSound(Event, frozen=True):
    """Audio of a response, of which the first ``silent_ms`` are silence (all of it, or less)."""

    delta: AudioDelta
    source: bytes
    length_ms: float
    silent_ms: float


class ClientWish(Event, frozen=True):
    """An event of the client's, but for audio; ``source`` is the event as it came."""

    wish: ClientEvent
    source: str


class RecordingFound(Event, frozen=True):
    """The phrase is recorded in the session's voice; its first ``lead_in_ms`` are silence."""

    token: int
    length_ms: float
    lead_in_ms: float


class NoticeWanted(Event, frozen=True):
    """The caller is to hear this recorded phrase now, outside of the conversation."""

    text: str
    length_ms: float
    lead_in_ms: float


class RecordingMissing(Event, frozen=True):
    """The phrase is not recorded."""

    token: int
