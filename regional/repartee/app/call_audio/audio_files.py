"""A recording's file while it grows: Opus in Ogg, or WAV. What is written can be played as it is. Blocks."""

import struct
import zlib
from pathlib import Path
from typing import BinaryIO, Protocol

from repartee.audio.ogg import OggOpus
from repartee.audio.stereo import RATE_HZ
from repartee.rtc.opus import OpusEncoder, OpusLibrary, OpusSettings

CHANNELS = 2
FRAME_BYTES = RATE_HZ // 50 * CHANNELS * 2
"""20 ms."""

PAGE_FRAMES = 50
PRE_SKIP = 120
"""libopus's look-ahead where it is to be short, 2.5 ms."""

ENCODING = OpusSettings(32_000, complexity=3, low_delay=True)
"""Without low delay, libopus models the voice, and takes four times the CPU for it."""

WAV_HEAD = struct.Struct("<4sI4s4sIHHIIHH4sI")


class AudioFile(Protocol):
    """Takes interleaved PCM16 of two channels at 24 kHz."""

    def write(self, pcm: bytes) -> None:
        """More of it."""

    def close(self) -> None:
        """All of it has been written."""


class OpusFile:
    """Opus at 32 kbit/s in Ogg, a page a second."""

    def __init__(self, file: BinaryIO, library: OpusLibrary, name: str) -> None:
        self._file = file
        self._encoder = OpusEncoder(library, ENCODING, CHANNELS)
        self._stream = OggOpus(
            zlib.crc32(name.encode()), channels=CHANNELS, input_hz=RATE_HZ, pre_skip=PRE_SKIP
        )
        self._rest = b""
        self._frames = 0
        file.write(self._stream.begin())

    def write(self, pcm: bytes) -> None:
        """More of it."""
        pcm = self._rest + pcm
        whole = len(pcm) // FRAME_BYTES * FRAME_BYTES
        self._rest = pcm[whole:]
        for at in range(0, whole, FRAME_BYTES):
            self._encode(pcm[at : at + FRAME_BYTES])

    def _encode(self, frame: bytes) -> None:
        page = self._stream.add(self._encoder.encode(frame), 960)
        self._frames += 1
        if self._frames % PAGE_FRAMES == 0:
            page += self._stream.flush()
        if page:
            self._file.write(page)
            self._file.flush()

    def close(self) -> None:
        """The last frame is filled up with silence."""
        if self._rest:
            self._encode(self._rest.ljust(FRAME_BYTES, b"\0"))
            self._rest = b""
        self._file.write(self._stream.flush(last=True))
        self._file.close()


class WavFile:
    """PCM as it is. Its head says the right length once it is closed."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        file.write(wav_head(0))

    def write(self, pcm: bytes) -> None:
        """More of it."""
        self._file.write(pcm)

    def close(self) -> None:
        """Say how long it is."""
        size = self._file.tell() - WAV_HEAD.size
        self._file.seek(0)
        self._file.write(wav_head(size))
        self._file.close()


def wav_head(size: int) -> bytes:
    """For so many bytes of samples."""
    frame = CHANNELS * 2
    return WAV_HEAD.pack(
        b"RIFF",
        size + 36,
        b"WAVE",
        b"fmt ",
        16,
        1,
        CHANNELS,
        RATE_HZ,
        RATE_HZ * frame,
        frame,
        16,
        b"data",
        size,
    )


def mend(path: Path) -> None:
    """Make a file that its writer has left behind say how long it is. An Ogg stream needs nothing."""
    if ".wav" in path.suffixes:
        size = max(path.stat().st_size - WAV_HEAD.size, 0)
        with path.open("r+b") as file:
            file.write(wav_head(size - size % (CHANNELS * 2)))
