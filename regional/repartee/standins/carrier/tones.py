"""Hears keys in audio (ITU-T Q.23), as a voice menu at the far end of a call does. Pure."""

import numpy as np

from repartee.standins.pcm import to_linear16

LOW_HZ, HIGH_HZ = (697, 770, 852, 941), (1209, 1336, 1477, 1633)
KEYS = "123A456B789C*0#D"
HZ = 8_000
SHARE = 0.6
"""Of a frame's energy, the two tones' share in a key."""

LEAST_RMS = 300.0
FRAMES = 2
"""So many frames in a row make a key: 40 ms, as Q.24 has it."""


class ToneDetector:
    """Finds keys in what one listener hears."""

    def __init__(self) -> None:
        self._key = ""
        self._frames = 0

    def hear(self, frame: bytes) -> str | None:
        """20 ms of mu-law; the key that has just become one."""
        key = key_in(frame)
        self._frames = self._frames + 1 if key and key == self._key else int(bool(key))
        self._key = key
        return key if key and self._frames == FRAMES else None


def key_in(frame: bytes) -> str:
    """The key that sounds in this frame; empty for none."""
    samples = np.frombuffer(to_linear16(frame, "mulaw"), "<i2").astype(float)
    energy = float(samples @ samples)
    if not len(samples) or energy / len(samples) < LEAST_RMS**2:
        return ""
    at = np.arange(len(samples)) / HZ
    low, high = ([_power(samples, at, hz) for hz in row] for row in (LOW_HZ, HIGH_HZ))
    if 2 * (max(low) + max(high)) / len(samples) < SHARE * energy:
        return ""
    return KEYS[4 * low.index(max(low)) + high.index(max(high))]


def _power(
    samples: "np.ndarray[tuple[int], np.dtype[np.float64]]",
    at: "np.ndarray[tuple[int], np.dtype[np.float64]]",
    hz: int,
) -> float:
    return float(abs(samples @ np.exp(-2j * np.pi * hz * at)) ** 2)
