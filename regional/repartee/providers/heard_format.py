"""The format in which a recogniser gets a call's audio: a telephone's goes as narrow as it came, which is a sixth.

Inside, audio is PCM16 at HEARING_HZ whatever came. A vendor that takes others is opened with the caller's format,
and its transcribers convert back to that. Each format has its own connections. Of audio at 8 kHz each sample goes
on as it came: :class:`TelephoneDecoder` puts two between it and the one before, :class:`HeardEncoder` leaves them
out again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol, runtime_checkable

import numpy as np

from repartee.audio.pcm import LineUpsampler, pcm_to_alaw, pcm_to_ulaw, resampler
from repartee.providers.interfaces import HEARING_HZ, STT, Transcriber
from repartee.wire.audio_format import AudioDecoder, WireFormat

TELEPHONE_HZ: Final = 8_000
USUAL_FORMAT: Final = WireFormat("audio/pcm", HEARING_HZ)
"""What audio is inside, and what a recogniser is sent unless something else is asked for."""


@runtime_checkable
class HearsFormats(Protocol):
    """A recogniser that takes other formats than the usual one."""

    def in_format(self, heard: WireFormat) -> STT:
        """The same, sent this."""


def heard_as_it_came(stt: STT, source: WireFormat) -> STT:
    """The recogniser for a caller whose audio comes like this: if it can take that, it gets no more."""
    narrower = source.bytes_per_ms < USUAL_FORMAT.bytes_per_ms
    return stt.in_format(source) if narrower and isinstance(stt, HearsFormats) else stt


class ListensInFormats(Protocol):
    """A vendor's recogniser that takes the format with each call."""

    async def listen(
        self, *, language: str = "en", keyterms: Sequence[str] = (), heard: WireFormat = USUAL_FORMAT
    ) -> Transcriber:
        """As :meth:`~repartee.providers.interfaces.STT.listen`."""


@dataclass(frozen=True, slots=True)
class InFormat:
    """A vendor's recogniser, for calls in one format. Implements :class:`~repartee.providers.interfaces.STT`."""

    stt: ListensInFormats
    heard: WireFormat

    async def listen(self, *, language: str = "en", keyterms: Sequence[str] = ()) -> Transcriber:
        """Raises ProviderError or PoolTimeout."""
        return await self.stt.listen(language=language, keyterms=keyterms, heard=self.heard)


class Decodes(Protocol):
    """The caller's audio, from the wire to PCM16 at HEARING_HZ."""

    def feed(self, data: bytes) -> bytes:
        """PCM16 of what has arrived."""


def decoder_for(stt: STT, source: WireFormat) -> Decodes:
    """What the recogniser of :func:`heard_as_it_came` is fed through."""
    as_it_came = isinstance(stt, HearsFormats) and source.hz == TELEPHONE_HZ
    return TelephoneDecoder(source) if as_it_came else usual_decoder(source)


def usual_decoder(source: WireFormat) -> Decodes:
    """What every recogniser may be fed through."""
    return AudioDecoder(source, HEARING_HZ)


class TelephoneDecoder:
    """Audio at 8 kHz as PCM16 at HEARING_HZ: lines between its samples. Holds nothing back.

    A resampler must wait for a millisecond and a half of what comes next, and so for the next frame: 20 ms.
    What lines leave above 4 kHz is for nobody's ear; speech is looked for below.
    """

    __slots__ = ("_decoder", "_upsampler")

    def __init__(self, source: WireFormat) -> None:
        self._decoder = AudioDecoder(source, source.hz)
        self._upsampler = LineUpsampler()

    def feed(self, data: bytes) -> bytes:
        """Three samples for one."""
        return self._upsampler.feed(self._decoder.feed(data))


class HeardEncoder:
    """From PCM16 at HEARING_HZ, in whole samples, to a format. To 8 kHz it takes each third sample as it is."""

    __slots__ = ("_encoding", "_resampler", "_skip", "_thin")

    def __init__(self, heard: WireFormat) -> None:
        self._encoding = heard.encoding
        whole = HEARING_HZ % heard.hz == 0
        self._thin = HEARING_HZ // heard.hz if whole else 1
        self._skip = self._thin - 1
        self._resampler = None if whole else resampler(HEARING_HZ, heard.hz)

    def feed(self, pcm: bytes) -> bytes:
        """The wire's bytes for this audio."""
        if self._resampler is not None:
            pcm = self._resampler.feed(pcm)
        elif self._thin > 1:
            samples = np.frombuffer(pcm, "<i2")
            pcm = samples[self._skip :: self._thin].tobytes()
            self._skip = (self._skip - samples.size) % self._thin
        if self._encoding == "audio/pcm":
            return pcm
        return pcm_to_ulaw(pcm) if self._encoding == "audio/pcmu" else pcm_to_alaw(pcm)
