"""Keys as tones (ITU-T Q.23): two sines each. Pure."""

import numpy as np

KEYS_HZ = 8_000
TONE_MS, GAP_MS = 100, 100
"""Q.24 asks for 40 ms of each at least; many receivers want more."""

LEVEL = 9_000
"""Of 32,767, for each of the two sines."""

LOW_HZ = (697, 770, 852, 941)
HIGH_HZ = (1209, 1336, 1477, 1633)
KEYS = "123A456B789C*0#D"


def key_tones(digits: str) -> bytes:
    """PCM16 at 8 kHz."""
    at = np.arange(KEYS_HZ * TONE_MS // 1000) / KEYS_HZ
    gap = np.zeros(KEYS_HZ * GAP_MS // 1000)
    pieces = []
    for digit in digits:
        row, column = divmod(KEYS.index(digit), 4)
        pieces += [np.sin(2 * np.pi * LOW_HZ[row] * at) + np.sin(2 * np.pi * HIGH_HZ[column] * at), gap]
    return (np.concatenate(pieces) * LEVEL).astype("<i2").tobytes() if pieces else b""
