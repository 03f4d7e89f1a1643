"""What is refused because it is more than a call may send: too long at once, or faster than it can be passed on."""

from repartee.errors import ClientProtocolError


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
