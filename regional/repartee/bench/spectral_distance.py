"""How far a decoded voice is from the one that was encoded: the log-spectral distance, in dB. Pure.

The root mean square, over frequency, of the difference between two short-time power spectra in dB, averaged over the
frames in which somebody speaks (Gray and Markel, 1976). 0 is the same sound; about 1 dB is called transparent for a
vocoder's spectral envelope. This one compares fine spectra, in which a codec's noise between harmonics counts in full
though an ear hears little of it: it ranks settings of one codec, and is no opinion score.
"""

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float64]

RATE_HZ = 24_000
WINDOW, HOP = 768, 240
"""32 ms, every 10."""

TOP_HZ = 8_000.0
FLOOR_DB = 60.0
"""Further below its frame's loudest component, a component counts as so far: nobody hears it."""

SPEECH_DB = 40.0
"""A frame that is further below the loudest one is a pause."""

MOST_LATE = RATE_HZ * 30 // 1_000


def log_spectral_distance_db(original: Samples, decoded: Samples) -> float:
    """Of two mono signals at RATE_HZ; the second may be late by up to 30 ms. NaN where there is no speech."""
    late = delay_of(original, decoded)
    length = min(original.size, decoded.size - late)
    spectra = _spectra(original[:length]), _spectra(decoded[late : late + length])
    loudness = spectra[0].sum(axis=1)
    spoken = loudness > loudness.max(initial=0.0) / 10 ** (SPEECH_DB / 10)
    one, other = (_in_db(each[spoken], spectra[0][spoken]) for each in spectra)
    return float(np.sqrt(((one - other) ** 2).mean(axis=1)).mean()) if spoken.any() else float("nan")


def delay_of(original: Samples, decoded: Samples) -> int:
    """By how many samples the second is later: where the two agree best."""
    size = min(original.size, decoded.size) - MOST_LATE
    agreement = [float(original[:size] @ decoded[late : late + size]) for late in range(MOST_LATE)]
    return int(np.argmax(agreement))


def _spectra(signal: Samples) -> Samples:
    frames = np.lib.stride_tricks.sliding_window_view(signal, WINDOW)[::HOP] * np.hanning(WINDOW)
    power: Samples = np.abs(np.fft.rfft(frames, axis=1)) ** 2
    return power[:, : round(TOP_HZ / RATE_HZ * WINDOW)]


def _in_db(power: Samples, original: Samples) -> Samples:
    floor = original.max(axis=1, keepdims=True) / 10 ** (FLOOR_DB / 10)
    in_db: Samples = 10 * np.log10(np.maximum(power, floor))
    return in_db
