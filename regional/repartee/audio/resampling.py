"""Changing the sample rate of a live stream with a millisecond's delay.

Owns one short filter. soxr, which is otherwise the library to use, holds back 6 ms of a stream at its quickest usable
setting and 24 at its default (measured, 24 to 16 kHz in pieces of 20 ms), and every one of them is silence in the
caller's ear; this holds back 1 ms at the same cost (10 µs a piece), and lets 75 dB less through above the band.

How: a windowed sinc, evaluated for one block of about a millisecond at a time. The outputs of a block are the same
weighted sums of its inputs and their neighbours in every block, so that a whole piece is one matrix product.
"""

import math

import numpy as np
import numpy.typing as npt

ZERO_CROSSINGS = 12
"""Half the filter's length, in zero crossings of the sinc: this is the delay."""

ROLLOFF = 0.94
"""Where the filter is at half (-6 dB), as a share of the lower rate's Nyquist frequency."""

KAISER_BETA = 7.0
"""The window's shape: -75 dB in the stop band."""

BLOCK_MS = 1.0
"""Inputs are taken in whole blocks; 1 ms divides every frame length in use."""


class StreamResampler:
    """Resamples int16 samples given in pieces of any length."""

    __slots__ = ("_block", "_given", "_held", "_ratio", "_reach", "_taken", "_weights")

    def __init__(self, from_hz: int, to_hz: int) -> None:
        common = math.gcd(from_hz, to_hz)
        up, down = to_hz // common, from_hz // common
        steps = max(1, round(BLOCK_MS * from_hz / 1000 / down))
        cutoff = min(1.0, to_hz / from_hz) * ROLLOFF
        self._ratio = (up, down)
        self._block = steps * down
        self._reach = math.ceil(ZERO_CROSSINGS / cutoff)
        self._weights = _weights(self._block, steps * up, down / up, self._reach, cutoff)
        self._held: npt.NDArray[np.float32] = np.zeros(self._reach, dtype=np.float32)
        self._taken = 0
        self._given = 0

    def feed(self, samples: npt.NDArray[np.int16]) -> npt.NDArray[np.int16]:
        """What can be given out after this piece."""
        self._taken += samples.size
        held = np.concatenate((self._held, samples), dtype=np.float32)
        width = self._block + 2 * self._reach
        blocks = (held.size - width) // self._block + 1
        if blocks <= 0:
            self._held = held
            return np.empty(0, dtype=np.int16)
        # One row a block, each with its neighbours on both sides: a view, in which the rows overlap.
        windows: npt.NDArray[np.float32] = np.ndarray(
            (blocks, width), np.float32, held, 0, (self._block * held.itemsize, held.itemsize)
        )
        sums = windows @ self._weights
        self._held = held[blocks * self._block :]
        np.rint(sums, out=sums)
        np.minimum(sums, 32767, out=sums)
        np.maximum(sums, -32768, out=sums)
        self._given += sums.size
        return sums.astype(np.int16).ravel()

    def flush(self) -> npt.NDArray[np.int16]:
        """What was held back; ends the stream."""
        up, down = self._ratio
        left = self._taken * up // down - self._given
        return self.feed(np.zeros(2 * self._reach + 2 * self._block, dtype=np.int16))[:left]


def _weights(block: int, outputs: int, step: float, reach: int, cutoff: float) -> npt.NDArray[np.float32]:
    """What each input of a block's window (rows) adds to each of its outputs (columns)."""
    at = np.arange(outputs) * step
    distance = at[None, :] - (np.arange(block + 2 * reach) - reach)[:, None]
    half = ZERO_CROSSINGS / cutoff
    inside = np.sqrt(np.clip(1 - (distance / half) ** 2, 0, None))
    window = np.where(np.abs(distance) < half, np.i0(KAISER_BETA * inside), 0)
    weights = np.sinc(cutoff * distance) * window
    scaled: npt.NDArray[np.float32] = (weights / weights.sum(axis=0)).astype(np.float32)
    return scaled
