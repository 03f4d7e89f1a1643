"""PCM16 arithmetic, resampling and G.711: what turns a caller's bytes into the pipeline's and back.

Owns sample formats and rates. Everywhere in the project "PCM" is 16 bit, little endian, mono. Knows nothing of
calls, frames on a wire or time. Sources arrive in pieces of any length, so the streaming classes here carry an odd
byte (half a sample) over to the next piece instead of losing it, which would turn all that follows into noise.
"""

import warnings
from typing import Protocol

import numpy as np

from repartee.audio.resampling import StreamResampler

with warnings.catch_warnings():
    # Deprecated in the 3.11 standard library, removed in 3.13; audioop-lts brings the same module back there.
    warnings.simplefilter("ignore", DeprecationWarning)
    import audioop

SAMPLE_BYTES = 2

SUPPORTED_HZ = (8_000, 16_000, 24_000, 48_000)
"""Sample rates the session accepts and the providers give."""


def duration_ms(pcm_bytes: int, hz: int) -> float:
    """Length in ms of so many bytes of PCM."""
    return pcm_bytes * 1000 / (hz * SAMPLE_BYTES)


def bytes_for_ms(ms: float, hz: int) -> int:
    """Bytes of PCM that last ``ms``, rounded down to whole samples."""
    return int(hz * ms / 1000) * SAMPLE_BYTES


def silence(ms: float, hz: int) -> bytes:
    """So many ms of digital silence as PCM."""
    return bytes(bytes_for_ms(ms, hz))


def level(pcm: bytes) -> int:
    """Root mean square of the samples, 0 to 32768."""
    return audioop.rms(pcm, SAMPLE_BYTES)


def peak(pcm: bytes) -> int:
    """The largest magnitude of a sample, 0 to 32768."""
    return audioop.max(pcm, SAMPLE_BYTES)


def ulaw_to_pcm(data: bytes) -> bytes:
    """G.711 μ-law (one byte a sample) to PCM."""
    return audioop.ulaw2lin(data, SAMPLE_BYTES)


def pcm_to_ulaw(pcm: bytes) -> bytes:
    """PCM to G.711 μ-law. Raises ValueError on half a sample."""
    return audioop.lin2ulaw(_whole(pcm), SAMPLE_BYTES)


def alaw_to_pcm(data: bytes) -> bytes:
    """G.711 A-law (one byte a sample) to PCM."""
    return audioop.alaw2lin(data, SAMPLE_BYTES)


def pcm_to_alaw(pcm: bytes) -> bytes:
    """PCM to G.711 A-law. Raises ValueError on half a sample."""
    return audioop.lin2alaw(_whole(pcm), SAMPLE_BYTES)


def _whole(pcm: bytes) -> bytes:
    if len(pcm) % SAMPLE_BYTES:
        raise ValueError(f"PCM16 must be whole samples; got {len(pcm)} bytes")
    return pcm


class SampleAligner:
    """Passes bytes on in whole samples, holding half a sample back until its other half comes."""

    __slots__ = ("_odd",)

    def __init__(self) -> None:
        self._odd = b""

    def feed(self, data: bytes) -> bytes:
        """The whole samples there are now. Costs nothing while pieces are even, as nearly all are."""
        if self._odd:
            data = self._odd + data
            self._odd = b""
        if len(data) % SAMPLE_BYTES:
            self._odd = data[-1:]
            return data[:-1]
        return data


class LineUpsampler:
    """From 8 to 24 kHz by lines between samples: three samples for one, the last of them as it came, and nothing is
    held back. What that leaves above 4 kHz is for nobody's ear."""

    __slots__ = ("_state",)

    def __init__(self) -> None:
        # With a sample before the first, there are three for the first too.
        _, self._state = audioop.ratecv(bytes(SAMPLE_BYTES), SAMPLE_BYTES, 1, 8_000, 24_000, None)

    def feed(self, pcm: bytes) -> bytes:
        """Whole samples in, whole samples out."""
        out, self._state = audioop.ratecv(pcm, SAMPLE_BYTES, 1, 8_000, 24_000, self._state)
        return out


class Resampler(Protocol):
    """Changes the sample rate of one continuous stream."""

    def feed(self, pcm: bytes) -> bytes:
        """What can be given out after this piece; may be shorter or longer than its share, or empty."""

    def flush(self) -> bytes:
        """What was held back; ends the stream."""


class PassThrough(SampleAligner):
    """The resampler for equal rates: no copy, only alignment to whole samples."""

    __slots__ = ()

    def flush(self) -> bytes:
        return b""


class PcmResampler:
    """Streaming resampling of bytes."""

    __slots__ = ("_aligner", "_stream")

    def __init__(self, from_hz: int, to_hz: int) -> None:
        self._aligner = SampleAligner()
        self._stream = StreamResampler(from_hz, to_hz)

    def feed(self, pcm: bytes) -> bytes:
        return self._stream.feed(np.frombuffer(self._aligner.feed(pcm), dtype="<i2")).tobytes()

    def flush(self) -> bytes:
        return self._stream.flush().tobytes()


def resampler(from_hz: int, to_hz: int) -> Resampler:
    """A resampler for one stream. Raises ValueError for a rate outside :data:`SUPPORTED_HZ`."""
    for hz in (from_hz, to_hz):
        if hz not in SUPPORTED_HZ:
            rates = ", ".join(str(rate) for rate in SUPPORTED_HZ)
            raise ValueError(f"cannot resample from or to {hz} Hz; supported are {rates}")
    return PassThrough() if from_hz == to_hz else PcmResampler(from_hz, to_hz)
