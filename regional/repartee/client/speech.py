"""What the caller says, as PCM: spoken by the stand-ins' voice, or read from a WAV file.

Everything comes out as PCM16 LE mono at the asked rate. Must not know calls or sockets.
"""

import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr

from repartee.errors import VoiceError

CALLER_VOICE = "en-gb"
"""The caller's voice: another than the agent's, so that a recording is easy to follow."""

WAV_RATES_HZ = (8_000, 96_000)


class SpeechUnavailable(VoiceError):
    """The words cannot be turned into audio."""


@dataclass(frozen=True, slots=True)
class Question:
    """Something to say: its words (a file's name, if they are not known) and its audio."""

    text: str
    pcm: bytes


def spoken(text: str, rate_hz: int, voice: str = CALLER_VOICE) -> Question:
    """Speak a text. Raises SpeechUnavailable where the synthesiser is not installed."""
    try:
        from repartee.standins.synthesiser import synthesise
    except ImportError as error:
        raise SpeechUnavailable(
            f"Texts cannot be spoken here ({error}): install the extra with `pip install 'repartee[standins]'`, "
            "or play a recording with --wav."
        ) from error
    if not text.strip():
        raise SpeechUnavailable("--say needs words to say.")
    return Question(text, synthesise(text, voice=voice, rate_hz=rate_hz).pcm)


def recorded(path: Path, rate_hz: int) -> Question:
    """Read a WAV file (PCM, 8 to 32 bit, any number of channels, mixed down). Raises SpeechUnavailable."""
    try:
        with wave.open(str(path), "rb") as wav:
            channels, width, source_hz = wav.getnchannels(), wav.getsampwidth(), wav.getframerate()
            data = wav.readframes(wav.getnframes())
    except FileNotFoundError:
        raise SpeechUnavailable(f"There is no file {path}.") from None
    except OSError as error:
        raise SpeechUnavailable(f"{path} cannot be read: {error.strerror or error}.") from None
    except (wave.Error, EOFError) as error:
        raise SpeechUnavailable(
            f"{path} is not a WAV file with PCM audio ({error or 'it ends too early'}); "
            f"convert it: ffmpeg -i {path.name} -c:a pcm_s16le question.wav"
        ) from None
    low, high = WAV_RATES_HZ
    if not low <= source_hz <= high:
        raise SpeechUnavailable(f"{path} has {source_hz} samples a second; {low} to {high} are accepted.")
    mono = _samples(data, width).reshape(-1, channels).mean(axis=1)
    if not mono.size:
        raise SpeechUnavailable(f"{path} holds no audio.")
    heard = soxr.resample(mono, source_hz, rate_hz) if source_hz != rate_hz else mono
    pcm = np.clip(np.round(heard * 32767), -32768, 32767).astype("<i2").tobytes()
    return Question(path.name, pcm)


def _samples(data: bytes, width: int) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    """WAV sample data as floats within ±1."""
    if width == 1:
        return (np.frombuffer(data, dtype=np.uint8).astype(np.float64) - 128) / 128
    if width == 3:
        padded = np.zeros((len(data) // 3, 4), dtype=np.uint8)
        padded[:, 1:] = np.frombuffer(data, dtype=np.uint8).reshape(-1, 3)
        return padded.view("<i4").reshape(-1).astype(np.float64) / 2**31
    kind = {2: "<i2", 4: "<i4"}[width]
    return np.frombuffer(data, dtype=kind).astype(np.float64) / float(2 ** (8 * width - 1))
