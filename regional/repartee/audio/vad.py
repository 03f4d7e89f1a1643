"""Is there speech in this frame? webrtcvad, with a level gate that ends where the sound does.

Owns the framing that webrtcvad demands and an estimate of the noise floor; decides nothing about turns (that is
turn/endpointing).

webrtcvad goes on saying speech for 100 to 120 ms after the true end (measured), a fifth of a turn's budget. A frame
therefore must also be louder than the noise: silence shows within the frame in which it begins.
"""

import webrtcvad

from repartee.audio.framing import Framer
from repartee.audio.pcm import level, resampler

FRAME_MS = 20
"""webrtcvad takes 10, 20 or 30 ms; at 20 a decision costs 3 µs."""

VAD_HZ = 16_000
"""What webrtcvad hears: it takes 8, 16, 32 and 48 kHz, and its own figures are for 16 and less."""

AGGRESSIVENESS = 3
"""webrtcvad's strictest mode: the milder ones take a telephone's noise floor for speech (measured)."""

GATE_OVER_FLOOR = 3.0
"""A frame's RMS level must be this many times the noise floor's (9.5 dB)."""

LEAST_GATE = 40.0
"""RMS level (of 32768) under which nothing is heard: -58 dBFS."""

FLOOR_RISE = 1.005
"""The floor falls at once and rises by this factor a frame (2 dB a second), so that speech does not become noise."""

HIGHEST_FLOOR = 200.0
"""-44 dBFS; a call that begins in mid-word must not take the word for the noise."""


class VoiceActivity:
    """Tells speech from the rest, in frames of :data:`FRAME_MS`. ``hz`` is the rate of what is fed."""

    __slots__ = ("_floor", "_framer", "_resampler", "_speaking", "_vad")

    def __init__(self, hz: int) -> None:
        self._resampler = resampler(hz, VAD_HZ)
        self._framer = Framer(FRAME_MS, VAD_HZ)
        self._vad = webrtcvad.Vad(AGGRESSIVENESS)
        self._floor = HIGHEST_FLOOR
        self._speaking = False

    def feed(self, pcm: bytes) -> list[bool]:
        """One decision for each frame that this piece completes, oldest first."""
        return [self._is_speech(frame) for frame in self._framer.feed(self._resampler.feed(pcm))]

    def _is_speech(self, frame: bytes) -> bool:
        loudness = level(frame)
        self._floor = min(loudness, self._floor * FLOOR_RISE, HIGHEST_FLOOR)
        self._floor = max(self._floor, 1.0)
        # Asked even of quiet frames: it learns what the noise sounds like.
        voiced: bool = self._vad.is_speech(frame, VAD_HZ)
        loud = loudness >= max(LEAST_GATE, self._floor * GATE_OVER_FLOOR)
        # What sounds on from speech belongs to it, voiced or not: the end of "six" is all hiss.
        self._speaking = loud and (voiced or self._speaking)
        return self._speaking
