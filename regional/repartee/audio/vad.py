"""Is there speech in this frame? webrtcvad, with a level gate that ends where the sound does.

Owns the framing that webrtcvad demands; decides nothing about turns (that is turn/endpointing).

webrtcvad goes on saying speech for 100 to 120 ms after the true end (measured), a fifth of a turn's budget. A frame
therefore must also be louder than the noise: silence shows within the frame in which it begins.
"""

import webrtcvad

from repartee.audio.framing import Framer
from repartee.audio.loudness import LoudnessGate
from repartee.audio.pcm import level, resampler

FRAME_MS = 20
"""webrtcvad takes 10, 20 or 30 ms; at 20 a decision costs 3 µs."""

VAD_HZ = 16_000
"""What webrtcvad hears: it takes 8, 16, 32 and 48 kHz, and its own figures are for 16 and less."""

AGGRESSIVENESS = 3
"""webrtcvad's strictest mode: the milder ones take a telephone's noise floor for speech (measured)."""


class VoiceActivity:
    """Tells speech from the rest, in frames of :data:`FRAME_MS`. ``hz`` is the rate of what is fed."""

    __slots__ = ("_framer", "_gate", "_resampler", "_speaking", "_vad")

    def __init__(self, hz: int) -> None:
        self._resampler = resampler(hz, VAD_HZ)
        self._framer = Framer(FRAME_MS, VAD_HZ)
        self._vad = webrtcvad.Vad(AGGRESSIVENESS)
        self._gate = LoudnessGate()
        self._speaking = False

    def feed(self, pcm: bytes) -> list[bool]:
        """One decision for each frame that this piece completes, oldest first."""
        return [self._is_speech(frame) for frame in self._framer.feed(self._resampler.feed(pcm))]

    def _is_speech(self, frame: bytes) -> bool:
        loud = self._gate.is_open(level(frame))
        # Asked even of quiet frames: it learns what the noise sounds like.
        voiced: bool = self._vad.is_speech(frame, VAD_HZ)
        # What sounds on from speech belongs to it, voiced or not: the end of "six" is all hiss.
        self._speaking = loud and (voiced or self._speaking)
        return self._speaking
