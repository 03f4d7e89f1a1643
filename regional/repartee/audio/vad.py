"""Is there speech in this frame? A thin face over webrtcvad, fed with audio of any length.

Owns the framing that webrtcvad demands; decides nothing about turns (that is turn/endpointing).
"""

import webrtcvad  # type: ignore[import-untyped]

from repartee.audio.framing import Framer

FRAME_MS = 20
"""webrtcvad takes 10, 20 or 30 ms; at 20 a decision costs 3 µs."""

AGGRESSIVENESS = 3
"""webrtcvad's strictest mode: the milder ones take a telephone's noise floor for speech (measured)."""


class VoiceActivity:
    """Tells speech from the rest, in frames of :data:`FRAME_MS`.

    ``hz`` is 8, 16, 32 or 48 kHz. It goes on saying speech for 100 to 120 ms after the true end (measured).
    """

    __slots__ = ("_framer", "_hz", "_vad")

    def __init__(self, hz: int) -> None:
        self._hz = hz
        self._framer = Framer(FRAME_MS, hz)
        self._vad = webrtcvad.Vad(AGGRESSIVENESS)

    def feed(self, pcm: bytes) -> list[bool]:
        """One decision for each frame that this piece completes, oldest first."""
        is_speech = self._vad.is_speech
        return [is_speech(frame, self._hz) for frame in self._framer.feed(pcm)]
