"""Recorded turns of people, with the truth about where their speech lies: a folder of WAV files and a turns.json.

Owns reading them, at one rate. ``turns.json`` is a list of ``{"name", "segments_s": [[from, to], …], "words": [[text,
from, to], …]}``, the file of each being ``name``.wav. Only ``segments_s`` say where speech ends: words' times
are a recogniser's, and early by up to a third of a second.
"""

import io
import wave
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from repartee.audio.pcm import resampler, ulaw_to_pcm
from repartee.errors import VoiceError

RATE_HZ = 16_000
MULAW = 7
PCM = 1


class RecordedWord(msgspec.Struct, array_like=True, frozen=True):
    """A word, and roughly where it lies (s)."""

    text: str
    starts_s: float
    ends_s: float


class _Entry(msgspec.Struct):
    name: str
    segments_s: list[tuple[float, float]]
    words: list[RecordedWord] = []


@dataclass(frozen=True, slots=True)
class RecordedTurn:
    """One turn: float32 samples at RATE_HZ (full scale 1.0), where speech lies in it (s), and its words."""

    name: str
    samples: npt.NDArray[np.float32]
    segments_s: tuple[tuple[float, float], ...]
    words: tuple[RecordedWord, ...]

    @property
    def ends_s(self) -> float:
        """Where its last sample of speech lies."""
        return self.segments_s[-1][1]


def read_recordings(folder: Path) -> list[RecordedTurn]:
    """All turns of a folder. Raises VoiceError that says what is wrong with it."""
    listing = folder / "turns.json"
    try:
        entries = msgspec.json.decode(listing.read_bytes(), type=list[_Entry])
    except OSError as error:
        raise VoiceError(f"{listing} cannot be read: {error.strerror or error}.") from None
    except msgspec.MsgspecError as error:
        raise VoiceError(f"{listing} is no list of turns: {error}.") from None
    if not entries:
        raise VoiceError(f"{listing} lists no turns.")
    return [_turn(folder, entry) for entry in entries]


def _turn(folder: Path, entry: _Entry) -> RecordedTurn:
    path = folder / f"{entry.name}.wav"
    samples = _samples(path)
    ends_s = entry.segments_s[-1][1] if entry.segments_s else 0.0
    if not 0 < ends_s <= samples.size / RATE_HZ:
        raise VoiceError(f"{path}: its segments_s must say where speech lies, and end within the recording.")
    return RecordedTurn(entry.name, samples, tuple(entry.segments_s), tuple(entry.words))


def _samples(path: Path) -> npt.NDArray[np.float32]:
    try:
        pcm, hz = _pcm(path.read_bytes())
        stream = resampler(hz, RATE_HZ)
        pcm = stream.feed(pcm) + stream.flush()
    except OSError as error:
        raise VoiceError(f"{path} cannot be read: {error.strerror or error}.") from None
    except (ValueError, EOFError, wave.Error) as error:
        raise VoiceError(f"{path}: {error}. Wanted is a mono WAV, 16 bit or μ-law.") from None
    return np.frombuffer(pcm, dtype="<i2").astype(np.float32) / np.float32(32768)


def _pcm(data: bytes) -> tuple[bytes, int]:
    """The samples of a WAV file, and their rate; the standard library's reader knows no μ-law."""
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise ValueError("this is no WAV file")
    at, kind, hz, channels = 12, 0, 0, 0
    while at + 8 <= len(data):
        name, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        body = data[at + 8 : at + 8 + size]
        if name == b"fmt ":
            kind, channels = (int.from_bytes(body[i : i + 2], "little") for i in (0, 2))
            hz = int.from_bytes(body[4:8], "little")
        elif name == b"data" and kind == MULAW and channels == 1:
            return ulaw_to_pcm(body), hz
        elif name == b"data":
            with wave.open(io.BytesIO(data)) as reader:
                if (reader.getnchannels(), reader.getsampwidth()) != (1, 2):
                    raise ValueError("its samples have another form")
                return reader.readframes(reader.getnframes()), reader.getframerate()
        at += 8 + size + size % 2
    raise ValueError("it holds no samples")
