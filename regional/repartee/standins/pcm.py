"""Samples: decoding what callers send, encoding what is sent to them, and how loud they are. No state, no I/O."""

import warnings

import numpy as np
from numpy.typing import NDArray

with warnings.catch_warnings():
    # The standard library's own, deprecated in 3.11 and 3.12; from 3.13 on the package audioop-lts has the name.
    warnings.simplefilter("ignore", DeprecationWarning)
    import audioop

Samples = NDArray[np.int16]
SAMPLE_BYTES = {"linear16": 2, "mulaw": 1, "alaw": 1}
"""What recognition takes, with the bytes of one sample."""

RAW_ENCODINGS = ("pcm_s16le", "pcm_f32le", "pcm_mulaw", "pcm_alaw")


def to_linear16(audio: bytes, encoding: str) -> bytes:
    """PCM16 little endian from ``linear16``, ``mulaw`` or ``alaw``; a trailing half sample is cut off."""
    if encoding == "mulaw":
        return audioop.ulaw2lin(audio, 2)
    if encoding == "alaw":
        return audioop.alaw2lin(audio, 2)
    return audio if len(audio) % 2 == 0 else audio[:-1]


def from_linear16(pcm: bytes, encoding: str) -> bytes:
    """PCM16 little endian in one of ``RAW_ENCODINGS``."""
    if encoding == "pcm_mulaw":
        return audioop.lin2ulaw(pcm, 2)
    if encoding == "pcm_alaw":
        return audioop.lin2alaw(pcm, 2)
    if encoding == "pcm_f32le":
        return (np.frombuffer(pcm, "<i2").astype("<f4") / 32768).tobytes()
    return pcm


def peak(pcm: bytes | memoryview) -> int:
    """The greatest absolute sample of PCM16, 0…32768."""
    return audioop.max(pcm, 2)


def rms(pcm: bytes | memoryview) -> int:
    """The root mean square of PCM16, 0…32768."""
    return audioop.rms(pcm, 2)
