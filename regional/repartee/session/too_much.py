"""Refuses what is more than a call may send: too long at once, or faster than it can be passed on."""

from dataclasses import dataclass

from repartee.errors import ClientProtocolError
from repartee.wire.client_events import MAX_OTHER_BYTES


@dataclass(frozen=True, slots=True)
class ClientLimits:
    """How much a client may send at once, and how often it may ask for what takes long."""

    audio_event_s: float = 60.0
    """Audio in one event or binary frame."""

    other_bytes: int = MAX_OTHER_BYTES
    """An event without audio."""

    requests_per_s: float = 20.0
    """``response.create`` and ``session.update`` together ..."""

    burst_s: float = 10.0
    """... and what was not used of that in the last so many seconds."""


def waits_already() -> ClientProtocolError:
    """No more can be kept for a provider that takes it more slowly than it comes."""
    return ClientProtocolError(
        "This was dropped: too much of what was sent before still waits. Send it no faster than it is spoken.",
        code="rate_limit_exceeded",
    )


def check_audio_length(length_ms: float, most_s: float) -> None:
    """Raises ClientProtocolError if this is too much audio for one event."""
    if length_ms > most_s * 1000:
        raise ClientProtocolError(
            f"{length_ms / 1000:.1f} s of audio came at once: send {most_s:g} s at most.",
            code="event_too_large",
            param="audio",
        )
