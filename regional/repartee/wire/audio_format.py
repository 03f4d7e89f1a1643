"""A client's audio on the wire: its formats, and the way between them and the audio inside.

Pure and streaming: one decoder and one encoder a direction and call. Inside, audio is PCM16, little endian, mono.
"""

from dataclasses import dataclass
from typing import Literal

from repartee.audio.pcm import (
    alaw_to_pcm,
    pcm_to_alaw,
    pcm_to_ulaw,
    resampler,
    ulaw_to_pcm,
)
from repartee.errors import ClientProtocolError

Encoding = Literal["audio/pcm", "audio/pcmu", "audio/pcma"]

PCM_RATES_HZ = (8_000, 16_000, 24_000, 48_000)
"""Sample rates accepted for PCM; G.711 is always at 8 kHz."""

G711_HZ = 8_000

LEAST_BYTES_PER_MS = 8
"""No format has fewer: G.711's."""


@dataclass(frozen=True, slots=True)
class WireFormat:
    """Encoding and sample rate of one direction."""

    encoding: Encoding = "audio/pcm"
    hz: int = 24_000

    @classmethod
    def checked(cls, encoding: Encoding, rate: int | None, *, param: str) -> "WireFormat":
        """Raises ClientProtocolError if the rate is not one that the encoding has."""
        if encoding == "audio/pcm":
            hz = 24_000 if rate is None else rate
            if hz not in PCM_RATES_HZ:
                rates = ", ".join(str(known) for known in PCM_RATES_HZ)
                raise ClientProtocolError(
                    f"PCM at {hz} Hz is not supported: use one of {rates}.", param=param
                )
            return cls(encoding, hz)
        if rate not in (None, G711_HZ):
            raise ClientProtocolError(f"G.711 is always at {G711_HZ} Hz.", param=param)
        return cls(encoding, G711_HZ)

    @property
    def bytes_per_ms(self) -> float:
        """Bytes on the wire for one millisecond."""
        return self.hz * (2 if self.encoding == "audio/pcm" else 1) / 1000

    def silence(self, size: int) -> bytes:
        """So many bytes of silence."""
        return {"audio/pcm": b"\0", "audio/pcmu": b"\xff", "audio/pcma": b"\xd5"}[self.encoding] * size

    def as_json(self) -> dict[str, str | int]:
        """As OpenAI's session object names it."""
        if self.encoding == "audio/pcm":
            return {"type": self.encoding, "rate": self.hz}
        return {"type": self.encoding}


class AudioDecoder:
    """The caller's audio, from the wire to PCM16 at ``hz``. Bytes may be cut anywhere between frames."""

    __slots__ = ("_resample", "_to_pcm", "feed")

    def __init__(self, source: WireFormat, hz: int) -> None:
        self._resample = resampler(source.hz, hz).feed
        self._to_pcm = alaw_to_pcm if source.encoding == "audio/pcma" else ulaw_to_pcm
        # Most callers send PCM: fifty times a second and call, a step that does nothing is left out.
        self.feed = self._resample if source.encoding == "audio/pcm" else self._convert
        """Takes what has arrived; gives PCM16 of it (perhaps less than came in: a resampler looks ahead)."""

    def _convert(self, data: bytes) -> bytes:
        return self._resample(self._to_pcm(data))


class AudioEncoder:
    """The agent's audio, from PCM16 at ``hz`` to the wire."""

    def __init__(self, target: WireFormat, hz: int) -> None:
        self._encoding = target.encoding
        self._resampler = resampler(hz, target.hz)

    def feed(self, pcm: bytes) -> bytes:
        """The wire's bytes for this audio."""
        return self._encode(self._resampler.feed(pcm))

    def flush(self) -> bytes:
        """What the resampler still held, at the end of a reply."""
        return self._encode(self._resampler.flush())

    def _encode(self, pcm: bytes) -> bytes:
        if self._encoding == "audio/pcm":
            return pcm
        return pcm_to_ulaw(pcm) if self._encoding == "audio/pcmu" else pcm_to_alaw(pcm)
